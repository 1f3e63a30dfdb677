"""The `kk99 replay` commands: arguments in, one answer out; what they do is in the other modules of the room.

Each takes `--json`: one object, `quality` one a record. `verify` and `bisect` end with status 1 when all is not well.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from journal import head as journal_head
from journal.reader import Reader
from kk99.errors import InputError, JournalError
from kk99.paths import DataDir
from replay import audit_cli, bisect, export, inspect, lines, measure, render, run, statements, verify
from replay.moment import Moment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Tell = Callable[[int], None]

_data = click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default="var",
    envvar="KK99_DATA",
    show_default=True,
    help="The venue's data folder.",
)
_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
_from_snapshot = click.option(
    "--from-snapshot",
    is_flag=False,
    flag_value="newest",
    metavar="[FILE]",
    help="Begin with a snapshot's state: this file's, or the newest good one's.",
)


@click.group(commands=[audit_cli.audit])
def replay() -> None:
    """Replay, verify, compare, inspect and export the journal."""


@contextmanager
def _reader(data: Path, *, any_release: bool = False) -> Iterator[Reader]:
    with Reader(DataDir(data).journal, any_release=any_release) as reader:
        yield reader


def _sequences(_ctx: click.Context, _param: click.Parameter, value: str) -> list[int]:
    parts = [part for part in value.split(",") if part]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise click.BadParameter("must be sequences from 1 on, with commas between")
    return sorted({int(part) for part in parts})


@replay.command("run")
@_data
@_json
@_from_snapshot
@click.option("--to-seq", type=click.IntRange(0), help="Stop after this command.")
@click.option("--to-time", "to_time_ns", type=Moment(), help="Stop after the last command at or before this time.")
@click.option("--hash-at", default="", callback=_sequences, metavar="SEQ,…", help="Also print the state hash there.")
def run_command(
    data: Path,
    *,
    as_json: bool,
    from_snapshot: str | None,
    to_seq: int | None,
    to_time_ns: int | None,
    hash_at: list[int],
) -> None:
    """Replay the log and print the state's hash."""
    with _reader(data) as reader:
        if max([to_seq or 0, *hash_at]) > (end := reader.head().seq):
            raise InputError(f"the log ends at seq {end}")
        to_seq = hash_at[-1] if hash_at and to_seq is None else to_seq
        machine = run.start(DataDir(data), reader, from_snapshot, to_seq)
        if to_seq is not None and machine.seq > to_seq:
            raise InputError(f"the snapshot is at seq {machine.seq}, after {to_seq}")
        first_seq, begun = machine.seq + 1, time.perf_counter()
        hashes: dict[int, str] = {}
        source = run.ahead(run.pieces(reader.batches(first_seq, to_seq)))
        with render.progress("replay", first_seq, to_seq or end) as tell:
            for step in run.drive(machine, source, to_seq=to_seq, to_time_ns=to_time_ns, stops=hash_at):
                if step.stopped:
                    hashes[machine.seq] = machine.state_hash().hex()
                tell(machine.seq)
        seconds = time.perf_counter() - begun
    commands = machine.seq - first_seq + 1
    answer: dict[str, Any] = {
        "seq": machine.seq,
        "time_ns": machine.time_ns,
        "state_hash": machine.state_hash().hex(),
        "commands": commands,
        "seconds": round(seconds, 6),
        "commands_per_s": round(commands / seconds) if seconds else 0,
    }
    shown = dict(answer) | {f"hash at seq {seq}": text for seq, text in hashes.items()}
    render.emit(answer | ({"hashes": hashes} if hash_at else {}), render.fields(shown), as_json=as_json)


@replay.command("verify")
@_data
@_json
@_from_snapshot
@click.option("--events", is_flag=True, help="Also compare the event store with the events brought forth anew.")
@click.option(
    "--head", "head_file", type=click.File(), help="A signed head (`kk99 journal head`) that the log must extend."
)
@click.option("--key", help="Public key, in hexadecimal, that must have signed the head.")
@click.pass_context
def verify_command(
    ctx: click.Context,
    data: Path,
    *,
    as_json: bool,
    from_snapshot: str | None,
    events: bool,
    head_file: Any,
    key: str | None,
) -> None:
    """Prove that the log is whole and that snapshots and events follow from it; status 1 if not."""
    head = None if head_file is None else journal_head.check(head_file.read(), _public_key(key))
    with _reader(data, any_release=True) as reader, render.progress("verify", 1, _end(reader)) as tell:
        verdict = verify.verify(
            DataDir(data), reader, from_snapshot=from_snapshot, events=events, head=head, progress=tell
        )
    answer = {"good": verdict.good, **render.plain(verdict), "commands_per_s": round(verdict.commands_per_s)}
    render.emit(answer, _verdict_text(verdict), as_json=as_json)
    ctx.exit(0 if verdict.good else 1)


