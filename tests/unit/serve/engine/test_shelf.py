"""The models of a worker: loaded when needed, put away when idle or when room is short."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from genloom import artifact
from genloom.errors import BadInput
from genloom.int8 import Int8
from genloom.nets.packed import Blocked, packed
from genloom.serve.engine.faults import ModelUnavailable
from genloom.serve.engine.shelf import Shelf, weight_bytes
from tests.unit.serve.engine.made import TABLES, stored


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("shelf")
    return {name: stored(folder, name) for name in ("gan", "vae", "autoregressive")}


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_model_is_loaded_when_it_is_asked_for_and_once(folders):
    shelf = Shelf(folders)
    assert shelf.sizes() == {} and list(shelf) == list(folders)
    first = shelf["gan"]
    assert shelf["gan"] is first and first.hash == artifact.load(folders["gan"]).hash
    assert shelf.sizes() == {"gan": weight_bytes(first.model)}
    file = (folders["gan"] / artifact.WEIGHTS).stat().st_size
    assert 0.5 * file < weight_bytes(first.model) <= file


def test_what_is_idle_is_put_away_unless_it_is_in_use(folders):
    clock, busy = Clock(), {"vae"}
    shelf = Shelf(folders, idle_s=10, clock=clock, in_use=lambda: busy)
    _ = shelf["gan"], shelf["vae"]
    clock.now = 9
    _ = shelf["gan"]
    clock.now = 11
    shelf.sweep()
    assert set(shelf.sizes()) == {"gan", "vae"}
    clock.now = 20
    shelf.sweep()
    assert set(shelf.sizes()) == {"vae"}


def test_room_is_made_by_those_used_longest_ago(folders):
    size = (folders["autoregressive"] / artifact.WEIGHTS).stat().st_size
    busy: set[str] = set()
    shelf = Shelf(folders, in_use=lambda: busy)
    _ = shelf["gan"], shelf["vae"], shelf["gan"]
    shelf.budget = shelf.sizes()["gan"] + size
    _ = shelf["autoregressive"]
    assert set(shelf.sizes()) == {"gan", "autoregressive"}
    busy |= set(shelf.sizes())
    _ = shelf["vae"]
    assert busy <= set(shelf.sizes())


def test_an_unknown_name_has_a_hint_and_a_broken_folder_no_path(folders, tmp_path, caplog):
    shelf = Shelf({**folders, "gone": tmp_path / "secret"})
    with pytest.raises(BadInput, match="did you mean 'gan'"):
        _ = shelf["gam"]
    with caplog.at_level(logging.ERROR), pytest.raises(ModelUnavailable) as caught:
        _ = shelf["gone"]
    assert "secret" not in str(caught.value) and "secret" in caplog.text


def test_weights_are_packed_where_that_is_asked_for(folders, tmp_path, monkeypatch):
    net = {"use": "transformer", "width": 256, "layers": 1, "heads": 2}
    monkeypatch.setitem(TABLES, "autoregressive", {"net": net})
    wide = {"gan": folders["gan"], "wide": stored(tmp_path, "autoregressive")}
    plain, small = Shelf(wide), Shelf(wide, int8={"wide"})
    for shelf, kind in ((small, Int8), (plain, Blocked)):
        assert [type(one) for one in packed(shelf["wide"].model)] == [kind] * 4
    assert small.sizes()["wide"] < 0.5 * plain.sizes()["wide"]
    assert small["gan"].hash == plain["gan"].hash


def test_what_is_packed_is_loaded_on_the_cpu_wherever_others_are(folders, monkeypatch):
    devices: dict[Path, str] = {}
    load = artifact.load

    def seen(path: Path, *, device: str = "auto") -> artifact.Artifact:
        devices[path] = device
        return load(path, device="cpu")  # no accelerator is here

    monkeypatch.setattr(artifact, "load", seen)
    shelf = Shelf(folders, int8={"autoregressive"})
    _ = shelf["gan"], shelf["autoregressive"]
    assert [devices[artifact.find(folders[name])] for name in shelf.sizes()] == ["auto", "cpu"]
