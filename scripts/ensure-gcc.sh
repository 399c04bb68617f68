#!/usr/bin/env bash
# Checks that there is a C compiler, which Go's race detector needs. As root on a system with apt-get, it installs gcc.
# Otherwise it prints the remedy and fails.
set -euo pipefail

compiler="$(go env CC)"
if command -v "${compiler%% *}" >/dev/null; then
  exit 0
fi
if [[ "$(id -u)" == 0 ]] && command -v apt-get >/dev/null; then
  echo "==> there is no C compiler, which the race detector needs: installing gcc"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends gcc libc6-dev
  exit 0
fi
echo "There is no C compiler (${compiler}), which Go's race detector needs." >&2
echo "Install gcc with your system's package manager, or run \`make test-short\`, which needs no compiler." >&2
exit 1
