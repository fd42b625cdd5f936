#!/bin/sh
# The backend.
set -eu
here=$(dirname "$0")
# shellcheck source=docker/entry/secrets.sh
. "$here/secrets.sh"
export QUORUM_BIND="${QUORUM_BIND:-0.0.0.0:9090}"
exec python -m ml_backend.serving
