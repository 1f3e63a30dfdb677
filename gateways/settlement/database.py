"""The database: opened by its URL, brought to the tables of this release, read from, and written to by one process.

Invariants:
- SQLite runs in WAL mode, so readers never wait for the writer nor it for them; a transaction that did not reach the
  disk before a power loss is gone whole, with its cursor, and is derived again;
- tables are changed under a lock, by the migrations that ship with the package, never in any other way.
"""

from __future__ import annotations

import contextlib
import fcntl
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import psycopg
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import event, exc

from gateways.settlement import tables
from kk99.errors import InputError, InvariantError, KK99Error

if TYPE_CHECKING:
    from collections.abc import Iterator

SQLITE_CACHE_KIB: Final = 256 << 10
SQLITE_CHECKPOINT_PAGES: Final = 32_768
SQLITE_PAGE_BYTES: Final = 4_096
_BUSY_S: Final = 60.0
_MIGRATIONS: Final = Path(__file__).parent / "migrations"
_LOCK_KEY: Final = 0x6B6B3939
"""Of PostgreSQL's advisory locks: who migrates; one more: who writes."""


class DatabaseError(KK99Error):
    """The database can't be reached or used just now; the text says why."""


class Database:
    """A database of books and records; `is_writer` may change it."""

    def __init__(self, url: str, password: str = "", *, is_writer: bool = False) -> None:
        """Prepare connections; raises `InputError` for a URL that is of neither database."""
        self.url = _checked(url, password)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._is_writer = is_writer
        self._lock: Any = None
        # A writer whose connection was cut must hear of it: the lock is gone with it.
        options: dict[str, Any] = {"pool_pre_ping": not is_writer}
        if self.is_sqlite:
            options = {"connect_args": {"timeout": _BUSY_S}}
        self.engine = sa.create_engine(self.url, **options)
        if self.is_sqlite:
            event.listen(self.engine, "connect", self._connected)
            event.listen(self.engine, "begin", self._begun)
        elif is_writer:
            event.listen(self.engine, "connect", _connected_postgres)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def name(self) -> str:
        """The URL without its password."""
        return self.url.render_as_string(hide_password=True)

    def close(self) -> None:
        """Close all connections and give the writer's lock back."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None
        self.engine.dispose()

    @contextlib.contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Give a connection in a transaction that sees one state; what goes wrong there is a `DatabaseError`."""
        options = {} if self.is_sqlite else {"isolation_level": "REPEATABLE READ"}
        with _database_errors(self.name), self.engine.connect() as connection:
            yield connection.execution_options(**options)

    @contextlib.contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """Give a connection in a transaction that is committed at the end, or rolled back."""
        with _database_errors(self.name), self.engine.begin() as connection:
            yield connection

    def lock(self) -> None:
        """Become the one writer of this database, or stay it; raises `InputError` when another process is."""
        if self.is_sqlite:
            self._lock = self._lock or _file_lock(self._lock_path("writer"), wait=False)
            is_taken = self._lock is not None
        else:
            with _database_errors(self.name):
                is_taken = self._hold_postgres_lock()
        if not is_taken:
            raise InputError(f"{self.name}: another process writes these books: stop it first")

    def _hold_postgres_lock(self) -> bool:
        """Take the lock on a connection of its own, which it lasts as long as; whether it is ours."""
        if self._lock is not None:
            held, self._lock = self._lock, None
            try:
                held.scalar(sa.select(1))
                held.commit()
            except exc.DBAPIError:  # the connection was cut, and the lock with it
                held.invalidate()
                held.close()
            else:
                self._lock = held
                return True
        made = self.engine.connect()
        try:
            is_taken = bool(made.scalar(sa.select(sa.func.pg_try_advisory_lock(_LOCK_KEY + 1))))
            made.commit()
        except exc.DBAPIError:
            made.close()
            raise
        if is_taken:
            self._lock = made
        else:
            made.close()
        return is_taken

    def migrate(self) -> None:
        """Bring the tables to this release's; raises `InputError` when they are of a newer one."""
        if self.is_sqlite:
            path = Path(self.url.database or "")
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise InputError(f"{path.parent}: {error.strerror}") from error
            lock = _file_lock(self._lock_path("migration"), wait=True)
            try:
                self._upgrade()
                self._tell_planner()
            finally:
                lock.close()
        else:
            self._upgrade()

    def check(self) -> None:
        """Raise `InputError` unless the tables are this release's."""
        with self.reading() as connection:
            found = MigrationContext.configure(connection).get_current_revision()
        wanted = ScriptDirectory(str(_MIGRATIONS)).get_current_head()
        if found != wanted:
            has = "has no books" if found is None else f"is at {found}"
            raise InputError(f"{self.name} {has}, this release needs {wanted}: run `kk99 gateway settlement`")

    def drop(self) -> None:
        """Remove all tables."""
        with self.writing() as connection:
            tables.metadata.drop_all(connection)
            connection.execute(sa.text("DROP TABLE IF EXISTS alembic_version"))

    def _upgrade(self) -> None:
        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS))
        head = ScriptDirectory(str(_MIGRATIONS)).get_current_head()
        with self.writing() as connection:
            if not self.is_sqlite:
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK_KEY)))
            found = MigrationContext.configure(connection).get_current_revision()
            if found == head:
                return
            known = {script.revision for script in ScriptDirectory(str(_MIGRATIONS)).walk_revisions()}
            if found is not None and found not in known:
                raise InputError(f"{self.name} is at {found}, of a newer release: run that one")
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def _tell_planner(self) -> None:
        """Put the figures in place by which SQLite chooses indexes, where they are others."""
        owners = {str(index.name): table.name for table in tables.metadata.tables.values() for index in table.indexes}
        wanted = sorted((owners.get(name, name), name, text) for name, text in tables.SQLITE_STATISTICS.items())
        with self.writing() as connection:
            connection.exec_driver_sql("ANALYZE sqlite_schema")  # makes the table of figures
            found = connection.exec_driver_sql("SELECT tbl, idx, stat FROM sqlite_stat1 ORDER BY tbl, idx").fetchall()
            if [tuple(row) for row in found] != wanted:
                connection.exec_driver_sql("DELETE FROM sqlite_stat1")
                connection.exec_driver_sql("INSERT INTO sqlite_stat1 VALUES (?, ?, ?)", wanted)
                connection.exec_driver_sql("ANALYZE sqlite_schema")  # has this connection read them

    def _lock_path(self, what: str) -> Path:
        return Path(f"{self.url.database}.{what}.lock")

    def _connected(self, connection: Any, _: object) -> None:
        connection.isolation_level = None  # transactions are begun by `_begun`, not guessed from statements
        settings = [
            f"page_size = {SQLITE_PAGE_BYTES}", "journal_mode = WAL", "synchronous = NORMAL",
            f"wal_autocheckpoint = {SQLITE_CHECKPOINT_PAGES}",
        ] if self._is_writer else ["query_only = ON"]  # fmt: skip
        for setting in [*settings, f"cache_size = -{SQLITE_CACHE_KIB}", "temp_store = MEMORY"]:
            connection.execute(f"PRAGMA {setting}")

    def _begun(self, connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if self._is_writer else "BEGIN")


