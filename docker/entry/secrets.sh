# shellcheck shell=sh
# Sourced by the others: with NAME_FILE=/run/secrets/name a secret's value is read from that file,
# and need not stand in the environment that `docker inspect` shows.
for name in LABEL_STUDIO_API_KEY QUORUM_BASIC_AUTH_PASSWORD QUORUM_WEBHOOK_SECRET \
  QUORUM_SPLIT_KEY QUORUM_REDIS_URL QUORUM_REDIS_PASSWORD AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY; do
  eval "file=\${${name}_FILE:-}"
  # shellcheck disable=SC2154  # set by eval
  if [ -n "$file" ]; then
    if ! value=$(cat "$file" 2>/dev/null) || [ -z "$value" ]; then
      echo "${name}_FILE: $file cannot be read or is empty: give the container a readable file" >&2
      exit 2
    fi
    export "$name=$value"
    unset "${name}_FILE"
  fi
done
unset name file value
