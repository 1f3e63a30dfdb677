"""FIX sessions as identities in the journal of a test's venue."""

from gateways.client import Client
from gateways.fix.settings import SessionSettings
from kk99 import build
from kk99.schema import CommandKind, EventKind
from tests.engine.harness import DEADLINE_S

WHO = {"actor": "test", "reason": "sessions"}


def define(address, *sessions: SessionSettings):
    """Define the identities of sessions, or change them, and wait until that is in the journal; all are taken."""
    with Client.connect(address, "identities", timeout_s=DEADLINE_S) as client:
        for session in sessions:
            client.submit(build.document(CommandKind.IDENTITY_DEFINE, session.identity() | WHO))
        client.flush()
        left = len(sessions)
        while left:
            rows = client.poll_events(DEADLINE_S).rows
            mine = rows[rows["command_kind"] == CommandKind.IDENTITY_DEFINE]
            assert (mine["kind"] == EventKind.IDENTITY_DEFINED).all(), mine["reason"]
            left -= len(mine)
