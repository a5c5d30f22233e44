#!/bin/sh
# For a pipeline: issue a token, run a command that uses it, revoke the token, and run the command again.
# The command must succeed while the token is good and fail once it is revoked; it finds it in LEAKDRILL_TOKEN.
#
#   LEAKDRILL_ADMIN_TOKEN=$(cat .leakdrill/admin.token) sh revocation-check.sh my-client list-videos
set -eu
api=${LEAKDRILL_URL:-http://127.0.0.1:8000}
export LEAKDRILL_URL="$api"
admin() { curl -sf "$api/control/$1" -H "Authorization: Bearer $LEAKDRILL_ADMIN_TOKEN" -H "Content-Type: application/json" -d "$2"; }
field() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }

issued=$(admin tokens '{"principal": "pipeline", "cohort": "checks"}')
LEAKDRILL_TOKEN=$(echo "$issued" | field token)
export LEAKDRILL_TOKEN
"$@" || { echo "the command failed with a good token" >&2; exit 1; }

selector="{\"accessor\": \"$(echo "$issued" | field accessor)\"}"
admin revocations "{\"selector\": $selector, \"reason\": \"a check\"}" >effect.json
if "$@"; then
  echo "the command succeeded with a revoked token" >&2
  exit 1
fi
echo "refused, as it should be"
