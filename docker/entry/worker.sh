#!/bin/sh
# A worker. Asked to stop, it lets a short step end; a longer one is given back to the others.
set -eu
here=$(dirname "$0")
# shellcheck source=docker/entry/secrets.sh
. "$here/secrets.sh"
exec python -m ml_backend.worker
