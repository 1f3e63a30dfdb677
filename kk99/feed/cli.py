"""`kk99 feed FILE` plays a file of order flow into a running venue; `kk99 feed convert` makes a recording."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import click

from kk99.errors import InputError
from kk99.feed import binance, recording

SOURCE = (
    "Binance spot BTCUSDT streams of 2024-08-08 (depth, best bid and ask, trades), from the examples of "
    "https://github.com/nkaz001/hftbacktest (MIT, Copyright (c) 2022 nkaz001@protonmail.com)"
)


class FileGroup(click.Group):
    """A group whose first argument may be a file: then it means `play`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `play` first unless a command or an option of the group is there."""
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["play", *args]
        return super().parse_args(ctx, args)


class Speed(click.ParamType[float]):
    """How fast to play: a factor above 0, or max (infinite)."""

    name = "factor|max"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the factor, or infinity for max."""
        if value == "max":
            return float("inf")
        try:
            factor = float(value)
        except ValueError:
            factor = 0.0
        if not 0 < factor < float("inf"):
            self.fail(f"{value!r} is neither a number above 0 nor max", param, ctx)
        return factor


class Step(click.ParamType[Decimal]):
    """A step of prices or quantities: a finite decimal number above 0."""

    name = "step"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        """Return the step."""
        try:
            step = Decimal(value)
        except InvalidOperation:
            step = Decimal(0)
        if not (step.is_finite() and step > 0):
            self.fail(f"{value!r} is not a number above 0", param, ctx)
        return step


SPEED = Speed()


@click.group(cls=FileGroup, context_settings={"help_option_names": ["-h", "--help"]})
def feed() -> None:
    """Play a FILE of order flow into a running venue (`kk99 feed FILE`), or convert a capture."""


@feed.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--speed", type=SPEED, default="1", show_default=True, help="1 is real time.")
@click.option("--loop", is_flag=True, help="Start over at the end, for ever.")
@click.option("--instrument", help="Play it on this instrument.")
@click.option(
    "--connect", default="var/run", show_default=True, help="Folder of the engine's sockets, or tcp://host:port."
)
@click.option("--venue", type=click.Path(path_type=Path), help="What to set up first.  [default: config/venue.toml]")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def play(
    file: Path, speed: float, loop: bool, instrument: str | None, connect: str, venue: Path | None, quiet: bool
) -> None:
    """Play FILE: a recording, a LOBSTER message file, a table or a benchmark flow."""
    from kk99.feed import player  # noqa: PLC0415 - its libraries are not needed to convert
    from kk99.feed.venue import config_path  # noqa: PLC0415 - likewise

    config = venue or config_path("venue.toml")
    player.play(file, speed, connect, config, loop=loop, instrument=instrument, quiet=quiet)


@feed.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--instrument", default="BTCUSDT", show_default=True)
@click.option("--tick", type=Step(), default="0.01", show_default=True, help="Price step.")
@click.option("--lot", type=Step(), default="0.00001", show_default=True, help="Quantity step.")
@click.option("--origin", default=SOURCE, help="Where the capture comes from, and its licence.")
def convert(source: Path, target: Path, instrument: str, tick: Decimal, lot: Decimal, origin: str) -> None:
    """Make a recording of SOURCE, a gzipped capture of Binance spot streams, at TARGET (*.kk99rec)."""
    if target.suffix != ".kk99rec":
        raise InputError(f"{target}: a recording's name ends in .kk99rec")
    flow = binance.read(source, instrument, tick, lot)
    recording.write(target, flow, origin)
    click.echo(
        f"{target}: {len(flow.rows):,} instructions, {flow.duration_ns / 1e9:,.1f} s, {target.stat().st_size:,} bytes"
    )
    for name, count in flow.notes.items():
        click.echo(f"  {name} {count:,}")
