"""The `kk99 exporter` and `kk99 metrics` commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from prometheus_client import CollectorRegistry, generate_latest
from rich.console import Console
from rich.table import Table

from kk99 import config
from kk99.exporter.gather import Gathered, buckets, families, gather, quantile
from kk99.exporter.serve import run
from kk99.logs import configure_logs
from kk99.metrics.figures import Counts
from kk99.metrics.series import Kind
from kk99.up import Stopper

if TYPE_CHECKING:
    from kk99.metrics.series import Series

_WIDTH: Final = 140

_DATA: Final = click.option(
    "--data", type=click.Path(path_type=Path), envvar="KK99_DATA",
    help="The venue's folder (default: that of the settings, or var).",
)  # fmt: skip
_RUN: Final = click.option(
    "--run", "run_dir", type=click.Path(path_type=Path), help="Folder of the sockets (default: run in --data)."
)
_CONFIG: Final = click.option(
    "--config", "config_file", type=click.Path(path_type=Path), help="TOML file with a table [metrics]."
)


@click.command()
@_DATA
@_RUN
@_CONFIG
@click.option("--listen", help="host:port of HTTP, instead of that of the settings.")
@click.option("--json-log", is_flag=True, help="Log as JSON lines.")
def exporter(
    data: Path | None, run_dir: Path | None, config_file: Path | None, listen: str | None, json_log: bool
) -> None:
    """Serve the figures of all processes to Prometheus until SIGTERM or SIGINT."""
    settings = _settings(data, run_dir, config_file, listen)
    configure_logs(json_log, "exporter")
    run(settings.metrics, settings.engine.address, settings.engine.sockets_dir, Stopper())


@click.command()
@_DATA
@_RUN
@_CONFIG
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--prometheus", is_flag=True, help="Print what Prometheus reads.")
@click.option("--all", "is_all", is_flag=True, help="Print counts that are 0, too.")
def metrics(
    data: Path | None, run_dir: Path | None, config_file: Path | None, as_json: bool, prometheus: bool, is_all: bool
) -> int:
    """Print the figures of all processes that run; the status is 1 when one that is expected does not."""
    settings = _settings(data, run_dir, config_file, None)
    found = gather(settings.engine.sockets_dir, settings.metrics.processes)
    if prometheus:
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Once(found))
        click.echo(generate_latest(registry).decode(), nl=False)
    elif as_json:
        click.echo(json.dumps(document(found)))
    else:
        Console(width=_WIDTH, highlight=False).print(table(found, is_all=is_all))
    return 0 if all(found.up.values()) else 1


def _settings(data: Path | None, run_dir: Path | None, config_file: Path | None, listen: str | None) -> config.Settings:
    return config.load(config_file, metrics={"listen": listen}, engine={"data_dir": data, "run_dir": run_dir})


class _Once:
    """Figures gathered before, as something to register."""

    def __init__(self, found: Gathered) -> None:
        self._found = found

    def collect(self) -> list[Any]:
        """Return them as families."""
        return families(self._found)

    def describe(self) -> list[Any]:
        """Return nothing: which families there are is known already."""
        return []


def document(found: Gathered) -> dict[str, Any]:
    """Return all samples as one object: `processes` (up or not), `samples` (name, labels and value or histogram)."""
    samples: list[dict[str, Any]] = []
    for series, labels, value in found.samples():
        sample: dict[str, Any] = {
            "name": series.name, "kind": series.kind.value,
            "labels": dict(zip(series.served_labels, labels, strict=True)),
        }  # fmt: skip
        if isinstance(value, Counts):
            sample |= {
                "count": sum(value.counts), "sum": value.total / series.per_unit,
                "buckets": dict(buckets(series, value)),
            }  # fmt: skip
        else:
            sample["value"] = value
        samples.append(sample)
    return {"processes": found.up, "samples": samples}


def table(found: Gathered, *, is_all: bool) -> Table:
    """Return the samples as a person reads them."""
    made = Table("series", "labels", "value", box=None, pad_edge=False)
    made.columns[2].justify = "right"
    for series, labels, value in found.samples():
        if isinstance(value, Counts):
            text = _histogram_text(series, value)
        elif not is_all and value == 0 and series.kind is Kind.COUNTER:
            continue
        else:
            text = _number_text(series, value)
        made.add_row(series.name, " ".join(labels), text)
    return made


def _histogram_text(series: Series, value: Counts) -> str:
    count = sum(value.counts)
    if not count:
        return "none yet"
    shown = [f"{count:,}"]
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        bound = quantile(series, value, share)
        shown.append(f"{name} > {series.bounds[-1] / series.per_unit:g}" if bound is None else f"{name} ≤ {bound:g}")
    return ", ".join(shown)


def _number_text(series: Series, value: float) -> str:
    if series.name == "kk99_process_start_time_seconds":
        return f"{value:.0f}"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"
