#!/usr/bin/env bash
# Lets a coverage-guided fuzzer at the FIX codec and session, MINUTES (default 10) each. It is fetched when it is first
# asked for, into a folder of its own. What it learns stays in .cache/guided; a finding ends it and is named.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

minutes="${MINUTES:-10}"
folder=.cache/atheris
if [ ! -d "$folder/atheris" ]; then
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: --target "$folder" "atheris==3.0.0"
fi
for target in codec session; do
    mkdir -p ".cache/guided/$target"
    KK99_LANE=python PYTHONPATH="$folder:." .venv/bin/python -m tests.fix.guided "$target" ".cache/guided/$target" \
        -max_total_time="$((minutes * 60))" -timeout=20 -rss_limit_mb=2048 -max_len=2048 \
        -artifact_prefix=".cache/guided/$target-" -print_final_stats=1
done
