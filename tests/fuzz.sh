#!/bin/sh
# Runs every fuzz target of a build for a few seconds, from the committed seeds. New inputs stay in a temporary folder.
#   tests/fuzz.sh build/asan
set -eu
seconds=${LATCHKEY_FUZZ_SECONDS:-3}
corpus=$(cd "$(dirname "$0")/../fuzz/corpus" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
count=0
for target in "$1"/fuzz/fuzz_*; do
  [ -x "$target" ] || continue
  name=$(basename "$target")
  name=${name#fuzz_}
  mkdir -p "$work/$name"
  seeds=
  if [ -d "$corpus/$name" ]; then seeds="$corpus/$name"; fi
  # shellcheck disable=SC2086
  if ! "$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -artifact_prefix="$work/" "$work/$name" $seeds \
      >"$work/$name.log" 2>&1; then
    tail -n 40 "$work/$name.log"
    echo "fuzz_$name failed" >&2
    exit 1
  fi
  runs=$(sed -n 's/^Done \([0-9]*\) runs.*/\1/p' "$work/$name.log")
  echo "fuzz_$name: ${runs:-0} runs"
  count=$((count + 1))
done
[ "$count" -gt 0 ] || { echo "no fuzz targets in $1" >&2; exit 1; }
echo "$count fuzz targets, no findings"
