#!/bin/sh
# A worker. Asked to stop, it may end its step for QUORUM_STOP_GRACE_S seconds; then the step is
# dropped, and another worker takes it up. stop_grace_period must be longer than that.
set -eu
here=$(dirname "$0")
# shellcheck source=docker/entry/secrets.sh
. "$here/secrets.sh"
grace_s=${QUORUM_STOP_GRACE_S:-20}
stopping=
trap 'stopping=yes' TERM INT
python -m ml_backend.worker &
worker=$!
status=0
wait "$worker" || status=$?
if [ -n "$stopping" ]; then
  # The first SIGTERM lets the step end, a second one drops it.
  kill -TERM "$worker" 2>/dev/null || :
  (sleep "$grace_s" && kill -TERM "$worker") </dev/null >/dev/null 2>&1 &
  timer=$!
  status=0
  wait "$worker" || status=$?
  kill "$timer" 2>/dev/null || :
fi
exit "$status"
