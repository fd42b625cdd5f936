#!/bin/sh
# The importer: importer.sh import /inbox --project 12. What it writes is its owner's alone.
set -eu
here=$(dirname "$0")
# shellcheck source=docker/entry/secrets.sh
. "$here/secrets.sh"
umask 077
exec python -m importer "$@"
