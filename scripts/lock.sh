#!/usr/bin/env bash
# Compiles pyproject.toml into requirements/*.txt: one lock for development, one for the bench, one for Spark, one for each image. Usage: lock.sh path/to/uv [option of
# uv pip compile, such as --upgrade]
set -euo pipefail
cd "$(dirname "$0")/.."
uv=$1
options=("${@:2}")
export UV_PYTHON_DOWNLOADS=never

compile() { # OUTPUT, then what to compile
  local output=$1
  shift
  "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header "${options[@]}" "$@" --output-file "requirements/$output.txt"
}

compile dev pyproject.toml --extra local --group test --group check
# Apart, since pyarrow imports pandas wherever it finds it, a second for every process that starts.
compile bench pyproject.toml --extra local --group bench --constraint requirements/dev.txt
# Only the group: its botocore is not ours.
compile clients --group clients
# Apart for its size. Its tests compare with DuckDB, so all that those need is there, too.
compile spark pyproject.toml --extra local --extra spark --group test --group spark --constraint requirements/dev.txt
# An image gets what development got: the same versions, fewer of them.
for image in api-consumer transformer partitioner stats-api jobs local; do
  compile "$image" pyproject.toml --extra "$image" --constraint requirements/dev.txt
done
echo 'uv>=0.9' | compile uv -
