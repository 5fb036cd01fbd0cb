"""One server for all tests that only talk to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.server import Server, make_models, serving
from tests.e2e.studio_browser import browsers


@pytest.fixture(scope="session")
def served_models(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> dict[str, Path]:
    """Name -> artifact."""
    return make_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, served_models: dict[str, Path]):
    """A server without keys, on this machine alone."""
    with serving(tmp_path_factory.mktemp("served") / "state", served_models) as started:
        assert isinstance(started, Server)
        yield started


@pytest.fixture
def open_page(server: Any, tmp_path: Path):
    """A function that opens the studio of `server` at a size, in a colour scheme and a language."""
    with browsers(tmp_path, server.url) as open_:
        yield open_
