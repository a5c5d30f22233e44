#!/bin/sh
# Revokes one token of a leakdrill gateway: revoke.sh ACCESSOR
# GATEWAY is the gateway's address, ADMIN_TOKEN_FILE holds the admin token. The token itself goes to curl on its standard
# input, so that nobody reads it in the list of processes.
set -eu
accessor=${1:?which token? revoke.sh ACCESSOR}
answer=$(printf 'header = "Authorization: Bearer %s"\n' "$(cat "$ADMIN_TOKEN_FILE")" |
  curl --silent --show-error --fail --max-time 20 --noproxy '*' --config - \
    --header 'Content-Type: application/json' \
    --data "{\"selector\": {\"accessor\": \"$accessor\"}, \"reason\": \"leaked\"}" \
    "$GATEWAY/control/revocations")
case $answer in
  *'"id"'*) echo "revoked $accessor" ;;
  *) echo "no revocation in the answer: $answer" >&2; exit 1 ;;
esac
