#!/bin/sh
# Renew the hashed locks: build.txt, runtime.txt and demo.txt for images, dev.txt for everything. Usage: lock.sh BIN
set -eu
bin=$1
options="--universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate --quiet --upgrade"
"$bin/uv" pip compile pyproject.toml $options -o requirements/runtime.txt
"$bin/uv" pip compile pyproject.toml --extra demo --extra dev $options -o requirements/dev.txt
"$bin/uv" pip compile pyproject.toml --extra demo --constraint requirements/dev.txt $options -o requirements/demo.txt
echo 'setuptools>=77' | "$bin/uv" pip compile - $options -o requirements/build.txt
