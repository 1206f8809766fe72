#!/usr/bin/env bash
# Latchkey under the software of others. Usage: tests/interop/run.sh <latchkey binary> [test files…]
# Installs the packages of package-lock.json when it has changed.
set -euo pipefail
if [ $# -lt 1 ]; then
  echo "usage: $0 <path of the latchkey binary> [test files…]" >&2
  exit 2
fi
LATCHKEY_BIN=$(realpath "$1")
export LATCHKEY_BIN
shift
cd "$(dirname "$0")"

stamp=node_modules/.lock-hash
hash=$(sha256sum package.json package-lock.json | sha256sum)
if [ "$(cat "$stamp" 2>/dev/null)" != "$hash" ]; then
  # Of the packages' own scripts only those that are needed: node fetches its program, and the database of the reference PDS is
  # compiled for that very node, whose headers come with it.
  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
  npm rebuild node --loglevel=error
  headers=$(realpath node_modules/node/node_modules/node-linux-*)
  log=$PWD/node_modules/.better-sqlite3.log
  (cd node_modules/better-sqlite3 && CC=clang-19 CXX=clang++-19 npm_config_nodedir="$headers" npm run build-release) >"$log" 2>&1 || {
    cat "$log" >&2
    exit 1
  }
  echo "$hash" >"$stamp"
fi

# The node of the lock file: the packages of atproto want one that is newer than Debian's.
node=$PWD/node_modules/node/bin/node
tests=("$@")
[ ${#tests[@]} -gt 0 ] || tests=(*.test.mjs)
exec "$node" --test --test-concurrency="${LATCHKEY_INTEROP_JOBS:-2}" --test-timeout=180000 --test-force-exit "${tests[@]}"
