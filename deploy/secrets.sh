#!/bin/sh
# Write .env (or the file named) with fresh secrets for compose.yaml, for this user's eyes only. What such a file says
# already stays as it is; what a later version needs is added.
set -eu
file=${1:-"$(dirname "$0")/../.env"}
umask 077
secret() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
has() { [ -e "$file" ] && grep -q "^$1=" "$file"; }
new=$(
    for name in POSTGRES_PASSWORD RABBITMQ_PASSWORD REDIS_PASSWORD INGEST_KEY ADMIN_PASSWORD GRAFANA_PASSWORD METRICS_TOKEN \
        READER_PASSWORD; do
        has "MODELWATCH_$name" || echo "MODELWATCH_$name=$(secret)"
    done
    has MODELWATCH_DOCKER_GID || echo "MODELWATCH_DOCKER_GID=$(stat -c %g /var/run/docker.sock 2>/dev/null || echo 0)"
)
if [ -z "$new" ]; then
    echo "secrets: $file is there already and stays as it is"
    exit 0
fi
{
    # A last line without an end would run into the first new one.
    [ ! -e "$file" ] || sed -e '$a\' "$file"
    echo "$new"
} > "$file.new"
mv "$file.new" "$file"
echo "secrets: wrote $(echo "$new" | sed 's/=.*//' | tr '\n' ' ')to $file"
echo "secrets: sign in to the pages as admin, with the MODELWATCH_ADMIN_PASSWORD that is in there"
