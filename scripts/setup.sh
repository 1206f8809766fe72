#!/bin/sh
# Installs Debian packages that are missing. Quick when there are none.
#   scripts/setup.sh build|bench|test
set -eu

build="clang-19 lld-19 cmake ninja-build ccache libboost1.81-dev libcurl4-openssl-dev libc-ares-dev libsimdjson-dev
  zlib1g-dev libssl-dev libsecp256k1-dev libfido2-dev libsqlite3-dev libpq-dev libxml2-dev libfmt-dev libcli11-dev
  libtomlplusplus-dev libgtest-dev libgmock-dev libunistring-dev pkg-config"
bench="$build libbenchmark-dev"
test="$bench libclang-rt-19-dev clang-format-19 llvm-19 postgresql-15 chromium fonts-dejavu-core npm make openssl
  python3 python3-dkim python3-nacl nginx caddy"

case "${1:-}" in
  build) wanted=$build ;;
  bench) wanted=$bench ;;
  test) wanted=$test ;;
  *) echo "usage: $0 build|bench|test" >&2; exit 2 ;;
esac

missing=
for package in $wanted; do
  # npm may have come with Node.js from elsewhere.
  if [ "$package" = npm ] && command -v npm >/dev/null; then continue; fi
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

echo "==> Installing:$missing"
sudo=
if [ "$(id -u)" -ne 0 ]; then sudo=sudo; fi
export DEBIAN_FRONTEND=noninteractive
# PostgreSQL is only run privately by the tests: no cluster of the system is wanted.
if echo "$missing" | grep -q postgresql-15 && [ ! -e /etc/postgresql-common/createcluster.conf ]; then
  $sudo mkdir -p /etc/postgresql-common
  echo "create_main_cluster = false" | $sudo tee /etc/postgresql-common/createcluster.conf >/dev/null
fi
# The same for the proxies. A system that has a policy of its own about starting services keeps it.
policy=/usr/sbin/policy-rc.d
proxies=$(echo "$missing" | grep -oE '\b(nginx|caddy)\b' || true)
if [ -n "$proxies" ] && [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null
  $sudo chmod 755 "$policy"
  trap '$sudo rm -f "$policy"' EXIT
fi
$sudo apt-get update -qq
# shellcheck disable=SC2086
$sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null
# shellcheck disable=SC2086
if [ -n "$proxies" ] && command -v systemctl >/dev/null; then $sudo systemctl disable -q $proxies 2>/dev/null || true; fi
