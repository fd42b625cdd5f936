#!/bin/sh
# Redis with a password that stands in no argument: the configuration comes by standard input.
# Further arguments (--tls-port 6379 …) are passed on.
set -eu
here=$(dirname "$0")
# shellcheck source=docker/entry/secrets.sh
. "$here/secrets.sh"
case ${QUORUM_REDIS_PASSWORD:?set it in docker/.env: openssl rand -hex 24} in
  *[!A-Za-z0-9_-]*)
    echo "QUORUM_REDIS_PASSWORD must have letters, digits, _ and - alone: it stands in an URL" >&2
    exit 2
    ;;
esac
# noeviction: a queue that forgets is worse than one that refuses.
exec redis-server - "$@" <<EOF
appendonly yes
maxmemory-policy noeviction
requirepass $QUORUM_REDIS_PASSWORD
EOF
