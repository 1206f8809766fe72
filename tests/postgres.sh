#!/bin/sh
# Runs a command beside a private PostgreSQL: a fresh cluster in a temporary directory, reachable over its unix
# socket only. LATCHKEY_TEST_POSTGRES holds the conninfo. The server ends with the command.
#
#   tests/postgres.sh ctest --preset dev
set -eu

if [ $# -eq 0 ]; then
  echo "usage: $0 command [argument …]" >&2
  exit 2
fi

bin=
for candidate in /usr/lib/postgresql/15/bin /usr/lib/postgresql/*/bin; do
  if [ -x "$candidate/initdb" ]; then bin=$candidate; break; fi
done
if [ -z "$bin" ]; then
  echo "$0: no PostgreSQL server found (Debian: apt install postgresql-15)" >&2
  exit 1
fi

dir=$(mktemp -d "${TMPDIR:-/tmp}/latchkey-pg-XXXXXX")
# The server refuses to run as root.
as() { "$@"; }
if [ "$(id -u)" -eq 0 ]; then
  chown postgres "$dir"
  as() { runuser -u postgres -- "$@"; }
fi

stop() {
  if [ -f "$dir/data/postmaster.pid" ]; then
    as "$bin/pg_ctl" -D "$dir/data" -m immediate -w stop >/dev/null 2>&1 || true
  fi
  rm -rf "$dir"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
cd /  # postgres may not be allowed where we are; the command gets its directory back below
back=$OLDPWD

# A linguistic collation by default: ordering that forgets to ask for bytes is found by the tests.
as "$bin/initdb" -D "$dir/data" -U latchkey -A trust --no-sync -E UTF8 --locale=C.UTF-8 \
  --locale-provider=icu --icu-locale=en-US >"$dir/initdb.log" 2>&1 || { cat "$dir/initdb.log" >&2; exit 1; }
chmod 755 "$dir"
as "$bin/pg_ctl" -D "$dir/data" -w -l "$dir/data/log" start >/dev/null \
  -o "-c listen_addresses='' -c unix_socket_directories='$dir' -c fsync=off -c max_connections=200" ||
  { cat "$dir/data/log" >&2; exit 1; }

LATCHKEY_TEST_POSTGRES="host=$dir dbname=postgres user=latchkey"
export LATCHKEY_TEST_POSTGRES
cd "$back"
status=0
"$@" || status=$?
exit "$status"
