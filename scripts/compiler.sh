#!/usr/bin/env bash
# Makes sure that g++, which builds the C++ yardstick of the benchmarks, is there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

command -v g++ >/dev/null || scripts/install_package.sh g++
