"""Databases to keep books in: SQLite in a file, and a real PostgreSQL of this test run's own."""

import contextlib
import tempfile
import warnings

import pytest

from gateways.settlement.database import Database
from tests.gateways.settlement.support import emptied, sqlite


@pytest.fixture(scope="session")
def postgres_url():
    """The URL of a PostgreSQL that lives as long as the tests; without one, what needs it is skipped and says why."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pgserver's libraries, about folders that it does not need
        try:
            import pgserver

            folder = tempfile.mkdtemp(prefix="kk99-pg-")
            server = pgserver.get_server(folder, cleanup_mode="delete")
        except Exception as error:  # noqa: BLE001 - whatever keeps it from running here
            pytest.skip(f"no PostgreSQL can be run here: {error!r}")
    yield server.get_uri().replace("postgresql://", "postgresql+psycopg://")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        server.cleanup()


@pytest.fixture(params=["sqlite", "postgres"])
def database(request, tmp_path):
    """An empty writer's database of either kind."""
    with contextlib.ExitStack() as stack:
        if request.param == "sqlite":
            opened = sqlite(tmp_path)
        else:
            opened = Database(request.getfixturevalue("postgres_url"), is_writer=True)
        stack.enter_context(opened)
        yield emptied(opened)
