#!/usr/bin/env bash
# Makes sure that Chromium and its driver, in which the page is tested, are there; those tests are skipped where they
# can't be had.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

for package in chromium chromium-driver; do
    program=${package/chromium-driver/chromedriver}
    command -v "$program" >/dev/null || scripts/install_package.sh "$package" || {
        printf 'without %s, the tests of the page in a browser are skipped.\n' "$package" >&2
        break
    }
done
