#!/usr/bin/env bash
# What somebody gets who installs the wheel: an empty environment, an empty directory, an empty home, and every command.
# Prints how much the installation adds to the environment, and when each step was over.
#
#   scripts/check-wheel.sh [PYTHON]      # PYTHON: the one that it is installed for, 3.11 or newer
#
# It is built by the tests' environment, or by another Python with hatchling that BUILDER names.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
builder=${BUILDER:-$root/.venv/bin/python}
python=${1:-$builder}
# What a plain installation may weigh besides the one program that we do not choose the size of.
most_mb=250
room=$(mktemp -d)
started=()
tidy() {
  for pid in ${started[@]+"${started[@]}"}; do kill "$pid" 2>/dev/null && wait "$pid" || true; done
  rm -rf "$room"
}
trap tidy EXIT
mkdir "$room/home" "$room/empty"
"$python" -m venv "$room/env"

# How this machine reaches its package index, and which processor numpy shall believe in, are its own affairs.
kept=()
while IFS= read -r name; do kept+=("$name=${!name}"); done < <(
  compgen -e | grep -iE '^(PIP_|SSL_CERT_|REQUESTS_CA_BUNDLE$|OPENBLAS_CORETYPE$)|^(https?|no)_proxy$'
)
bare=(env -i HOME="$room/home" PATH="$room/env/bin:/usr/bin:/bin" LANG=C.UTF-8 ${kept[@]+"${kept[@]}"})
alone() { "${bare[@]}" "$@" </dev/null; }
cd "$room/empty"

begun=$SECONDS
step() {
  local code=0 wanted=$1 what=$2
  shift 2
  alone "$@" >"$room/said" 2>&1 || code=$?
  if ((code != wanted)); then
    echo "FAILED: $what ended with $code, not $wanted"; cat "$room/said"; exit 1
  fi
  echo "$((SECONDS - begun)) s  $what"
}
says() { grep -qF -- "$1" "$room/said" || { echo "FAILED: no word of \"$1\" in:"; cat "$room/said"; exit 1; }; }
install() {
  if ! alone "$room/env/bin/python" -m pip install --quiet "$1" >"$room/said" 2>&1; then
    cat "$room/said"
    [ "${LEAKDRILL_REQUIRE:-}" != all ] || { echo "FAILED: $1 cannot be installed"; exit 1; }
    echo "SKIPPED: pip cannot install what $1 depends on, see above; nothing was checked"; exit 0
  fi
  size=$(($(megabytes "$packages") - empty_mb)) ffmpeg=$(megabytes "$packages/imageio_ffmpeg/binaries")
  echo "$((SECONDS - begun)) s  pip install ${1##*/}: $size MB, $ffmpeg of them ffmpeg"
}
megabytes() { du -sm "$1" | cut -f1; }
port() { "$room/env/bin/python" -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
# Waits for an address of the `up` that runs, as long as that runs.
await() {
  local url=$1 deadline=$((SECONDS + 60))
  until curl --noproxy '*' -sf -o /dev/null "$url"; do
    kill -0 "${started[0]}" 2>/dev/null && ((SECONDS < deadline)) || { echo "FAILED: no answer at $url"; cat "$room/up"; exit 1; }
    sleep 0.1
  done
  echo "$((SECONDS - begun)) s  $url answers"
}
up() {
  "${bare[@]}" leakdrill up --workers 1 "$@" </dev/null >"$room/up" 2>&1 &
  started=($!)
}
down() {
  kill "${started[0]}"
  wait "${started[0]}" || { echo "FAILED: leakdrill up ended with $?"; cat "$room/up"; exit 1; }
  started=()
}

(cd "$root" && "$builder" -m hatchling build -d "$room/dist" >/dev/null 2>&1)
wheel=$(echo "$room"/dist/leakdrill-*.whl)
packages=$("$room/env/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
empty_mb=$(megabytes "$packages")
echo "$("$room/env/bin/python" -V), $(basename "$wheel"), $(du -k "$wheel" | cut -f1) kB"

install "$wheel"
((size - ffmpeg <= most_mb)) || { echo "FAILED: $((size - ffmpeg)) MB without ffmpeg, $most_mb at the most"; exit 1; }
gateway=$(port) page=$(port)
step 0 "--help" leakdrill --help
step 0 "doctor" leakdrill doctor --port "$gateway" --page-port "$page"
says 'pip install "leakdrill[page]"'
step 0 "render" leakdrill render "a dog on a skateboard" -o clip.mp4 --size 480x480 --seconds 1
step 0 "drill list" leakdrill drill list
step 0 "drill lint" leakdrill drill lint november-2024
step 0 "runbook list" leakdrill runbook list
step 0 "runbook copy" leakdrill runbook copy revoke-by-script mine
step 0 "class print" leakdrill class print --out class
step 0 "drill run" leakdrill drill run november-2024 --speed 1800 --out report
for missing in "page" "demo" "up --page" "load"; do
  # shellcheck disable=SC2086
  step 2 "$missing without its extra" leakdrill $missing
  says 'install it with: pip install "leakdrill['
done
step 2 "PostgreSQL without its extra" env LEAKDRILL_DATABASE_URL=postgresql://localhost/none leakdrill gateway
says 'pip install "leakdrill[postgres]"'
up --port "$gateway"
await "http://127.0.0.1:$gateway/readyz"
down
grep -qF 'not installed; add it with: pip install "leakdrill[page]"' "$room/up"

# The very words of the advice, which add to what is installed.
install "leakdrill[page]"
up --port "$gateway" --page-port "$page"
await "http://127.0.0.1:$gateway/readyz"
await "http://127.0.0.1:$page/"
down
left=$(find . -mindepth 1 -maxdepth 1 | sort | tr '\n' ' ')
[ "$left" = "./.leakdrill ./class ./clip.mp4 ./mine ./report " ] || { echo "FAILED: left behind: $left"; exit 1; }
echo "the wheel is whole"