def _public_key(text: str | None) -> Ed25519PublicKey | None:
    try:
        return None if text is None else Ed25519PublicKey.from_public_bytes(bytes.fromhex(text))
    except ValueError as error:
        raise InputError("the public key is 64 hexadecimal digits") from error


def _end(reader: Reader) -> int:
    """Return the log's last sequence as far as it is known before it was read."""
    try:
        return reader.head().seq
    except JournalError:
        return 0


def _verdict_text(verdict: verify.Verdict) -> str:
    lines = [
        render.fields(
            {
                "venue": verdict.venue_id,
                "commands": f"{verdict.commands:,} from seq {verdict.first_seq}, the log ends at {verdict.last_seq}",
                "events": f"{verdict.events:,} brought forth",
                "state hash": verdict.state_hash or "none: the replay did not reach the end",
                "event store": verdict.stored_events,
                "head": verdict.head,
                "time": f"{verdict.seconds:.2f} s, {verdict.commands_per_s / 1e6:.2f} M commands/s",
            }
        )
    ]
    for one in verdict.stretches:
        done = "replayed" if one.replayed else "chain checked, not replayed"
        release = f"release {one.release}, behaviour {one.behaviour_version}, schema {one.fingerprint}"
        lines.append(f"seq {one.first_seq} to {one.last_seq}: {release}: {done}")
    lines += [f"cut off by an operator: {text}" for text in verdict.truncations]
    lines += [f"{one.file}: {one.result}" for one in verdict.snapshots]
    lines += [f"PROBLEM at seq {one.seq} ({one.where}): {one.text}" for one in verdict.problems]
    lines.append("GOOD" if verdict.good else f"BAD: first problem at seq {verdict.problems[0].seq}")
    return "\n".join(lines)


