"""What every benchmark is told: how large, where its data may lie, and where its progress goes."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator


Size = TypeVar("Size", int, float)


@dataclass(frozen=True, slots=True)
class Options:
    """How to run a bench."""

    quick: bool
    """Tiny sizes, so that a test can run the whole of it."""
    data: Path
    """Folders are made below it, on the disk that is to be measured, and removed."""

    def pick(self, full: Size, tiny: Size) -> Size:
        """Return a size, by whether this is a quick run."""
        return tiny if self.quick else full

    def say(self, text: str) -> None:
        """Tell what is being done now, on standard error."""
        print(f"bench: {text}", file=sys.stderr, flush=True)  # noqa: T201 - progress is for the terminal

    @contextlib.contextmanager
    def folder(self) -> Iterator[Path]:
        """Make a folder on the disk under test, and remove it afterwards."""
        self.data.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=self.data.absolute()))
        try:
            yield made
        finally:
            shutil.rmtree(made, ignore_errors=True)
