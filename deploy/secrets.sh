#!/bin/sh
# Write .env (or the file named) with fresh secrets for compose.yaml, for this user's eyes only; one that is there stays.
set -eu
file=${1:-"$(dirname "$0")/../.env"}
if [ -e "$file" ]; then
    echo "secrets: $file is there already and stays as it is"
    exit 0
fi
secret() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
umask 077
cat > "$file.new" <<TEXT
MODELWATCH_POSTGRES_PASSWORD=$(secret)
MODELWATCH_RABBITMQ_PASSWORD=$(secret)
MODELWATCH_REDIS_PASSWORD=$(secret)
MODELWATCH_INGEST_KEY=$(secret)
MODELWATCH_GRAFANA_PASSWORD=$(secret)
MODELWATCH_DOCKER_GID=$(stat -c %g /var/run/docker.sock 2>/dev/null || echo 0)
TEXT
mv "$file.new" "$file"
echo "secrets: wrote $file"
