"""A server with keys, what lies beside it, and the list of its routes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from genloom.serve.app import create_app
from genloom.serve.settings import Settings
from genloom.serve.store import Keys, Store, pepper
from tests.e2e.attacks.wire import Wire
from tests.e2e.server import Server, serving

OUTSIDE = "what lies outside of the store"
ID = "a" * 26
OPEN_PLACE = re.compile(r"\{\w+\}")


@dataclass(frozen=True)
class Route:
    """One method of one path; what a path leaves open is in braces."""

    method: str
    path: str

    @property
    def body(self) -> Any:
        """What a request must say beside the path."""
        if self.method == "GET" or self.method == "DELETE":
            return b""
        return {"approve": True, "reason": "x"} if self.path.startswith("/v1/reviews") else {}

    @property
    def kind(self) -> str:
        """What its ids are of, "" where it has none."""
        return self.path.split("/")[2] if "{" in self.path else ""

    def at(self, value: str, *more: str) -> str:
        """The path with a value in the place of what is open, and 0 in further ones."""
        given = iter((value, *more))
        return OPEN_PLACE.sub(lambda _: next(given, "0"), self.path)

    def places(self, value: str) -> list[str]:
        """The path with a value in each of the open places, and an id or 0 in the others."""
        opens = len(OPEN_PLACE.findall(self.path))
        usual = [ID, *["0"] * (opens - 1)]
        return [self.at(*usual[:i], value, *usual[i + 1 :]) for i in range(opens)]


def make_keys(folder: Path) -> dict[str, str]:
    """Name -> secret of a key for each scope, and of a second one to generate."""
    folder.mkdir(parents=True, mode=0o700)
    scopes = {"anna": "generate", "bert": "generate", "trainer": "train", "chief": "admin"}
    scopes |= dict.fromkeys(("fuzz", "rival"), "generate,train,admin")
    with Store(f"sqlite:///{folder / 'genloom.sqlite'}") as store:
        keys = Keys(store, pepper(folder / "secret" / "pepper"))
        return {name: keys.make(name, scope.split(","))[1] for name, scope in scopes.items()}


@pytest.fixture(scope="session")
def guarded(
    tmp_path_factory: pytest.TempPathFactory, served_models: dict[str, Path]
) -> Iterator[tuple[Server, dict[str, str]]]:
    """A server that has keys, and their secrets."""
    folder = tmp_path_factory.mktemp("guarded") / "state"
    (folder.parent / "outside.txt").write_text(OUTSIDE)
    secrets = make_keys(folder)
    few = {name: served_models[name] for name in ("digits", "moons", "codes")}
    with serving(folder, few) as started:
        yield started, secrets


@pytest.fixture(scope="session")
def secrets(guarded) -> dict[str, str]:
    return guarded[1]


@pytest.fixture
def stranger(guarded) -> Iterator[Wire]:
    """Somebody without a key."""
    wire = Wire(guarded[0].url)
    yield wire
    wire.close()


@pytest.fixture
def anna(stranger, secrets) -> Iterator[Wire]:
    """Somebody who may generate."""
    wire = stranger.with_key(secrets["anna"])
    yield wire
    wire.close()


@pytest.fixture
def local(server) -> Iterator[Wire]:
    """Whoever sits at the machine of a server without keys: everything is allowed."""
    wire = Wire(server.url)
    yield wire
    wire.close()


@pytest.fixture(scope="session")
def document(tmp_path_factory: pytest.TempPathFactory, served_models: dict[str, Path]) -> dict:
    """The app's own OpenAPI document, which the server itself shows to nobody."""
    settings = Settings(served_models, tmp_path_factory.mktemp("described"))
    app = create_app(settings)
    app.state.services.store.close()
    return app.openapi()


@pytest.fixture(scope="session")
def routes(document: dict) -> list[Route]:
    """All routes."""
    return [
        Route(method.upper(), path)
        for path, methods in document["paths"].items()
        for method in methods
    ]
