#!/usr/bin/env bash
# Makes sure of Chromium, which the tests of the web page drive. As root on Debian it is installed;
# everywhere else, and when that fails, the tests of the page are skipped. Never an error.
set -uo pipefail
for name in chromium chromium-browser; do
  command -v "$name" >/dev/null && exit 0
done
if [[ "$(id -u)" -ne 0 ]] || ! command -v apt-get >/dev/null; then
  echo "no Chromium: the tests of the web page will be skipped (install the package chromium)" >&2
  exit 0
fi
echo "installing Chromium for the tests of the web page"
log="$(mktemp)"
if ! { apt-get update && DEBIAN_FRONTEND=noninteractive \
  apt-get install -y --no-install-recommends chromium; } >"$log" 2>&1; then
  tail -n 5 "$log" >&2
  echo "could not install Chromium: the tests of the web page will be skipped" >&2
fi
rm -f "$log"
