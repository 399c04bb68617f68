#!/usr/bin/env bash
# Checks that there is curl, with which the documentation's commands use credentials at the vendors. As root on a system with
# apt-get, it installs curl. Otherwise it prints the remedy and fails.
set -euo pipefail

if command -v curl >/dev/null; then
  exit 0
fi
if [[ "$(id -u)" == 0 ]] && command -v apt-get >/dev/null; then
  echo "==> there is no curl, which the documentation's commands need: installing it"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends curl ca-certificates
  exit 0
fi
echo "There is no curl, which the documentation's commands need: install it with your system's package manager." >&2
exit 1