def _connected_postgres(connection: Any, _: object) -> None:
    """Let commits not wait for the disk: what a power loss takes is taken whole, and derived again."""
    with connection.cursor() as found:
        found.execute("SET synchronous_commit = off")
        for join in ("hashjoin", "mergejoin"):  # few new rows meet a large table: never read all of that
            found.execute(f"SET enable_{join} = off")
    connection.commit()


def _checked(url: str, password: str) -> sa.URL:
    try:
        made = sa.make_url(url)
    except exc.ArgumentError:
        raise InputError("url is no database URL: sqlite:////path or postgresql://user@host/name") from None
    if made.drivername in {"postgresql", "postgres"}:
        made = made.set(drivername="postgresql+psycopg")
    if made.drivername == "sqlite" and made.database and made.database != ":memory:":
        return made
    if made.drivername != "postgresql+psycopg":
        raise InputError(f"url of {made.drivername!r}: must be sqlite:////path/of/file or postgresql://user@host/name")
    return made.set(password=password) if password else made


def _file_lock(path: Path, *, wait: bool) -> Any:
    """Return an open file with a lock that ends with the process or when it is closed; None if another has it."""
    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        file.close()
        return None
    return file


@contextlib.contextmanager
def _database_errors(name: str) -> Iterator[None]:
    """Raise what a database raises as `DatabaseError`; rows that its tables refuse are an `InvariantError`."""
    try:
        yield
    except (exc.IntegrityError, exc.DataError, psycopg.IntegrityError, psycopg.DataError) as error:
        reason = f"{name} refuses rows: {_reason(error)}"
        raise InvariantError(
            f"{reason}: were the tables changed by hand? `kk99 settlement rebuild` makes them anew"
        ) from error
    except (exc.DBAPIError, psycopg.Error) as error:  # a COPY is not SQLAlchemy's
        raise DatabaseError(f"{name}: {_reason(error)}") from error


def _reason(error: exc.DBAPIError | psycopg.Error) -> str:
    """Return what the database itself said."""
    return str(getattr(error, "orig", None) or error).strip()
