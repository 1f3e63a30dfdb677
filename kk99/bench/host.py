"""The machine a benchmark ran on, in the words of its own kernel."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any


def describe(data: Path) -> dict[str, Any]:
    """Return processor, usable cores, memory, disk of the data folder, kernel, versions and the load at this moment."""
    return {
        "cpu": _field("/proc/cpuinfo", "model name") or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(int((_field("/proc/meminfo", "MemTotal") or "0 kB").split()[0]) / (1 << 20), 1),
        "disk": disk_of(data),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "numba": metadata.version("numba"),
        "load_1_min": round(os.getloadavg()[0], 2),
    }


def disk_of(folder: Path) -> str:
    """Return the device and the file system that hold a folder, such as "/dev/vda ext4"."""
    best, found = -1, "unknown"
    path = str(folder.absolute())
    for line in Path("/proc/mounts").read_text().splitlines():
        device, mount, system = line.split()[:3]
        is_above = path == mount or path.startswith(mount.rstrip("/") + "/")
        if is_above and len(mount) >= best:
            best, found = len(mount), f"{device} {system}"
    return found


def _field(file: str, name: str) -> str | None:
    for line in Path(file).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return None
