"""The process that `kk99 bench memory` measures: applies frames from a file and says what memory it takes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from kk99 import batch
from kk99.core import layout as lay
from kk99.core.state import compile_kernel
from kk99.machine import Machine


def memory_bytes(name: str) -> int:
    """Return a line of this process's status, VmRSS (now) or VmHWM (the most so far), in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise AssertionError(name)


def main(path: Path) -> None:
    """Apply the frames and print one JSON object."""
    compile_kernel()
    machine = Machine()
    found = {"rss_empty_bytes": memory_bytes("VmRSS")}
    with path.open("rb") as file:
        while size := int.from_bytes(file.read(8), "little"):
            commands = batch.decode_commands(file.read(size))
            start = 0
            while start < len(commands.rows):
                start = machine.apply(commands, start).next
            machine.check()
    found["rss_bytes"] = memory_bytes("VmRSS")
    found["rss_peak_bytes"] = memory_bytes("VmHWM")
    found["orders"] = machine.state.header(lay.H_ORDERS)
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
