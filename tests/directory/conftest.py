"""The directory that the tests of documents begin with."""

import pytest

from kk99.directory import Directory
from kk99.directory.decisions import Reject
from kk99.schema import CommandKind
from tests.directory.deciding import FREE, INSTRUMENT, NINE, decide


@pytest.fixture
def directory():
    """A directory with a schedule, two assets, an instrument, an account and a session."""
    made = Directory()
    for kind, fields in [
        (CommandKind.FEE_SCHEDULE_DEFINE, {"name": "standard", "tiers": [FREE]}),
        (CommandKind.ASSET_DEFINE, {"name": "KAU", "scale": 8}),
        (CommandKind.ASSET_DEFINE, {"name": "USD", "scale": 4}),
        (CommandKind.TRADING_SCHEDULE_DEFINE, {"name": "day", "phases": [NINE]}),
        (CommandKind.INSTRUMENT_DEFINE, INSTRUMENT),
        (CommandKind.ACCOUNT_DEFINE, {"name": "alice-1", "owner": "alice"}),
        (CommandKind.SESSION_DEFINE, {"name": "gateway-1"}),
    ]:
        assert not isinstance(decide(made, kind, fields), Reject)
    return made
