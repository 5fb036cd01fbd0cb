"""`data.check` reads as training is told to read, and says no wherever training would."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pytest

from genloom import data
from genloom.cli import main
from genloom.core import options
from genloom.data import importing
from genloom.data.doubts import unheld
from genloom.errors import BadInput
from genloom.recipe import open_data


def test_it_reads_by_the_options_of_training(tmp_path: Path) -> None:
    path = tmp_path / "qa.csv"
    path.write_text("question,reply\nhi,ho\nwho,me\nyes,no\n", "utf-8")
    assert "data.text_column" in data.check(path).problem
    report = data.check(path, text_column="question,reply")
    assert (report.n, report.problem, report.notes[-1]) == (3, "", "talks of assistant, user")


@pytest.mark.parametrize(
    ("text", "options", "reason"),
    [
        ("a few words", {}, "length = 128"),
        ("one\ntwo\nthree\n", {"document": "line", "tokenizer": "smiles"}, "too few"),
        ("one\ntwo\nthree\n", {"document": "line", "tokenizer": "nowhere/"}, "tokenizer.json"),
        ("one\ntwo\nthree\n", {"document": "line", "vocab": 300}, "leave it out"),
        ("one\ntwo\nthree\n", {"given": "paired"}, "folder"),
    ],
)
def test_what_training_refuses_is_not_ready(
    text: str, options: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.txt"
    path.write_text(text, "utf-8")
    report = data.check(path, **options)
    assert not report.ready
    assert reason in report.problem
    with pytest.raises(BadInput, match=reason):
        data.open_dataset(path, **options, cache=tmp_path / "cache")


@pytest.mark.parametrize(
    ("source", "options", "reason"),
    [
        ("digits", {"valid": 0.6, "test": 0.6}, "sum below 1"),
        ("digits", {"captions": True}, "no training item has a caption"),
        ("digits", {"given": "grey"}, "needs colours"),
        ("digits", {"transpose": 2}, "for music"),
        ("moons", {"flip": True}, "for images; moons is points"),
        ("moons", {"captions": True, "tokenizer": "nowhere/"}, "no training item has a caption"),
        ("pictures", {"valid": 0.5, "test": 0.4}, "too few to train on"),
        ("pictures", {"captions": True, "tokenizer": "nowhere/"}, "tokenizer.json"),
        ("a.txt", {"cutout": 0.5}, "for images; a.txt is text"),
        ("a.txt", {"captions": True}, "a.txt is text"),
        ("unequal", {"given": "unpaired", "valid": 0.0}, "no source picture"),
    ],
)
def test_every_key_of_training_is_checked(
    source: str, options: dict[str, Any], reason: str, tmp_path: Path, paint: Any
) -> None:
    for i in range(2):
        paint(tmp_path / "pictures" / f"{i}.png", i)
        (tmp_path / "pictures" / f"{i}.txt").write_text("a word", "utf-8")
    (tmp_path / "a.txt").write_text("some words, " * 200, "utf-8")
    for i, name in enumerate(["trainA/a.png", "trainB/b.png", "testA/note.png", "testB/d.png"]):
        paint(tmp_path / "unequal" / name, i)
    (tmp_path / "unequal" / "testA" / "note.png").write_bytes(b"")
    path = tmp_path / source if (tmp_path / source).exists() else source
    report = data.check(path, **options, cache=tmp_path / "cache")
    assert reason in report.problem
    with pytest.raises(BadInput) as refused:
        data.open_dataset(path, **options, cache=tmp_path / "cache")
    assert reason in str(refused.value)


def test_any_data_table_of_a_recipe_will_do(capsys: pytest.CaptureFixture[str]) -> None:
    """The defaults are a table that `train` takes; so are these."""
    known = {name: option.default for name, option in options(open_data).items()}
    told = known | {"flip": True, "shift": 1, "cutout": 0.5, "valid": 0, "test": 0.5, "seed": 3}
    settings = [f"--set=data.{name}={json.dumps(v)}" for name, v in told.items() if v is not None]
    assert main(["data", "check", "digits", *settings]) == 0
    assert unheld(0)[0] in capsys.readouterr().out
    assert main(["data", "check", "digits", *settings, "--set", "data.transpose=1"]) == 2


@pytest.mark.parametrize("options", [{"tokenizer": "bpe", "vocab": 260}, {"document": "line"}])
def test_the_pack_of_a_text_is_kept_for_training(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, cache = tmp_path / "a.txt", tmp_path / "cache"
    path.write_text("".join(f"line {i} of many\n" for i in range(300)), "utf-8")
    assert data.check(path, **options, cache=cache).ready
    monkeypatch.setattr(importing, "write_pack", None)
    dataset = data.open_dataset(path, **options, cache=cache)
    assert [pack.name for pack in (cache / "packs").iterdir()] == [dataset.fingerprint]


def test_a_short_disk_leaves_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "one"}\nno json\n{"text": "two"}\n', "utf-8")

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(importing, "write_pack", full)
    report = data.check(path, cache=tmp_path / "cache")
    assert (report.n, [found.code for found in report.findings]) == (2, ["bad_json"])
    assert "No space left" in report.problem


@pytest.mark.parametrize(
    ("given", "sources", "targets", "held"),
    [("paired", 4, 4, 0), ("paired", 8, 8, 1), ("unpaired", 8, 8, 1), ("unpaired", 30, 2, 0)],
)
def test_what_is_held_out_of_pairs_is_counted_in_items(
    given: str, sources: int, targets: int, held: int, tmp_path: Path, paint: Any
) -> None:
    for i in range(sources):
        paint(tmp_path / "A" / f"{i}.png", i)
    for i in range(targets):
        paint(tmp_path / "B" / f"{i}.png", 100 + i)
    report = data.check(tmp_path, given=given)
    assert (unheld(0)[0] in report.notes) == (held == 0)
    assert len(data.open_dataset(tmp_path, given=given).valid) == held
