#!/usr/bin/env bash
# What a stranger's first hour is like: the committed checkout in an empty directory, with an empty home and environment,
# and then the two commands. Prints how long each took, how it ended, and how long it was from the clone to the page.
#
#   scripts/fresh-machine.sh          # make demo, make test
#   scripts/fresh-machine.sh --ci     # make demo, .ci/run (installs what the tests need; as root on Debian)
set -euo pipefail

last=(make test)
case "${1:-}" in
  "") ;;
  --ci) last=(bash .ci/run) ;;
  *) echo "usage: scripts/fresh-machine.sh [--ci]" >&2; exit 2 ;;
esac

checkout=$(cd "$(dirname "$0")/.." && git rev-parse --show-toplevel)
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
mkdir "$room/home"
cloned=$SECONDS
git clone --quiet "$checkout" "$room/leakdrill"
cd "$room/leakdrill"
echo "commit $(git log -1 --format='%h %s'), Python $(python3 -c 'import platform; print(platform.python_version())')"

# How this machine reaches its package index, and which processor numpy shall believe in, are its own affairs.
kept=()
while IFS= read -r name; do kept+=("$name=${!name}"); done < <(
  compgen -e | grep -iE '^(PIP_|SSL_CERT_|REQUESTS_CA_BUNDLE$|NODE_EXTRA_CA_CERTS$|OPENBLAS_CORETYPE$|npm_config_)|^(https?|no)_proxy$'
)

failed=0
step() {
  local begun=$SECONDS code=0
  env -i HOME="$room/home" PATH="$PATH" LANG=C.UTF-8 ${kept[@]+"${kept[@]}"} "$@" </dev/null || code=$?
  echo "== $* ended with $code after $((SECONDS - begun)) s"
  ((code == 0)) || failed=1
}
page=http://127.0.0.1:7860 most=120
until_page() {
  until curl --noproxy '*' -sf -o /dev/null "$page"; do sleep 0.5; done
  echo $((SECONDS - cloned)) >"$room/page-after"
}
! curl --noproxy '*' -s -o /dev/null "$page" || { echo "something answers at $page already; stop it first" >&2; exit 2; }
until_page &
watching=$!
step make demo ARGS="--speed 600 --exit"
kill "$watching" 2>/dev/null || true
wait "$watching" 2>/dev/null || true
if [ -s "$room/page-after" ]; then
  took=$(<"$room/page-after")
  echo "== from the clone to the page: $took s (target: $most s or less, $( ((took <= most)) && echo met || echo MISSED))"
else
  echo "== the page never answered"
  failed=1
fi
step "${last[@]}"
exit $failed
