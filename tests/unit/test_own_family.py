"""A family outside the catalog: its page does what it says, and its code runs where it may."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest
import torch

import genloom as gl
from genloom.cli import main
from genloom.errors import BadInput

PAGE = Path(__file__).parents[2] / "docs" / "own-family.md"
TINY = {"steps = 500": "steps = 2", "evaluate runs/own": "evaluate runs/own -n 160"}


@pytest.fixture
def blocks(tmp_path, monkeypatch) -> list[str]:
    """The code of the page, its two files written, in a folder that Python does not know."""
    page = PAGE.read_text("utf-8")
    for long, short in TINY.items():
        assert page.count(long) == 1, long
        page = page.replace(long, short)
    found = re.findall(r"^```\w+\n(.*?)^```", page, re.M | re.S)
    (tmp_path / "own.py").write_text(found[0], "utf-8")
    (tmp_path / "own.toml").write_text(found[1], "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path not in ("", ".")])
    monkeypatch.delitem(sys.modules, "own", raising=False)
    yield found
    sys.modules.pop("own", None)


def run(line: str) -> int:
    return main(shlex.split(line)[1:])


@pytest.mark.slow
def test_the_page_runs(blocks, capsys):
    family, _, lines, library = blocks
    assert sum(bool(line) for line in family.splitlines()) <= 30
    assert [run(line) in (0, 20) for line in lines.splitlines()] == [True] * 3
    assert "bits_per_dim" in capsys.readouterr().out
    found: dict = {}
    exec(library, found)
    assert found["digits"].shape == (4, 1, 8, 8)


def test_no_code_runs_in_a_call_that_does_not_allow_it(blocks, capsys, monkeypatch):
    train, sample, evaluate = blocks[2].splitlines()
    lines = [train, sample, evaluate, "genloom edit runs/own own.png"]
    assert run(train.replace(" --allow-code", "")) == 2 and "own" not in sys.modules
    assert [run(train), run(sample)] == [0, 0] and "own" in sys.modules
    capsys.readouterr()
    monkeypatch.delitem(sys.modules, "own")
    for line in lines[1:]:
        assert run(line.replace(" --allow-code", "")) == 2
        (said,) = capsys.readouterr().err.splitlines()
        assert "'own:Bigram' names code outside the catalog" in said and "--allow-code" in said
    with pytest.raises(BadInput, match="allow_code=True"):
        gl.load("runs/own")
    assert "own" not in sys.modules


def test_train_of_the_library_gives_what_it_was_allowed_to_train(blocks, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")  # the module lies beside the recipe
    settings = {"model": {"scale": 0.25}, "train.steps": 3}
    model = gl.train(tmp_path / "own.toml", out="a", settings=settings, allow_code=True, quiet=True)
    assert model.recipe["model"]["scale"] == 0.25 and model.recipe["train"]["steps"] == 3
    again = gl.load("a", allow_code=True).sample(2)
    assert torch.equal(model.sample(2), again)


def test_a_search_measures_what_it_was_allowed_to_train(blocks, capsys):
    pytest.importorskip("optuna")
    line = "genloom tune own.toml --allow-code --search model.scale=0.1,0.2 --trials 2 --out found"
    assert run(line) == 0
    assert "2 trials, 0 failed" in capsys.readouterr().out


def test_a_module_that_is_not_there_is_one_line(blocks, tmp_path, monkeypatch):
    (tmp_path / "own.py").rename(tmp_path / "mine.py")
    with pytest.raises(
        BadInput, match=r"No module named 'own'\. It is looked for beside the recipe"
    ):
        gl.train("own.toml", allow_code=True)


def test_a_family_that_does_not_say_what_it_models_is_told_how(blocks, tmp_path):
    text = (tmp_path / "own.py").read_text("utf-8")
    (tmp_path / "own.py").write_text(re.sub(r"    spaces = .*\n", "", text), "utf-8")
    (tmp_path / "some.txt").write_text("all cats sat on mats " * 200)
    with pytest.raises(BadInput, match=r"Bigram models Real; .* name it: spaces = "):
        gl.train("own.toml", data="some.txt", allow_code=True)