@replay.command("bisect")
@_data
@_json
@click.option("--against", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Another data folder.")
@click.option("--program", help="Another `kk99`, as a command line, to replay the same log with.")
@click.pass_context
def bisect_command(ctx: click.Context, data: Path, *, as_json: bool, against: Path | None, program: str | None) -> None:
    """Find the first sequence where two runs, or two programs on one log, differ; status 1 if they do."""
    if (against is None) == (program is None):
        raise click.UsageError("give either --against or --program")
    with _reader(data) as reader:
        if against is not None:
            with _reader(against) as other:
                found = bisect.compare_runs(DataDir(data), reader, DataDir(against), other)
        else:
            assert program is not None
            text, end = program, reader.head().seq
            with render.progress("bisect", 1, end) as tell:
                found = bisect.compare_programs(
                    lambda seqs: bisect.hashes_here(reader, seqs),
                    lambda seqs: bisect.hashes_of(text, DataDir(data), seqs),
                    end,
                    tell,
                )
    render.emit(found, _comparison_text(found), as_json=as_json)
    ctx.exit(0 if found.difference is None else 1)


def _comparison_text(found: bisect.Comparison) -> str:
    compared = f"compared: {', '.join(found.compared)}"
    if found.difference is None:
        return f"{compared}\nEQUAL to seq {found.equal_to_seq}"
    one = found.difference
    return f"{compared}\nDIFFERENT from seq {one.seq} on, in {one.what}\nleft:   {one.left}\nright:  {one.right}"


@replay.group("inspect")
def inspect_group() -> None:
    """Show a command, an order's life, an account's statement or a trade."""


@inspect_group.command("seq")
@click.argument("seq", type=click.IntRange(1))
@_data
@_json
def inspect_seq(seq: int, data: Path, *, as_json: bool) -> None:
    """Show one command with its cold row and document, and its events."""
    with _reader(data) as reader:
        found = inspect.command(DataDir(data), reader, seq)
    parts = [render.fields(found.command)]
    parts += ["cold row", render.fields(found.cold, "  ")] if found.cold else []
    parts += [f"in the batch that ends at seq {found.batch_last_seq}, hash {found.batch_hash}", "events"]
    parts += [render.event_line(event) for event in found.events]
    render.emit(found, "\n".join(parts), as_json=as_json)


@inspect_group.command("order")
@click.argument("order_id", type=click.IntRange(1))
@_data
@_json
def inspect_order(order_id: int, data: Path, *, as_json: bool) -> None:
    """Show every event of an order's life."""
    events = _searched(data, lambda reader, tell: inspect.order(reader, order_id, tell))
    render.emit({"order_id": order_id, "events": events}, "\n".join(map(render.event_line, events)), as_json=as_json)


@inspect_group.command("trade")
@click.argument("trade_id", type=click.IntRange(1))
@_data
@_json
def inspect_trade(trade_id: int, data: Path, *, as_json: bool) -> None:
    """Show a trade, its bust or corrections, and what it posted."""
    found = _searched(data, lambda reader, tell: inspect.trade(reader, trade_id, tell))
    postings = render.table(("account", "asset", "amount_units", "for"), found.postings)
    render.emit(found, "\n".join([*map(render.event_line, found.events), "", postings]), as_json=as_json)


@inspect_group.command("account")
@click.argument("account")
@_data
@_json
@click.option(
    "--from-seq", type=click.IntRange(1), default=1, show_default=True, help="First command of the statement."
)
@click.option("--to-seq", type=click.IntRange(0), help="Last command of the statement.")
def inspect_account(account: str, data: Path, *, as_json: bool, from_seq: int, to_seq: int | None) -> None:
    """Show an account's statement, by name or number."""
    found = _searched(data, lambda reader, tell: inspect.statement(reader, account, from_seq, to_seq, tell))
    render.emit(found, statements.text(found), as_json=as_json)


def _searched(data: Path, search: Callable[[Reader, Callable[[int], None]], Any]) -> Any:
    with _reader(data) as reader, render.progress("replay", 1, reader.head().seq) as tell:
        return search(reader, tell)


@replay.command("export")
@click.argument("table", type=click.Choice(export.TABLES))
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@_data
@_json
@click.option("--format", "file_format", type=click.Choice(export.FORMATS), help="By default, by the file's name.")
@click.option("--from-seq", type=click.IntRange(1), default=1, show_default=True, help="First command.")
@click.option("--to-seq", type=click.IntRange(1), help="Last command.")
def export_command(
    table: str, out: Path, data: Path, *, as_json: bool, file_format: str | None, from_seq: int, to_seq: int | None
) -> None:
    """Write commands, events or trades to a Parquet or CSV file."""
    chosen = file_format or out.suffix.removeprefix(".")
    if chosen not in export.FORMATS:
        raise click.UsageError("give --format, or a file name that ends in .parquet or .csv")
    with _reader(data) as reader:
        end = reader.head().seq
        last = end if to_seq is None else min(to_seq, end)
        with render.progress("export", from_seq, last) as tell:
            where = DataDir(data), reader, table, out, chosen
            rows = export.export(*where, from_seq=from_seq, to_seq=last, progress=tell)
    answer = {"table": table, "file": str(out), "format": chosen, "rows": rows, "from_seq": from_seq, "to_seq": last}
    render.emit(answer, f"{rows:,} {table} in {out}", as_json=as_json)


@replay.group("quality")
def quality_group() -> None:
    """Measure how well orders were executed, and how instruments traded."""


def _quality(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that both commands have."""
    for option in (
        click.option("--to-time", "to_time_ns", type=Moment(), help="End at this time."),
        click.option("--from-time", "from_time_ns", type=Moment(), help="Begin at this time."),
        click.option("--instrument", default="", help="Only this one, by name or number."),
        click.option("--csv", "how", flag_value="csv", help="Print comma-separated values."),
        click.option("--json", "how", flag_value="json", default="table", help="Print one JSON object a line."),
    ):
        command = option(command)
    return _data(command)


@quality_group.command("orders")
@_quality
@click.option("--account", default="", help="Only orders of this one, by name or number.")
@click.option("--order-id", type=click.IntRange(1), help="Only this one.")
@click.option("--client-id", default="", help="Only orders that had this client order id.")
def quality_orders(data: Path, *, how: str, **chosen: Any) -> None:
    """Show prices, benchmarks and slippage of orders, each when it ends, then those that live."""
    with _measured(data, chosen) as (measurement, out, tell):
        lines.WRITERS[how](measurement.orders(tell), measure.ORDERS[how](measurement.names), out)


@quality_group.command("instruments")
@_quality
def quality_instruments(data: Path, *, how: str, **chosen: Any) -> None:
    """Show volume, prices, spread and depth of instruments."""
    with _measured(data, chosen) as (measurement, out, tell):
        lines.WRITERS[how](measurement.instruments(tell), measure.INSTRUMENTS[how](measurement.names), out)


@contextmanager
def _measured(data: Path, chosen: dict[str, Any]) -> Iterator[tuple[measure.Measurement, lines.Output, Tell]]:
    with _reader(data) as reader, lines.output() as out:
        measurement = measure.Measurement(reader, measure.Chosen(**chosen))
        with render.progress("measure", 1, measurement.end_seq) as tell:
            yield measurement, out, tell
