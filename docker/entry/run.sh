#!/bin/sh
# Any other command with the secrets of NAME_FILE: run.sh python -m ml_backend.connect 12
set -eu
here=$(dirname "$0")
# shellcheck source=docker/entry/secrets.sh
. "$here/secrets.sh"
exec "$@"
