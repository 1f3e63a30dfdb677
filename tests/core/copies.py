"""Copies of a machine that are made a little at a time, while a log of commands goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from kk99.core import layout as lay
from kk99.machine import Sections
from tests.core import logs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kk99 import batch
    from kk99.machine import Machine


class Copied(NamedTuple):
    """A copy: where it began, the state's hash then and the copy's, and how many orders were copied as they changed."""

    seq: int
    state_hash: str
    copy_hash: str
    ahead_count: int


def ahead_count(machine: Machine) -> int:
    """How many orders the latest copy took as they were about to change, ahead of its cursor."""
    words = machine.state.words
    count = machine.state.header(lay.H_ORDER_TOP) + 1
    marks = words[lay.COPIED_ORDERS : lay.COPIED_ORDERS + count * lay.ORDER_WORDS].reshape(count, -1)[:, lay.O_HASH]
    return int(np.count_nonzero(marks == -words[lay.S_COPIES]))


def copies(machine: Machine, commands: batch.Commands, row_count: int, order_count: int) -> Iterator[Copied]:
    """Run a log in batches of so many rows, with so many orders copied between two, and make one copy after another."""
    sections = Sections()
    state_hash = ""
    for part in logs.parts(commands, row_count):
        if not state_hash:
            state_hash = machine.state_hash().hex()
            sections.begin(machine)
        machine.apply_all(part)
        if sections.advance(order_count):
            count = ahead_count(machine)
            yield Copied(sections.seq, state_hash, sections.hash().hex(), count)
            state_hash = ""
