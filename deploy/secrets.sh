#!/bin/sh
# Write .env with fresh secrets for compose.yaml, for this user's eyes only; a .env that is there stays as it is.
set -eu
cd "$(dirname "$0")/.."
if [ -e .env ]; then
    echo "secrets: .env is there already and stays as it is"
    exit 0
fi
secret() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
umask 077
cat > .env.new <<TEXT
MODELWATCH_POSTGRES_PASSWORD=$(secret)
MODELWATCH_RABBITMQ_PASSWORD=$(secret)
MODELWATCH_REDIS_PASSWORD=$(secret)
MODELWATCH_INGEST_KEY=$(secret)
TEXT
mv .env.new .env
echo "secrets: wrote .env"
