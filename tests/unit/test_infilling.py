"""Blanks of a text, filled by a model that edits."""

from __future__ import annotations

import json
from hashlib import sha256
from types import SimpleNamespace

import pytest
import torch

from genloom import artifact, cli, runs
from genloom.core import Tokens
from genloom.errors import BadInput
from genloom.infilling import infill
from genloom.models.masked_diffusion import MaskedDiffusion

NET = {"use": "bidirectional", "width": 16, "layers": 1, "heads": 2}
WORDS = [f"{a}{b}{c}" for a in "bdkl" for b in "aeiou" for c in "nrst"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Artifacts of documents, of a running text, and of a decoder, hardly trained."""
    folder = tmp_path_factory.mktemp("infilling")
    (folder / "words.txt").write_text("\n".join(WORDS * 12) + "\n")
    kinds = {
        "words": ({"document": "line"}, {"use": "mdlm", "net": NET}),
        "running": ({"length": 16}, {"use": "mdlm", "net": NET}),
        "decoder": ({"length": 16}, {"use": "rnn", "width": 8, "layers": 1}),
    }
    for name, (data, model) in kinds.items():
        recipe = {
            "data": {"source": str(folder / "words.txt"), **data},
            "model": model,
            "train": {"batch": 16, "threads": 1},
        }
        runs.train(recipe, out=folder / name, steps=40, quiet=True)
    return folder


def test_what_is_no_blank_stays_and_the_length_too(made):
    model = artifact.load(made / "words")
    found = [model.items.read(row) for row in infill(model, "b_n", range(30))]
    assert all(len(text) == 3 and text[0] == "b" and text[2] == "n" for text in found)
    assert len(set(found)) > 3
    again = [model.items.read(row) for row in infill(model, "b_n", [7])]
    assert again == [found[7]]


def test_a_text_without_an_end_is_cut_where_it_was(made):
    model = artifact.load(made / "running")
    (row,) = infill(model, "n\nb__", [3], steps=2)
    assert row.shape == (5,) and model.items.read(row).startswith("n\nb")


def test_the_end_may_be_the_first_token():
    space = Tokens((6,), 4, end=0)
    told = SimpleNamespace(vocab=4, end=0, encode=lambda text: ["~bkd".index(c) for c in text])
    about = SimpleNamespace(
        name="one",
        model=MaskedDiffusion(space, {}).eval(),
        items=SimpleNamespace(lexicon=told, medium="text"),
        condition=lambda *_: {},
        codec=SimpleNamespace(decode=lambda x: x),
    )
    found = infill(about, "b__k", range(8))
    assert (found != 0).all() and (found[:, [0, 3]] == torch.tensor([1, 2])).all()


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("words", "ban", "no blank"),
        ("words", "b_" * 300, "tokens"),
        ("words", "b_%", "'%'"),
        ("decoder", "b_n", "mdlm"),
    ],
)
def test_what_cannot_be_filled_is_refused(made, name, text, says):
    with pytest.raises(BadInput, match=says):
        infill(artifact.load(made / name), text, [0])


def test_the_command_line_writes_a_file_for_each_seed(made, tmp_path, capsys):
    command = ["edit", str(made / "words"), "b_n", "-n", "2", "--out", str(tmp_path), "--json"]
    assert cli.main([*command, "--steps", "4"]) == 0
    told = json.loads(capsys.readouterr().out)
    model = artifact.load(made / "words")
    wanted = [model.items.read(row) for row in infill(model, "b_n", [0, 1], steps=4)]
    paths = [tmp_path / "000000.txt", tmp_path / "000001.txt"]
    assert told["files"] == list(map(str, paths)) and told["steps"] == 4
    assert [path.read_text("utf-8") for path in paths] == wanted
    record = json.loads((tmp_path / "000001.txt.json").read_text("utf-8"))
    assert record["seed"] == "1" and record["source_sha256"] == sha256(b"b_n").hexdigest()
    assert cli.main([*command, "--strength", "0.5"]) == 2
    assert "pictures" in capsys.readouterr().err
