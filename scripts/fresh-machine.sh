#!/usr/bin/env bash
# What a stranger's first hour is like: the committed checkout in an empty directory, with an empty home and environment,
# and then the two commands. Prints how long each took, and how it ended.
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
step make demo ARGS="--speed 600 --exit"
step "${last[@]}"
exit $failed
