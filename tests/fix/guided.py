"""Lets atheris, a coverage-guided fuzzer, at one target: `python -m tests.fix.guided codec FOLDER [libFuzzer options]`.

atheris is no dependency: scripts/guided.sh fetches it. Coverage is that of plain Python, so nothing is compiled.
"""

import os
import sys
from pathlib import Path

os.environ["KK99_LANE"] = "python"

import atheris

with atheris.instrument_imports(include=["gateways.fix"]):
    from tests.fix.fuzz_targets import SEEDS, TARGETS


def main():
    """Fuzz until the options say that it is enough; a finding ends it and is kept as a file."""
    name, folder, *options = sys.argv[1:]
    for number, seed in enumerate(SEEDS[name]):
        (Path(folder) / f"seed-{number}").write_bytes(seed)
    atheris.Setup([sys.argv[0], folder, *options], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
