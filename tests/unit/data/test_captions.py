"""Captions as conditions: the alphabet, what is hidden, and which of several is drawn."""

from __future__ import annotations

import inspect
import json

import pytest
import torch

from genloom import data
from genloom.core import Caption, Tokens
from genloom.data import captions
from genloom.data.captions import LONGEST, MOST_LETTERS, learn
from genloom.errors import BadInput
from genloom.nets import text


def folder(path, paint, rows, header="file,name_en,name_zh"):
    for i in range(len(rows)):
        paint(path / f"{i}.png", i)
    lines = [header, *(f"{i}.png,{row}" for i, row in enumerate(rows))]
    (path / "captions.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_caption_is_numbers_of_its_letters():
    caption = Caption("ab c", 5)
    assert caption.space == Tokens((5,), 5)
    assert caption.encode("Ba?").tolist() == [2, 1, 0, 0, 0]
    assert caption.encode("a b cab").tolist() == [1, 3, 2, 3, 4]
    assert caption.encode("\uff21\u33c4").tolist() == [1, 4, 4, 0, 0]  # NFKC: full width A, cc
    assert caption.encode("").tolist() == [0] * 5


def test_the_alphabet_begins_with_the_most_frequent_letter():
    caption, notes = learn(["bab", "B c"])
    assert caption == Caption("b ac", 3) and not notes


def test_what_is_cut_is_told():
    many = "".join(chr(0x4E00 + i) for i in range(MOST_LETTERS + 10))
    texts = [many[i : i + LONGEST] for i in range(0, len(many), LONGEST)] + ["x" * 70]
    caption, notes = learn(texts)
    assert (len(caption.alphabet), caption.length) == (MOST_LETTERS, LONGEST)
    assert caption.alphabet[0] == "x"
    assert "1 of 66 captions were cut at 64" in notes[0] and "11 rare" in notes[1]


def test_captions_come_with_their_items_and_missing_ones_are_hidden(tmp_path, paint):
    path = folder(tmp_path, paint, ["red heart,x", ",x", "dog,x"] * 10)
    opened = data.open_dataset(path, captions=True)
    assert opened.items.caption is not None and opened.items.caption.length == 9
    assert opened.items.conditions["caption"] == opened.items.caption.space
    _, cond, ids = opened.train.batch(3, 12, 0)
    hidden = 0
    for row, i in zip(cond["caption"], ids.tolist()):
        text = opened.train.captions[i]
        wanted = opened.items.caption.encode(text) if text else torch.full((9,), -1)
        hidden += not text
        assert torch.equal(row, wanted)
    assert cond["caption"].dtype == torch.int64 and 0 < hidden < 12
    again = opened.train.given(ids)["caption"]
    assert torch.equal(again, cond["caption"])


def test_without_the_option_nothing_changes(tmp_path, paint):
    path = folder(tmp_path, paint, ["a,b"] * 20)
    plain, read = data.open_dataset(path), data.open_dataset(path, captions=True)
    assert plain.items.caption is None and plain.items.conditions == {}
    assert plain.train.batch(0, 4, 0)[1] == {}
    assert plain.fingerprint == read.fingerprint and plain.captions == read.captions


def test_one_of_several_captions_is_drawn_by_seed_and_place(tmp_path, paint):
    path = folder(tmp_path, paint, ["dog,\u72d7"] * 40)
    opened = data.open_dataset(path, captions=True, caption_column="name_en,name_zh")
    assert opened.train.captions[0] == "dog\n\u72d7"
    about = opened.items.caption
    assert about is not None
    english, chinese = about.encode("dog"), about.encode("\u72d7")
    whole = opened.train.batch(0, 32, 7)[1]["caption"]
    is_english = (whole == english).all(1)
    assert (is_english | (whole == chinese).all(1)).all() and 8 < is_english.sum() < 24
    parts = [opened.train.batch(k, 8, 7)[1]["caption"] for k in range(4)]
    assert torch.equal(torch.cat(parts), whole)
    assert not torch.equal(opened.train.batch(0, 32, 8)[1]["caption"], whole)
    assert not torch.equal(opened.train.batch(1, 32, 7)[1]["caption"], whole)
    assert (data.open_test(opened).given(torch.arange(3))["caption"] == english).all()


def test_a_set_is_read_once(tmp_path, paint, monkeypatch):
    path = folder(tmp_path, paint, ["dog,x"] * 20)
    first = data.open_dataset(path, captions=True)

    def never(*_):
        raise AssertionError("tokenised again")

    monkeypatch.setattr(captions, "learn", never)
    second = data.open_dataset(path, captions=True)
    assert second.items == first.items
    cond = first.train.batch(0, 8, 0)[1]
    assert torch.equal(second.train.batch(0, 8, 0)[1]["caption"], cond["caption"])


def test_a_column_that_is_not_there_is_named(tmp_path, paint):
    path = folder(tmp_path, paint, ["a,b"] * 20)
    with pytest.raises(BadInput, match="no column 'name_fr'; did you mean 'name_"):
        data.open_dataset(path, captions=True, caption_column="name_fr")


def test_other_column_other_fingerprint(tmp_path, paint):
    path = folder(tmp_path, paint, ["a,b"] * 20)
    english = data.open_dataset(path, captions=True, caption_column="name_en")
    chinese = data.open_dataset(path, captions=True, caption_column="name_zh")
    assert (english.captions[0], chinese.captions[0]) == ("a", "b")
    assert english.fingerprint != chinese.fingerprint


def test_data_without_captions_are_refused(tmp_path, paint):
    for i in range(20):
        paint(tmp_path / f"{i}.png", i)
    with pytest.raises(BadInput, match="no training item has a caption"):
        data.open_dataset(tmp_path, captions=True)
    with pytest.raises(BadInput, match="leave it out"):
        data.open_dataset("digits", captions=True, caption_column="name")


def test_the_cache_is_plain_numbers(tmp_path, paint, monkeypatch):
    path = folder(tmp_path / "a", paint, ["a,b"] * 20)
    data.open_dataset(path, captions=True, cache=tmp_path / "cache")
    found = list((tmp_path / "cache" / "packs").glob("*-captions-*"))
    assert len(found) == 1
    told = json.loads((found[0] / "captions.json").read_text())
    assert told["caption"] == {"alphabet": "a", "length": 1}


def test_one_name_says_where_a_tokenizer_lies():
    assert captions.TOKENIZER is text.TOKENIZER
    assert inspect.getsource(captions).count(f'= "{text.TOKENIZER}"') == 0
