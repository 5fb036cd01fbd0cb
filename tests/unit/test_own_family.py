"""A family outside the catalog: its page does what it says, and its code runs where it may."""

from __future__ import annotations

import re
import shlex
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

import genloom as gl
from genloom import trainer
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
    assert (
        run(train) == 0
        and "next: genloom sample runs/own --allow-code\n" in capsys.readouterr().out
    )
    assert run(sample) == 0 and "own" in sys.modules
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
    said = capsys.readouterr().out
    assert "2 trials, 0 failed" in said
    assert "next: genloom train found/best.toml --allow-code\n" in said
    assert re.search(r"genloom evaluate found/trial-0[01] --allow-code$", said.strip())


def test_what_goes_on_with_a_run_allows_its_code_again(blocks, capsys, monkeypatch):
    stops = iter([False, True, True])
    with monkeypatch.context() as stopped:
        stopped.setattr(trainer, "stopping", lambda: nullcontext(lambda: next(stops)))
        assert run("genloom train own.toml --steps 9 --allow-code --out 'my run' --quiet") == 130
    (said,) = capsys.readouterr().err.splitlines()
    assert said.endswith("Go on with: genloom train --resume 'my run' --allow-code")
    assert run("genloom train own.toml --steps 8 --allow-code --out 'my run' --quiet") == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said.endswith("as it was: genloom train --resume 'my run' --allow-code")
    assert run(said.partition("as it was: ")[2]) == 0


def test_a_module_that_is_not_there_is_one_line(blocks, tmp_path, monkeypatch):
    (tmp_path / "own.py").rename(tmp_path / "mine.py")
    with pytest.raises(
        BadInput, match=r"No module named 'own'\. It is looked for beside the recipe"
    ):
        gl.train("own.toml", allow_code=True)


@pytest.mark.parametrize(
    ("use", "says"),
    [
        (":Bigram", "':Bigram' is not 'module:Name'"),
        (".own:Bigram", "'.own:Bigram' is not 'module:Name'"),
        ("own:", "'own:' is not 'module:Name'"),
        ("wrong:Bigram", "invalid syntax (wrong.py, line 2)"),
        ("folder:Bigram", "It is looked for beside the recipe"),
        ("away.own:Bigram", "No module named 'away'. It is looked for beside the recipe"),
        ("needy:Bigram", "No module named 'not_installed'."),
        ("own:Trigram", "module 'own' has no attribute 'Trigram'."),
    ],
)
def test_code_that_cannot_be_loaded_is_one_line(blocks, tmp_path, use, says):
    (tmp_path / "wrong.py").write_text("import os\nclass Bigram(:\n", "utf-8")
    (tmp_path / "needy.py").write_text("import not_installed\n", "utf-8")
    (tmp_path / "folder").mkdir()
    with pytest.raises(BadInput, match=re.escape(says)) as error:
        gl.train("own.toml", settings={"model.use": use}, allow_code=True)
    assert "\n" not in str(error.value)
    assert ("looked for" in str(error.value)) == ("looked for" in says)


def test_a_family_that_does_not_say_what_it_models_is_told_how(blocks, tmp_path):
    text = (tmp_path / "own.py").read_text("utf-8")
    (tmp_path / "own.py").write_text(re.sub(r"    spaces = .*\n", "", text), "utf-8")
    (tmp_path / "some.txt").write_text("all cats sat on mats " * 200)
    with pytest.raises(BadInput, match=r"Bigram models Real; .* name it: spaces = "):
        gl.train("own.toml", data="some.txt", allow_code=True)
