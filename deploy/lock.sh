#!/bin/sh
# Renew the hashed locks: runtime.txt for images, dev.txt for everything. Usage: lock.sh BIN
set -eu
bin=$1
options="--universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate --quiet --upgrade"
"$bin/uv" pip compile pyproject.toml $options -o requirements/runtime.txt
"$bin/uv" pip compile pyproject.toml --extra demo --extra dev $options -o requirements/dev.txt
