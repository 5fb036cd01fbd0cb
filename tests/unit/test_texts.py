"""Texts of a form as files, from the command line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

from genloom.artifact import load, save
from genloom.cli import main
from genloom.continuation import opening, written
from genloom.core import Rng
from genloom.decoding.forms import form_of
from genloom.errors import BadInput
from genloom.models.autoregressive import Autoregressive
from genloom.molecules.chemistry import canonical
from genloom.music import midi
from genloom.music.notes import Note, Score, Tempo, Track
from genloom.recipe import resolve
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


@pytest.fixture(scope="module")
def molecules(tmp_path_factory) -> Path:
    """A model of random weights, of SMILES."""
    folder = tmp_path_factory.mktemp("molecules")
    chains = ["C" * i + end for i in range(1, 9) for end in ("O", "(=O)O", "C#N", "C1CC1")]
    (folder / "some.smi").write_text("\n".join(chains))
    data = {"source": str(folder / "some.smi"), "length": 16}
    torch.manual_seed(0)
    plan = resolve(
        {"data": data, "model": {"use": "autoregressive", "net": NET}, "train": {"steps": 1}}
    )
    save(folder / "m", model=plan.model, recipe=plan.recipe, items=plan.dataset.items)
    return folder / "m"


def test_molecules_of_a_valid_form_are_molecules(molecules, tmp_path, capsys):
    line = ["sample", str(molecules), "-n", "9", "--json", "--out", str(tmp_path / "out")]
    assert main([*line, "--form", "valid", "--no-grid"]) == 0
    paths = [Path(path) for path in json.loads(capsys.readouterr().out)["files"]]
    assert len(paths) == 9 and all(canonical(path.read_text().strip()) for path in paths)
    beside = json.loads(Path(f"{paths[0]}.json").read_text("utf-8"))
    assert beside["form"] == "valid"


def test_a_form_of_their_own_holds_for_the_prompt_and_the_text(molecules, tmp_path, capsys):
    whole = load(molecules).write("CC(", 9, form="valid", temperature=2.0)
    assert all(text.startswith("CC(") and canonical(text) for text in whole)
    with pytest.raises(BadInput, match="begins as the prompt does"):
        load(molecules).write("(", form="valid")
    line = ["sample", str(molecules), "-n", "9", "--form", "valid", "--temperature", "2"]
    assert main([*line, "--prompt", "CC(", "--out", str(tmp_path), "--no-grid"]) == 0
    paths = sorted(tmp_path.glob("*.smi"))
    assert [path.read_text("utf-8").strip() for path in paths] == list(map(canonical, whole))
    beside = json.loads(Path(f"{paths[0]}.json").read_text("utf-8"))
    assert (beside["prompt"], beside["form"]) == ("CC(", "valid")


def test_another_form_holds_for_what_is_drawn_after_a_prompt(run, tmp_path, capsys):
    artifact, regex = load(run), "[0-9]{3,20}[.]"
    whole = artifact.write("ab ", 6, regex=regex, seed=2)
    assert all(re.fullmatch("ab " + regex, text) for text in whole) and len(set(whole)) > 1
    line = ["sample", str(run), "-n", "6", "--seed", "2", "--out", str(tmp_path)]
    assert main([*line, "--prompt", "ab ", "--regex", regex]) == 0
    assert [path.read_text("utf-8") for path in sorted(tmp_path.glob("*.txt"))] == whole
    short = artifact.write("ab ", 6, regex=regex, seed=2, max_tokens=5)
    assert all(re.fullmatch("ab [0-9]{3,4}[.]", text) for text in short)
    cut = artifact.write("ab ", 6, regex=regex, seed=2, stop="7")
    assert cut == [text.partition("7")[0] for text in whole] != whole
    with pytest.raises(BadInput, match="allow more tokens"):
        artifact.write("ab ", regex=regex, max_tokens=3)


def test_a_schema_is_a_table_or_a_file(run, tmp_path):
    artifact, schema = load(run), {"enum": [{"a": 12}, {"b": 3}]}
    (tmp_path / "schema.json").write_text(json.dumps(schema))
    told = artifact.write(n=4, json_schema=schema)
    assert all(json.loads(text) in schema["enum"] for text in told)
    assert artifact.write(n=4, json_schema=tmp_path / "schema.json") == told


def test_texts_do_not_depend_on_their_batch(run):
    artifact, form = load(run), ("regex", "([a-c]|[0-9]{2})*")
    whole = written(artifact, 5, form=form, seed=3)
    apart = written(artifact, 5, form=form, seed=3, batch=2)
    assert all(torch.equal(a, b) for a, b in zip(whole, apart, strict=True))
    *_, x = artifact.model.complete(  # the same draws, in one company
        Rng(range(3, 8), torch.device("cpu")),
        {},
        torch.zeros(5, 0, dtype=torch.long),
        constraint=form_of(artifact.items.lexicon, *form),
    )
    ends = [row[: len(text)] for row, text in zip(x, whole, strict=True)]
    assert all(map(torch.equal, ends, whole)) and len({len(text) for text in whole}) > 1


def test_rows_are_filled_so_that_their_last_bits_do_not_depend_on_the_batch(run, monkeypatch):
    fills, whole = [], Autoregressive.decoding

    def decoding(self, rows, **options):
        fills.append(options.get("fill"))
        return whole(self, rows, **options)

    monkeypatch.setattr(Autoregressive, "decoding", decoding)
    load(run).write(regex="a")
    assert fills == [4]


def test_guesses_change_no_file(run, tmp_path):
    line = ["sample", str(run), "-n", "3", "--seed", "2", "--top-k", "4", "--no-grid", "--out"]
    for name, flags in (("plain", []), ("lookup", ["--lookup"]), ("draft", ["--draft", str(run)])):
        assert main([*line, str(tmp_path / name), *flags]) == 0
    for path in sorted((tmp_path / "plain").iterdir()):
        for name in ("lookup", "draft"):
            assert (tmp_path / name / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("prompt", ["", "ab 1"])
def test_guesses_change_no_text_whatever_is_asked_beside_them(run, prompt):
    artifact = load(run)
    for asked in ({}, {"stop": "c", "top_k": 5}, {"max_tokens": 7, "temperature": 2.0}):
        plain = artifact.write(prompt, 5, seed=2, **asked)
        assert artifact.write(prompt, 5, seed=2, lookup=True, **asked) == plain
        assert artifact.write(prompt, 5, seed=2, draft=artifact, **asked) == plain
    assert len(set(plain)) == 5 and artifact.write(prompt, 5, seed=2, draft=run, **asked) == plain


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
        (["--form", "valid"], "no grammar of their own"),
        (["--form", "valid", "--regex", "a"], "regex and form exclude each other"),
        (["--form", "vaild"], "did you mean 'valid'"),
        (["--lookup", "--draft", "{run}"], "draft and lookup exclude"),
        (["--lookup", "--regex", "a"], "regex and lookup exclude"),
        (["--draft", "{run}", "--form", "valid"], "form and draft exclude"),
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
    assert main(["sample", str(run), *(flag.format(run=run) for flag in flags)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert part in line and not (tmp_path / "samples").exists()


def test_texts_begin_with_what_is_given(run, tmp_path, capsys):
    artifact = load(run)
    bold = {"temperature": 2.0}
    whole = written(artifact, 5, "ab 1", seed=3, options=bold)
    texts = list(map(artifact.items.read, whole))
    assert all(text.startswith("ab 1") for text in texts) and len(set(texts)) > 1
    apart = written(artifact, 5, "ab 1", seed=3, batch=2, options=bold)
    assert all(map(torch.equal, whole, apart)) and len(whole) == len(apart) == 5
    free = list(map(artifact.items.read, artifact.sample(3, seed=3)))
    assert list(map(artifact.items.read, written(artifact, 3, "", seed=3))) == free
    line = ["sample", str(run), "-n", "1", "--seed", "3", "--out", str(tmp_path), "--prompt"]
    assert main([*line, "ab 1", "--temperature", "2"]) == 0
    assert (tmp_path / "000003.txt").read_text("utf-8") == texts[0]
    assert json.loads((tmp_path / "000003.txt.json").read_text("utf-8"))["prompt"] == "ab 1"
    capsys.readouterr()
    for prompt, says in (("~", "'~'"), ("a" * 48, "48 tokens")):
        assert main([*line, prompt]) == 2
        assert says in capsys.readouterr().err
    for name, flag in (("n", "-n"), ("batch", "--batch")):
        assert main([*line, "a", flag, "0"]) == 2
        assert f"{name} = 0: it must be at least 1." in capsys.readouterr().err


@pytest.fixture(scope="module")
def tunes(tmp_path_factory) -> Path:
    """A model of random weights, of music in eighth notes."""
    folder = tmp_path_factory.mktemp("tunes")
    (folder / "tunes").mkdir()
    for i in range(12):
        notes = [Note(6 * k, 60 + (i * k) % 8, 6 + 6 * (k % 2), 79) for k in range(32)]
        score = Score((Track(tuple(notes), 40), Track((Note(0, 48, 12, 79),), 32)))
        (folder / "tunes" / f"{i}.mid").write_bytes(midi.write(score))
    data = {"source": str(folder / "tunes")}
    model = {"use": "autoregressive", "net": NET}
    torch.manual_seed(0)
    plan = resolve({"data": data, "model": model, "train": {"steps": 1}})
    save(folder / "m", model=plan.model, recipe=plan.recipe, items=plan.dataset.items)
    return folder / "m"


def test_music_goes_on_after_the_bars_that_are_given(tunes, tmp_path):
    bars = (Note(0, 60, 12, 79), Note(12, 64, 12, 79), Note(60, 62, 6, 79))
    melody = Score((Track(bars, 40),), (Tempo(0, 120),))
    (tmp_path / "melody.mid").write_bytes(midi.write(melody))
    line = ["sample", str(tunes), "-n", "4", "--prompt", str(tmp_path / "melody.mid")]
    assert main([*line, "--out", str(tmp_path / "out")]) == 0
    made = [midi.read(path.read_bytes())[0] for path in sorted((tmp_path / "out").glob("*.mid"))]
    for part in (score.part(0, 96) for score in made):
        assert sorted(n for t in part.tracks for n in t.notes) == list(bars)
        assert part.tracks[0].program == 40
    assert len(made) == 4 and sum(score.end > 96 for score in made) > 1


def test_what_is_played_comes_to_the_steps_and_sounds_of_the_model(tunes, tmp_path):
    artifact = load(tunes)
    played = Score((Track((Note(1, 60, 4, 127), Note(14, 62, 7, 3)), 7),), (Tempo(0, 130),))
    (tmp_path / "played.mid").write_bytes(midi.write(played))
    assert opening(artifact, str(tmp_path / "played.mid")).split() == [
        *("Bar", "Meter_4/4", "Position_0", "Tempo_120", "Track_0", "Program_32"),
        *("Pitch_60", "Duration_6", "Position_12", "Pitch_62", "Duration_6", "Bar"),
    ]
    assert opening(artifact, "Bar Position_0") == "Bar Position_0"  # words are words
    high = Score((Track((Note(0, 100, 12, 79),), 40),))
    (tmp_path / "high.mid").write_bytes(midi.write(high))
    with pytest.raises(BadInput, match="Pitch_100"):
        written(artifact, 1, opening(artifact, str(tmp_path / "high.mid")))
