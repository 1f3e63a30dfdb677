"""The service manager, as far as operators need it: units by short name, their state, starting and stopping them.

Invariant: nothing here needs systemd to be there; where it is not, the state of a unit is "unknown".
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from typing import Final

from kk99.errors import EngineError, InputError

TARGET: Final = "kk99.target"
SERVICES: Final = ("engine", "fix", "web", "settlement", "exporter")
"""Short names, in the order in which they start: the engine first."""
_LOOK_S: Final = 10.0
_WAIT_S: Final = 900.0
"""A first start compiles, and a long journal is replayed."""


def unit_of(name: str) -> str:
    """Return the unit of a short name such as `engine`, or of `all`; `InputError` if there is none."""
    if name == "all":
        return TARGET
    if name not in SERVICES:
        raise InputError(f"there is no service {name!r}, only {', '.join(SERVICES)} and all")
    return f"kk99-{name}.service"


def control(*arguments: str) -> str:
    """Run systemctl and return what it prints; `EngineError` with its last words if it fails."""
    program = shutil.which("systemctl")
    if program is None:
        raise EngineError("this machine has no systemctl: a venue started with `kk99 up` is stopped there with Ctrl-C")
    command = [program, "--no-pager", "--no-ask-password", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_WAIT_S, check=False)  # noqa: S603 - no shell
    except subprocess.TimeoutExpired as error:
        raise EngineError(
            f"systemctl {' '.join(arguments)} has not ended in {_WAIT_S:.0f} s; see `kk99 logs`"
        ) from error
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines() or [f"status {done.returncode}"]
        raise EngineError(f"systemctl {' '.join(arguments)}: {words[-1]}; see `kk99 logs`")
    return done.stdout


def states() -> dict[str, str]:
    """Return the state of each service by short name: `active`, `inactive`, `failed`..., or `unknown`."""
    units = [unit_of(name) for name in SERVICES]
    program = shutil.which("systemctl")
    found: list[str] = []
    if program is not None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            done = subprocess.run(  # noqa: S603 - no shell
                [program, "is-active", *units], capture_output=True, text=True, timeout=_LOOK_S, check=False
            )
            found = done.stdout.split()
    if len(found) != len(units):
        return dict.fromkeys(SERVICES, "unknown")
    return dict(zip(SERVICES, found, strict=True))
