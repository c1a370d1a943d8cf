#!/bin/sh
# Make the virtual environment from the hashed lock. Usage: setup.sh PYTHON VENV
set -eu
python=$1 venv=$2
say() { printf '%s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

command -v "$python" >/dev/null 2>&1 || fail "$python is not installed; ModelWatch needs Python 3.11 or newer (PYTHON=... chooses one)"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
    || fail "$("$python" --version) is too old; ModelWatch needs Python 3.11 or newer (PYTHON=... chooses one)"

if ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        say "setup: installing python3-venv"
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null
    else
        fail "the venv module is missing: sudo apt-get install python3-venv"
    fi
fi

say "setup: 1/3 virtual environment in $venv"
"$python" -m venv "$venv"
say "setup: 2/3 packages from requirements/dev.txt (about half a minute the first time)"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
say "setup: 3/3 ModelWatch and its instrumentation"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . -e instrumentation
