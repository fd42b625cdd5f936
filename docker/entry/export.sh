#!/bin/sh
# A data set: export.sh 12 --out /data/masks.zip
set -eu
here=$(dirname "$0")
# shellcheck source=docker/entry/secrets.sh
. "$here/secrets.sh"
exec python -c 'from ml_backend.export import main; raise SystemExit(main())' "$@"
