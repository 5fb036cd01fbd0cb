"""Texts of a form as files, from the command line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

from genloom.artifact import load, save
from genloom.cli import main
from genloom.models.autoregressive import Autoregressive
from genloom.recipe import resolve
from genloom.texts import of_form
from tests.unit.test_artifact import folder as folder  # a fixture: an artifact without a run

NET = {"use": "transformer", "width": 16, "layers": 1, "heads": 1}
LETTERS = 'abc "{}:,0123456789.'


@pytest.fixture(scope="module", params=[{}, {"document": "line"}], ids=["running", "documents"])
def run(request, tmp_path_factory) -> Path:
    """A model of random weights, of running text and of one document a line."""
    folder = tmp_path_factory.mktemp("texts")
    source = folder / "some.txt"
    source.write_text("\n".join(LETTERS[i:] + LETTERS for i in range(len(LETTERS))) * 4, "utf-8")
    data = {"source": str(source), "length": 48, **request.param}
    model = {"use": "autoregressive", "net": NET}
    torch.manual_seed(0)
    plan = resolve({"data": data, "model": model, "train": {"steps": 1}})
    save(folder / "m", model=plan.model, recipe=plan.recipe, items=plan.dataset.items)
    return folder / "m"


def test_files_hold_texts_of_the_form(run, tmp_path, capsys):
    out, regex = tmp_path / "out", "[a-c]{2,30}[.]"
    line = ["sample", str(run), "-n", "3", "--seed", "5", "--out", str(out), "--regex", regex]
    assert main([*line, "--json", "--top-k", "9"]) == 0
    paths = [Path(path) for path in json.loads(capsys.readouterr().out)["files"]]
    assert [path.name for path in paths] == ["000005.txt", "000006.txt", "000007.txt"]
    texts = [path.read_text("utf-8") for path in paths]
    assert all(re.fullmatch(regex, text) for text in texts) and len(set(texts)) > 1
    beside = json.loads((out / "000006.txt.json").read_text("utf-8"))
    assert beside["regex"] == regex and json.loads(beside["options"])["top_k"] == 9
    (tmp_path / "schema.json").write_text('{"type": "object"}')
    schema = ["sample", str(run), "-n", "2", "--out", str(out), "--json-schema"]
    assert main([*schema, str(tmp_path / "schema.json")]) == 0
    assert isinstance(json.loads((out / "000000.txt").read_text("utf-8")), dict)


def test_texts_do_not_depend_on_their_batch(run):
    artifact, form = load(run), ("regex", "([a-c]|[0-9]{2})*")
    whole = of_form(artifact, 5, form, seed=3)
    apart = of_form(artifact, 5, form, seed=3, batch=2)
    assert all(torch.equal(a, b) for a, b in zip(whole, apart, strict=True))


def test_rows_are_filled_so_that_their_last_bits_do_not_depend_on_the_batch(run, monkeypatch):
    fills, whole = [], Autoregressive.decoding

    def decoding(self, rows, **options):
        fills.append(options.get("fill"))
        return whole(self, rows, **options)

    monkeypatch.setattr(Autoregressive, "decoding", decoding)
    of_form(load(run), 1, ("regex", "a"))
    assert fills == [4]


def test_guesses_change_no_file(run, tmp_path):
    line = ["sample", str(run), "-n", "3", "--seed", "2", "--top-k", "4", "--no-grid", "--out"]
    for name, flags in (("plain", []), ("lookup", ["--lookup"]), ("draft", ["--draft", str(run)])):
        assert main([*line, str(tmp_path / name), *flags]) == 0
    for path in sorted((tmp_path / "plain").iterdir()):
        for name in ("lookup", "draft"):
            assert (tmp_path / name / path.name).read_bytes() == path.read_bytes()


def test_int8_is_told_and_needs_a_text(run, tmp_path, folder):
    line = ["sample", str(run), "-n", "2", "--int8", "--out", str(tmp_path / "out")]
    assert main(line) == 0
    assert json.loads((tmp_path / "out" / "000000.txt.json").read_text())["int8"] == "weights"
    assert main(["sample", str(folder), "--int8"]) == 2


@pytest.mark.parametrize(
    ("flags", "part"),
    [
        (["--regex", "(a"], "unclosed group"),
        (["--regex", "a", "--json-schema", "x"], "exclude each other"),
        (["--lookup", "--draft", "x"], "draft and lookup exclude"),
        (["--draft", "nowhere"], "nowhere"),
        (["--json-schema", "nowhere.json"], "nowhere.json"),
        (["--json-schema", "latin.json"], "latin.json cannot be read: 'utf-8' codec"),
        (["--regex", "Z"], "was found"),
        (["--again", "x.txt", "--regex", "a"], "does not go with --regex."),
        (["--again", "x.txt", "--json-schema", "x", "--int8"], "with --json-schema, --int8."),
        (["--again", "x.txt", "--draft", "x", "--lookup"], "with --draft, --lookup."),
    ],
)
def test_a_wrong_form_is_one_line(run, flags, part, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "latin.json").write_bytes(b'{"const": "\xe9"}')
    assert main(["sample", str(run), *flags]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert part in line and not (tmp_path / "samples").exists()
