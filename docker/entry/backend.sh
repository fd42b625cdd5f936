#!/bin/sh
# The backend.
set -eu
here=$(dirname "$0")
# shellcheck source=docker/entry/secrets.sh
. "$here/secrets.sh"
# The heartbeat file in shared memory: the root file system is read-only, and /tmp may be slow.
exec python -m gunicorn 'ml_backend.app:create_app()' \
  --config python:ml_backend.serving \
  --bind "${QUORUM_BIND:-0.0.0.0:9090}" --worker-tmp-dir /dev/shm
