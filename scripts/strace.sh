#!/usr/bin/env bash
# Makes sure that strace, which records what the engine writes and syncs, is there; the tests that need it are skipped
# where it can't be had.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

command -v strace >/dev/null || scripts/install_package.sh strace ||
    printf 'without strace, the tests that record writes and syncs are skipped.\n' >&2
