"""The database: opened by URL, brought to the newest version of the tables, and read or written.

SQLite holds one writer at a time. A writing transaction takes that place when it begins: one that
takes it only at its first write can fail, whatever the time limit, when another wrote meanwhile.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, final
from zlib import crc32

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, func, make_url, select
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError

from genloom import __version__
from genloom.errors import BadInput, need

WAIT_S = 30.0  # for another writer of a SQLite file
POOL, OVERFLOW = 8, 32  # connections that are kept, and more under load; a server has 40 threads


@final
class Store:
    """A database of the server, upgraded when opened; threads and processes may share it.

    What is written has reached the disk when the call returns (SQLite: synchronous = FULL): jobs,
    keys, files, votes. Outputs are written with `lasting=False`, which waits for no disk (SQLite:
    NORMAL, PostgreSQL: synchronous_commit off): a crash of the process loses nothing, after a power
    cut the last moments may be missing, and the database is whole in any case.

    Args:
        url: `sqlite:///file`, `postgresql://user@host/name`, or a path of a SQLite file.
        clock: Gives seconds since 1970. Where machines share a database, their clocks should
            differ by much less than a lease lasts.

    Raises:
        BadInput: It cannot be opened, or a newer genloom wrote it.
        MissingExtra: PostgreSQL's driver is not installed.
    """

    def __init__(self, url: str | Path, *, clock: Callable[[], float] = time.time):
        self.url = _parsed(url)
        self.clock = clock
        self._engine = _engine(self.url)
        self._writer = self._engine.execution_options(writes="FULL")
        self._fleeting = self._engine.execution_options(writes="NORMAL")
        try:
            if self.url.get_backend_name() == "sqlite":
                _log_ahead(self.url.database or "")
            with self.writing(lock="migrations") as connection:
                _upgrade(connection)
        except BaseException as error:
            self.close()
            if isinstance(error, DBAPIError | sqlite3.Error):
                said = error.orig if isinstance(error, DBAPIError) else error
                raise BadInput(f"{self} cannot be opened: {said}.") from error
            raise

    def __str__(self) -> str:
        return f"the database {self.url.render_as_string(hide_password=True)}"

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that only reads; on SQLite it waits for nobody."""
        with self._engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self, *, lock: str = "", lasting: bool = True) -> Iterator[Connection]:
        """A transaction that is committed when the block ends, and undone when it raises.

        Args:
            lock: Transactions that name the same one follow each other. On SQLite all do.
            lasting: Wait for the disk, so that a power cut does not undo it.
        """
        with (self._writer if lasting else self._fleeting).begin() as connection:
            if not lasting and connection.dialect.name == "postgresql":
                connection.exec_driver_sql("SET LOCAL synchronous_commit TO off")
            if lock and connection.dialect.name == "postgresql":
                connection.execute(select(func.pg_advisory_xact_lock(crc32(lock.encode()))))
            yield connection


def _parsed(url: str | Path) -> URL:
    text = str(url)
    try:
        parsed = make_url(text if "://" in text else f"sqlite:///{text}")
    except (ArgumentError, ValueError) as error:
        raise BadInput("the database's URL is not one. Write sqlite:///file.db.") from error
    backend = parsed.get_backend_name()
    if backend in ("postgres", "postgresql"):
        return parsed.set(drivername="postgresql+psycopg")
    if backend != "sqlite":
        raise BadInput(f"a database of kind {backend!r}: it must be sqlite or postgresql.")
    if parsed.database in (None, "", ":memory:") or parsed.query:
        raise BadInput("a database in memory forgets its jobs: name a file, sqlite:///file.db.")
    return parsed.set(drivername="sqlite+pysqlite")


def _engine(url: URL) -> Engine:
    options: dict[str, Any] = {
        "pool_size": POOL,
        "max_overflow": OVERFLOW,
        "json_serializer": partial(json.dumps, allow_nan=False),
    }
    if url.get_backend_name() == "postgresql":
        try:
            return create_engine(url, pool_pre_ping=True, **options)
        except ModuleNotFoundError as error:
            raise need("psycopg", "serve", "PostgreSQL") from error
    path = Path(url.database or "")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Prompts are private; the log beside the file takes its mode.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise BadInput(f"the database {path} cannot be opened: {error.strerror}.") from error
    engine = create_engine(url, connect_args={"timeout": WAIT_S}, **options)
    event.listen(engine, "connect", _connected)
    event.listen(engine, "begin", _begun)
    return engine


def _connected(connection: Any, _: object) -> None:
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")


def _begun(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes")
    if writes is not None:  # connections are used for both kinds in turn
        connection.exec_driver_sql(f"PRAGMA synchronous = {writes}")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _log_ahead(path: str) -> None:
    """Have SQLite keep a log, so that readers and the writer do not wait for each other.

    The file remembers it. While another process asks for the same, SQLite says 'locked' at once.
    """
    deadline = time.monotonic() + WAIT_S
    with closing(sqlite3.connect(path, timeout=WAIT_S)) as connection:
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option(
        "script_location", str(Path(__file__).parent / "migrations").replace("%", "%%")
    )
    config.attributes["connection"] = connection
    script = ScriptDirectory.from_config(config)
    known = {revision.revision for revision in script.walk_revisions()}
    found = MigrationContext.configure(connection).get_current_heads()
    if not known.issuperset(found):
        raise BadInput(
            f"the database has version {', '.join(found)}; this genloom ({__version__}) knows "
            f"versions up to {script.get_current_head()}. Install the genloom that wrote it."
        )
    command.upgrade(config, "head")
