#!/bin/sh
# The attendant: looks at projects and keeps rounds going. One is enough for all workers.
set -eu
here=$(dirname "$0")
# shellcheck source=docker/entry/secrets.sh
. "$here/secrets.sh"
exec python -m ml_backend.worker --attendant
