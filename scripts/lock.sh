#!/usr/bin/env bash
# Pins by version and hash what the image is made of, into requirements/. What is pinned already stays while it fits
# pyproject.toml; `make lock UPGRADE=1` takes the newest of everything.
set -euo pipefail
cd "$(dirname "$0")/.."

export UV_CUSTOM_COMPILE_COMMAND="make lock" # what the files say they were made by

pin() { # FILE SOURCE… [OPTION…]: for every Python that we run on and every platform, as wheels
  local file=$1
  shift
  # No index is named, so that the file says the same wherever it was made.
  .venv/bin/uv pip compile "$@" --output-file "requirements/$file" --quiet ${UPGRADE:+--upgrade} \
    --universal --python-version 3.11 --only-binary :all: --generate-hashes --no-emit-index-url --no-emit-find-links
}

ask() { # EXPRESSION over `project`, which is pyproject.toml: one value a line
  .venv/bin/python -c "import tomllib; project = tomllib.load(open('pyproject.toml', 'rb')); print(*$1, sep='\n')"
}

# Every extra but the developers': nobody installs anything into an image that cannot be written.
extras=()
while read -r extra; do
  extras+=(--extra "$extra")
done < <(ask '(extra for extra in project["project"]["optional-dependencies"] if extra != "dev")')

pin image.txt pyproject.toml "${extras[@]}"
ask 'project["build-system"]["requires"]' | pin build.txt -
