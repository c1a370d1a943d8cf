#!/bin/sh
# See to it that the servers, the browser and the JavaScript clients that the tests start are there; on Debian as root
# install what is missing.
set -eu
cd "$(dirname "$0")/.."
missing=""
need() { # PACKAGE VARIABLE FILE-OR-COMMAND...
    package=$1 variable=$2; shift 2
    [ -n "$variable" ] && [ -n "$(printenv "$variable" || true)" ] && return 0
    for candidate in "$@"; do
        for path in $candidate; do
            if [ -x "$path" ] || command -v "$path" >/dev/null 2>&1; then return 0; fi
        done
    done
    missing="$missing $package"
}
need rabbitmq-server MODELWATCH_TEST_RABBITMQ_URL /usr/lib/rabbitmq/bin/rabbitmq-server
need postgresql MODELWATCH_TEST_POSTGRES_URL '/usr/lib/postgresql/*/bin/postgres'
need redis-server MODELWATCH_TEST_REDIS_URL redis-server
need chromium MODELWATCH_TEST_CHROMIUM chromium chromium-browser google-chrome
need docker.io "" dockerd /usr/sbin/dockerd
need busybox-static "" /bin/busybox
if [ "${1:-}" = compose ]; then
    need docker-compose "" docker-compose
    need debootstrap "" debootstrap /usr/sbin/debootstrap
fi
need nginx "" nginx /usr/sbin/nginx
need prometheus "" prometheus
need nodejs "" node
need npm "" npm

install_packages() {
    echo "tests: installing$missing"
    # Only the programs are wanted: the tests start private instances, so the packages must not start theirs.
    policy=/usr/sbin/policy-rc.d
    made_policy=""
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' > "$policy"; chmod +x "$policy"; made_policy=1
    fi
    trap '[ -z "$made_policy" ] || rm -f "$policy"' EXIT
    apt-get update -qq
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
}

# OpenTelemetry's JavaScript exporters, as package-lock.json has them; its copy beside them tells which ones are there.
install_clients() {
    clients=tests/clients/js
    installed=$clients/node_modules/.installed-lock.json
    cmp -s "$clients/package-lock.json" "$installed" && return 0
    echo "tests: installing the JavaScript exporters of tests/clients/js"
    npm ci --prefix "$clients" --ignore-scripts --no-audit --no-fund --no-progress --loglevel=error >/dev/null
    cp "$clients/package-lock.json" "$installed"
}

if [ -n "$missing" ]; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        cat >&2 <<TEXT
tests: missing:$missing
Install them (Debian, Ubuntu: sudo apt-get install$missing), or give the addresses of running servers:
  MODELWATCH_TEST_RABBITMQ_URL=amqp://...  MODELWATCH_TEST_POSTGRES_URL=postgresql+psycopg://...
  MODELWATCH_TEST_REDIS_URL=redis://...    MODELWATCH_TEST_CHROMIUM=/path/to/chromium
TEXT
        exit 1
    fi
    install_packages
fi
install_clients
