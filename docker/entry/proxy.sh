#!/bin/sh
# TLS in front of Label Studio and of the progress page, by name.
set -eu
for name in "${TLS_LABEL_STUDIO_NAME:?set it in docker/.env: its name in browsers}" \
  "${TLS_QUORUM_NAME:?set it in docker/.env: its name in browsers}"; do
  case $name in
    *[!A-Za-z0-9.-]*)
      echo "TLS_LABEL_STUDIO_NAME and TLS_QUORUM_NAME must be hosts' names" >&2
      exit 2
      ;;
  esac
done
folder=${PROXY_FOLDER:-/tmp}
here=$(dirname "$0")
# Docker's own, unless another engine says otherwise.
resolver=${PROXY_RESOLVER:-$(sed -n 's/^nameserver *//p' /etc/resolv.conf 2>/dev/null | head -n 1)}
case ${resolver:=127.0.0.11} in
  *:*:*) resolver="[$resolver]" ;;
esac
sed -e "s|@LABEL_STUDIO_NAME@|$TLS_LABEL_STUDIO_NAME|" -e "s|@QUORUM_NAME@|$TLS_QUORUM_NAME|" \
  -e "s|@FOLDER@|$folder|" \
  -e "s|@CERTIFICATES@|${PROXY_CERTIFICATES:-/certificates}|" \
  -e "s|@RESOLVER@|$resolver|" \
  -e "s|@LISTEN@|${PROXY_LISTEN:-8443}|" \
  -e "s|@LABEL_STUDIO@|${PROXY_LABEL_STUDIO:-label-studio:8080}|" \
  -e "s|@BACKEND@|${PROXY_BACKEND:-backend:9090}|" \
  "${PROXY_TEMPLATE:-$here/../proxy/nginx.conf}" >"$folder/proxy.conf"
exec nginx -c "$folder/proxy.conf" -g 'daemon off;'
