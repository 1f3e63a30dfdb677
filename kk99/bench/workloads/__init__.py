"""Neutral workloads, the same rows for every engine: made from a seed, or read from a recording."""

from kk99.bench.workloads.deep_book import deep_book
from kk99.bench.workloads.equity_flow import Regime, equity_flow
from kk99.bench.workloads.exchange_mix import exchange_mix
from kk99.bench.workloads.flow import FLOW, FlowRows, FlowStats, Op, Side, Workload
from kk99.bench.workloads.model import measure

__all__ = [
    "FLOW",
    "FlowRows",
    "FlowStats",
    "Op",
    "Regime",
    "Side",
    "Workload",
    "deep_book",
    "equity_flow",
    "exchange_mix",
    "measure",
]
