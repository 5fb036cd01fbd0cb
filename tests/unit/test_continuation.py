"""Texts that begin as given, or answer a user, end at a stop or a length."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

from genloom.artifact import Artifact, load, save
from genloom.cli import main
from genloom.continuation import answers, talk, written
from genloom.core import Rng
from genloom.decoding.rows import Decoding
from genloom.errors import BadInput
from genloom.lexicon import Pieces
from genloom.music import midi
from genloom.music.notes import Note, Score, Track
from genloom.recipe import resolve
from tests.unit.test_artifact import folder as folder  # a fixture: an artifact without a run

NET = {"use": "transformer", "width": 16, "layers": 1, "heads": 1}
SAID = "the cat sat on a mat and the dog sat too "
BOLD = {"temperature": 2.0}


def untrained(folder: Path, data: dict) -> Artifact:
    torch.manual_seed(0)
    plan = resolve(
        {
            "data": {"length": 48, **data},
            "model": {"use": "autoregressive", "net": NET},
            "train": {"steps": 1},
        }
    )
    save(folder, model=plan.model, recipe=plan.recipe, items=plan.dataset.items)
    return load(folder)


@pytest.fixture(
    scope="module",
    params=[{}, {"document": "line"}, {"tokenizer": "bytes"}, {"tokenizer": "bpe", "vocab": 280}],
    ids=["running", "documents", "bytes", "pieces"],
)
def model(request, tmp_path_factory) -> Artifact:
    folder = tmp_path_factory.mktemp("said")
    (folder / "some.txt").write_text("\n".join(SAID[i:] + SAID for i in range(40)) * 9, "utf-8")
    return untrained(folder / "m", {"source": str(folder / "some.txt"), **request.param})


@pytest.fixture(scope="module")
def talks(tmp_path_factory) -> Artifact:
    folder = tmp_path_factory.mktemp("talks")
    rows = [{"prompt": f"who {a} {b}?", "completion": b} for a in "abcdef" for b in "abcdef"]
    (folder / "some.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    return untrained(folder / "m", {"source": str(folder / "some.jsonl")})


@pytest.mark.parametrize("sizes", [(1,), (2,), (3, 1), (5, 2)])
def test_a_text_is_cut_before_the_first_stop_that_was_drawn(model, sizes):
    whole = model.write("the ", 24, seed=3)
    plain = "|".join(re.findall(r"[ -~]{5,}", "\0".join(text[6:] for text in whole)))
    stop = [plain[6 * k : 6 * k + size] for k, size in enumerate(sizes)]
    cut = model.write("the ", 24, seed=3, stop=stop)
    for long, short in zip(whole, cut, strict=True):
        drawn = long[4:]
        places = [drawn.find(one) for one in stop if one in drawn]
        assert short == "the " + drawn[: min(places, default=len(drawn))]
    assert any(map(str.__ne__, whole, cut)) and not any(one in t[4:] for t in cut for one in stop)


def test_a_stop_within_a_piece_leaves_what_the_piece_says_before_it(model):
    words, cut = model.items.lexicon, 0
    for seed, row in enumerate(written(model, 24, "the ", options=BOLD)):
        drawn = row[len(words.encode("the ")) :].tolist()
        for k, token in enumerate(drawn):
            before, piece = words.decode(drawn[:k]), words.decode([token])
            if len(piece) > 1 and piece[-1] not in before + piece[:-1] and piece.isascii():
                found = model.write("the ", seed=seed, stop=piece[-1], **BOLD)
                assert found == ["the " + before + piece[:-1]]
                cut += 1
    assert bool(cut) == isinstance(words, Pieces)


def test_no_more_tokens_are_drawn_than_asked_for(model):
    for most in (1, 5, 99):
        rows = written(model, 6, "the ", max_tokens=most, options=BOLD)
        given = len(model.items.lexicon.encode("the "))
        longest, room = max(map(len, rows)) - given, model.items.shape[0] - given
        assert longest == most if most < 9 else most > room >= longest > 5
    long, short = (written(model, 6, "a", max_tokens=most) for most in (20, 3))
    assert all(torch.equal(a[: len(b)], b) for a, b in zip(long, short, strict=True))


def test_texts_depend_on_their_seeds_alone(model):
    together = model.write("a", 5, seed=7, stop="e", max_tokens=30)
    assert model.write("a", 5, seed=7, stop=["e"], max_tokens=30, batch=2) == together
    assert model.write("a", 5, seed=7, stop="e ") == model.write("a", 5, seed=7, stop=["e "])
    assert [model.write("a", seed=7 + i, stop="e", max_tokens=30)[0] for i in range(5)] == together


def test_nothing_is_drawn_once_all_texts_have_ended(model, monkeypatch):
    steps, step = [], Decoding.step
    monkeypatch.setattr(Decoding, "step", lambda rows: steps.append(1) or step(rows))
    model.write("a", 4, max_tokens=3)
    assert len(steps) <= 1 + 3  # the first one reads what is given


def test_the_command_line_writes_what_write_gives(model, tmp_path, capsys):
    line = ["sample", str(model.path), "-n", "3", "--seed", "4", "--out", str(tmp_path)]
    asked = ["--prompt", "the ", "--stop", "a", "--stop", "o", "--max-tokens", "20"]
    assert main([*line, *asked, "--temperature", "2"]) == 0
    told = model.write("the ", 3, seed=4, stop=["a", "o"], max_tokens=20, **BOLD)
    files = [tmp_path / f"00000{i}.txt" for i in (4, 5, 6)]
    assert [path.read_bytes().decode() for path in files] == told
    out, err = capsys.readouterr()
    assert out.partition("\n")[2] == "\n---\n".join(told) + "\n" and err == ""
    record = json.loads((tmp_path / "000005.txt.json").read_text("utf-8"))
    assert (record["stop"], record["max_tokens"]) == ('["a", "o"]', "20")
    assert main([*line, "--max-tokens", "2"]) == 0
    assert files[0].read_bytes().decode() == model.write(seed=4, max_tokens=2)[0]


def test_a_user_is_answered_and_the_answer_alone_is_shown(talks, tmp_path, capsys):
    words = talks.items.lexicon
    told = talks.write(user="who a b?", system="be", n=8, seed=2, **BOLD)
    given = [*words.opening("system"), *words.encode("be")]
    given += [*words.opening("user"), *words.encode("who a b?"), *words.opening("assistant")]
    assert talk(words, "who a b?", "be") == given
    steps = talks.model.complete  # the same draws, seen token by token
    for i, text in enumerate(told):
        *_, x = steps(Rng([2 + i], torch.device("cpu")), {}, torch.tensor([given]), **BOLD)
        drawn = x[0, len(given) :].tolist()
        ends = [k for k, token in enumerate(drawn) if token >= words.letters]
        assert text == words.decode(drawn[: min(ends, default=len(drawn))])
    assert "[" not in "".join(told) and len(set(told)) > 1
    line = ["sample", str(talks.path), "-n", "8", "--seed", "2", "--out", str(tmp_path)]
    asked = ["--user", "who a b?", "--system", "be", "--temperature", "2"]
    assert main([*line, *asked]) == 0
    out, err = capsys.readouterr()
    assert out.partition("\n")[2] == "\n---\n".join(told) + "\n" and err == ""
    record = json.loads((tmp_path / "000002.txt.json").read_text("utf-8"))
    assert (record["user"], record["system"]) == ("who a b?", "be")


def test_an_answer_has_the_form_that_is_asked_for(talks, tmp_path, capsys):
    told = talks.write(user="who a b?", n=8, seed=2, regex="[a-f]{1,3}", **BOLD)
    assert all(re.fullmatch("[a-f]{1,3}", text) for text in told) and len(set(told)) > 1
    line = ["sample", str(talks.path), "-n", "8", "--seed", "2", "--out", str(tmp_path)]
    asked = ["--user", "who a b?", "--regex", "[a-f]{1,3}", "--temperature", "2"]
    assert main([*line, *asked]) == 0
    assert capsys.readouterr().out.partition("\n")[2] == "\n---\n".join(told) + "\n"
    record = json.loads((tmp_path / "000002.txt.json").read_text("utf-8"))
    assert (record["user"], record["regex"]) == ("who a b?", "[a-f]{1,3}")
    plain = talks.write(user="who a b?", n=8, seed=2, **BOLD)
    assert talks.write(user="who a b?", n=8, seed=2, lookup=True, **BOLD) == plain


def test_each_of_several_prompts_is_asked_alone(model):
    told = model.write(["the ", "a ", ""], 2, seed=3, max_tokens=9)
    alone = [model.write(one, 2, seed=3, max_tokens=9) for one in ("the ", "a ", "")]
    assert told == [text for texts in alone for text in texts] and len(told) == 6
    assert model.write("the ", 2, seed=3, max_tokens=9, stop=[]) == told[:2]


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"n": 2.5}, "n = 2.5: it must be a whole number"),
        ({"n": "2"}, "n = '2': it must be a whole number"),
        ({"seed": None}, "seed = None: it must be a whole number"),
        ({"max_tokens": "2"}, "max_tokens = '2': it must be a whole number"),
        ({"max_tokens": 2.0}, "max_tokens = 2.0: it must be a whole number"),
        ({"stop": 3}, "stop = 3: it must be a text, or a list of some"),
        ({"stop": ["a", 3]}, "stop = ['a', 3]: it must be"),
        ({"prompt": 3}, "prompt = 3: it must be a text, or a list of some"),
        ({"prompt": []}, "prompt = []: it must be a text, or a list of some"),
        ({"prompt": None}, "prompt = None: it must be a text, or a list of some"),
        ({"user": 3}, "user = 3: it must be a text."),
        ({"regex": 3}, "regex = 3: it must be a text."),
        ({"form": True}, "form = True: it must be a text."),
        ({"form": "vaild"}, "a form is 'valid', not 'vaild'."),
        ({"json_schema": 3}, "json_schema = 3: it must be a schema, or the file of one."),
        ({"max_tokens": True}, "max_tokens = True: it must be a whole number"),
        ({"lookup": "no"}, "lookup = 'no': it must be True or False."),
        ({"draft": 3}, "draft = 3: it must be a model, or the path of one."),
        ({"regex": "a", "form": "valid"}, "regex and form exclude each other"),
        ({"prompt": "a", "user": "b"}, "prompt and user exclude each other"),
    ],
)
def test_what_write_cannot_take_is_one_line(model, asked, says):
    with pytest.raises(BadInput, match=re.escape(says)) as error:
        model.write(**asked)
    assert "\n" not in str(error.value)


def test_a_prompt_stays_one_and_a_model_of_talks_says_what_it_expects(talks, tmp_path, capsys):
    line = ["sample", str(talks.path), "-n", "1", "--out", str(tmp_path), "--prompt", "who a"]
    assert answers(talks) and main(line) == 0
    assert (tmp_path / "000000.txt").read_text("utf-8").startswith("who a")
    (said,) = capsys.readouterr().err.splitlines()
    assert "answers turns" in said and "--user" in said


@pytest.mark.parametrize(
    ("flags", "part"),
    [
        (["--user", "a"], "answers no user"),
        (["--system", "a"], "a system needs a user"),
        (["--user", "a", "--prompt", "b"], "prompt and user exclude each other"),
        (["--system", "a", "--prompt", "b"], "a system needs a user"),
        (["--stop", ""], "stop = ''"),
        (["--max-tokens", "0"], "max_tokens = 0: it must be at least 1"),
        (["--regex", "a", "--lookup"], "regex and lookup exclude each other"),
        (["--again", "x.txt", "--stop", "b"], "does not go with --stop."),
    ],
)
def test_what_does_not_go_together_is_one_line(model, flags, part, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["sample", str(model.path), *flags]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert part in line and not (tmp_path / "samples").exists()


@pytest.mark.parametrize(
    "flags", [["--stop", "a"], ["--max-tokens", "3"], ["--user", "a"], ["--prompt", "a"]]
)
def test_a_model_of_pictures_takes_none_of_it(folder, flags, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["sample", str(folder), *flags]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "draws no text token by token" in line
    with pytest.raises(BadInput, match="draws no text token by token"):
        load(folder).write("a")


def test_a_stop_within_a_word_of_music_leaves_the_words_before_it(tmp_path):
    (tmp_path / "data").mkdir()
    for i in range(20):
        notes = tuple(Note(12 * k, 60 + (i * k) % 8, 12, 79) for k in range(8))
        (tmp_path / "data" / f"{i}.mid").write_bytes(midi.write(Score((Track(notes),))))
    tunes = untrained(tmp_path / "m", {"source": str(tmp_path / "data")})
    whole = tunes.write("Bar", 40, seed=0)
    cut = tunes.write("Bar", 40, seed=0, stop="62")
    assert any("Pitch_62" in text for text in whole)
    for long, short in zip(whole, cut, strict=True):
        assert long.startswith(short) and "62" not in short
        words = long.split()
        before = words.index("Pitch_62") if "Pitch_62" in words else len(words)
        assert short.split() == words[:before]
