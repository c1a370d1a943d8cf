#!/usr/bin/env bash
# Make the virtual environment from the hashed lock. Usage: setup.sh PYTHON VENV
set -euo pipefail
python=$1 venv=$2
lock=requirements/dev.txt
say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

command -v "$python" >/dev/null 2>&1 ||
    fail "$python is not installed; ModelWatch needs Python 3.11 or newer (make PYTHON=... chooses one)"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$("$python" --version) is too old; ModelWatch needs Python 3.11 or newer (make PYTHON=... chooses one)"

if ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        say "installing python3-venv"
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null
    else
        fail "the venv module is missing: sudo apt-get install python3-venv"
    fi
fi

# Tells how far pip has come, in a line now and then, and passes on what it complains about.
progress() {
    local total fetched=0 line
    total=$(grep -c '==' "$lock")
    while IFS= read -r line; do
        case $line in
            Collecting*)
                fetched=$((fetched + 1))
                if [ $((fetched % 20)) = 0 ]; then say "    $fetched of at most $total packages"; fi ;;
            Installing*) say "    installing them" ;;
            *ERROR* | *error:* | *WARNING*) printf '%s\n' "$line" >&2 ;;
        esac
    done
}

say "1/3 virtual environment in $venv"
"$python" -m venv "$venv"
pip=("$venv/bin/python" -m pip --disable-pip-version-check)
say "2/3 packages from $lock"
"${pip[@]}" install --progress-bar off --require-hashes -r "$lock" 2>&1 | progress
say "3/3 ModelWatch and its instrumentation"
"${pip[@]}" install --quiet --no-deps --no-build-isolation -e . -e instrumentation
