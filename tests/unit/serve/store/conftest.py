"""A store in each database, with a clock that stands until it is moved."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from genloom.serve.store import Blobs, Store
from genloom.serve.store.tables import metadata

from . import postgres


class Clock:
    """Time as the tests want it."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="session")
def socket() -> Iterator[str]:
    with postgres.server() as folder:
        yield folder


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["sqlite", "postgresql"])
def backend(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def url(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of an empty database."""
    if backend == "sqlite":
        return f"sqlite:///{tmp_path}/store.db"
    return postgres.emptied(request.getfixturevalue("socket"))


@pytest.fixture(scope="session")
def new_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with tables; to make them takes longer than most tests."""
    path = tmp_path_factory.mktemp("store") / "new.db"
    Store(path).close()
    return path


@pytest.fixture(scope="session")
def new_url(socket: str) -> str:
    """A database of PostgreSQL with tables."""
    url = postgres.database(socket, "kept")
    Store(url).close()
    return url


@pytest.fixture
def store(
    backend: str, request: pytest.FixtureRequest, tmp_path: Path, clock: Clock
) -> Iterator[Store]:
    """With nothing in it."""
    if backend == "sqlite":
        path = shutil.copy(request.getfixturevalue("new_file"), tmp_path / "store.db")
        with Store(path, clock=clock) as store:
            yield store
        return
    with Store(request.getfixturevalue("new_url"), clock=clock) as store:
        with store.writing() as connection:
            for table in reversed(metadata.sorted_tables):
                connection.execute(table.delete())
        yield store


@pytest.fixture(params=["folder", "memory"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    if request.param == "folder":
        return Blobs(tmp_path / "blobs")
    return Blobs(f"memory://{tmp_path}")
