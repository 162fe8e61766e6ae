# What bench/run and bench/start share: programs looked for, files written, servers started and stopped.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d)
chmod 755 "$work" # nginx gives up root for its worker

# Servers are stopped by their ids, the last started first.
started=()
leave() {
  local at
  for ((at = ${#started[@]} - 1; at >= 0; at--)); do kill "${started[at]}" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$work"
}
trap leave EXIT
trap 'exit 130' INT TERM

# need PROGRAM=PACKAGE …: says which Debian packages are missing.
need() {
  local pair missing=()
  for pair in "$@"; do
    command -v "${pair%%=*}" >/dev/null || [ -x "/usr/sbin/${pair%%=*}" ] || missing+=("${pair##*=}")
  done
  if [ ${#missing[@]} -gt 0 ]; then
    echo "missing: apt-get install ${missing[*]}" >&2
    exit 2
  fi
}

# A release binary of the gateway: TAGWAY names one, else it is built.
gateway_binary() {
  if [ -n "${TAGWAY:-}" ]; then
    readlink -f "$TAGWAY"
    return
  fi
  (cd "$root" && cargo build --release --quiet --package tagway) >&2
  echo "${CARGO_TARGET_DIR:-$root/target}/release/tagway"
}

# nginx, static and proxying: start_nginx NAME CORE; leaves the master's id in $pid.
start_nginx() {
  taskset -c "$2" nginx -p "$work" -c "$work/$1.conf" -e "$work/$1.err"
  pid=$(cat "$work/$1.pid")
  started+=("$pid")
}

# wait_for URL: until it answers 200, 10 seconds at most.
wait_for() {
  local _
  for _ in $(seq 200); do
    if python3 -c 'import sys, urllib.request as u; u.urlopen(sys.argv[1], timeout=2).read()' "$1" 2>/dev/null; then
      return
    fi
    sleep 0.05
  done
  echo "no answer from $1" >&2
  cat "$work"/*.log "$work"/*.err >&2 2>/dev/null || true
  return 1
}
