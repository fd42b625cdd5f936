#!/bin/sh
# The one way out of the importer's network: a TCP relay to one host and port, and to nothing else.
# It sees TLS from outside: the importer checks Label Studio's certificate itself.
set -eu
host=${LABEL_STUDIO_HOST:?set it in docker/.env: the host of LABEL_STUDIO_URL}
port=${LABEL_STUDIO_PORT:-443}
case $host in
  *[!A-Za-z0-9.-]*)
    echo "LABEL_STUDIO_HOST must be a host's name or IPv4 address" >&2
    exit 2
    ;;
esac
case $port in
  *[!0-9]*)
    echo "LABEL_STUDIO_PORT must be a number" >&2
    exit 2
    ;;
esac
folder=${GATEWAY_FOLDER:-/tmp}
cat >"$folder/gateway.conf" <<EOF
worker_processes 1;
pid $folder/gateway.pid;
error_log stderr ${GATEWAY_LOG_LEVEL:-info};  # info: a line for each connection
events { worker_connections 256; }
stream {
  server {
    listen ${GATEWAY_LISTEN:-$port};
    proxy_pass $host:$port;
    proxy_connect_timeout 5s;
    proxy_timeout 10m;
  }
}
EOF
exec nginx -c "$folder/gateway.conf" -g 'daemon off;'
