#!/usr/bin/env bash
# Puts prometheus and promtool into bin/: those of the PATH, or else those of the Debian package. The package is unpacked
# and not installed, so that no service starts. Where neither is possible, it prints the remedy and fails.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [[ -x bin/prometheus && -x bin/promtool ]]; then
  exit 0
fi
mkdir -p bin
if command -v prometheus >/dev/null && command -v promtool >/dev/null; then
  ln -sf "$(command -v prometheus)" "$(command -v promtool)" bin/
  exit 0
fi
if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
  echo "There is no Prometheus, which the test of the monitoring needs: install prometheus and promtool." >&2
  exit 1
fi
echo "==> there is no Prometheus, which the test of the monitoring needs: unpacking Debian's package into bin/"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
chmod 755 "$work" # apt-get downloads as another user
if [[ -z "$(apt-cache madison prometheus 2>/dev/null)" && "$(id -u)" == 0 ]]; then
  apt-get update -qq
fi
(cd "$work" && { apt-get download -qq prometheus || { [[ "$(id -u)" == 0 ]] && apt-get update -qq && apt-get download -qq prometheus; }; }) 2>/dev/null || {
  echo "Debian's package prometheus could not be downloaded: run \`apt-get update\` as root, or install prometheus." >&2
  exit 1
}
dpkg-deb -x "$work"/prometheus_*.deb "$work/package"
mv "$work"/package/usr/bin/prometheus "$work"/package/usr/bin/promtool bin/
