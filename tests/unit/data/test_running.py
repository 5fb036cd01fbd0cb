"""One running text by bytes, by pieces that are learnt, and by the tokenizer of a folder."""

from __future__ import annotations

import json

import pytest
import torch

from genloom import data
from genloom.data import running
from genloom.errors import BadInput
from genloom.lexicon import Bytes, Pieces, learn_pieces

TEXT = "".join(f"{i} birds sang in the {'old' if i % 3 else 'tall'} tree.\n" for i in range(400))
WAYS = [{"tokenizer": "bytes"}, {"tokenizer": "bpe", "vocab": 300}]


@pytest.fixture
def some(tmp_path):
    (tmp_path / "some.txt").write_text(TEXT, "utf-8")
    return tmp_path / "some.txt"


def stream(part) -> list[int]:
    """All numbers of a part: a row may begin at any of them."""
    return part._flat.tolist()


def three(dataset):
    return dataset.train, dataset.valid, data.open_test(dataset)


@pytest.mark.parametrize("way", WAYS, ids=["bytes", "bpe"])
def test_rows_are_cut_from_parts_that_were_read_apart(some, way):
    dataset = data.open_dataset(some, length=16, **way)
    lexicon = dataset.items.lexicon
    assert dataset.items.end is None and lexicon.marks == () and dataset.items.shape == (16,)
    first, second = round(len(TEXT) * 0.8), round(len(TEXT) * 0.9)
    wanted = TEXT[:first], TEXT[first:second], TEXT[second:]
    assert [lexicon.decode(stream(part)) for part in three(dataset)] == list(wanted)
    assert [len(part) for part in three(dataset)] == [
        len(lexicon.encode(text)) // 16 for text in wanted
    ]
    whole, (rows, cond, ids) = stream(dataset.train), dataset.train.batch(3, 8, 0)
    assert not cond and rows.dtype == torch.int64
    assert rows.tolist() == [whole[i : i + 16] for i in ids.tolist()]
    assert any(i % 16 for i in ids.tolist())


def test_no_piece_reaches_over_the_border_of_two_parts(tmp_path):
    text = "ab" * 500 + "a" + "ba" * 100 + "b"  # 1202 letters; a part ends between a and b
    (tmp_path / "a.txt").write_text(text)
    options = {"tokenizer": "bpe", "vocab": 258, "length": 4}
    dataset = data.open_dataset(tmp_path / "a.txt", valid=0.0, test=201 / 1202, **options)
    train, _, test = three(dataset)
    assert dataset.items.lexicon.decode(stream(train)) == text[:1001]
    assert dataset.items.lexicon.decode(stream(test)) == text[1001:]
    assert len(stream(train)) < 1001 / 2


def test_a_letter_of_several_bytes_is_not_divided_between_parts(tmp_path):
    (tmp_path / "a.txt").write_text("\u6625\u7720\u4e0d\u89c9\u6653" * 41, "utf-8")
    parts = three(data.open_dataset(tmp_path / "a.txt", tokenizer="bytes", length=8))
    assert all(len(stream(part)) % 3 == 0 for part in parts)
    assert sum(len(stream(part)) for part in parts) == 3 * 5 * 41


def test_numbers_are_of_a_type_that_holds_the_vocabulary_too(some):
    """Else 256 is 0 beside them, and comparing them to it goes wrong."""
    whole = data.open_dataset(some, tokenizer="bytes").train.items
    assert bool((whole < 256).all()) and whole.dtype == torch.int16


def test_pieces_are_learnt_from_the_training_part_alone(tmp_path):
    (tmp_path / "a.txt").write_text("ababab cdcdcd\n" * 80 + "xyxyxy\n" * 40)
    options = {"tokenizer": "bpe", "vocab": 300, "length": 4}
    lexicon = data.open_dataset(tmp_path / "a.txt", **options).items.lexicon
    assert len(lexicon.encode("ababab")) < 4 and len(lexicon.encode("xyxyxy")) == 6


def test_a_folder_or_a_run_reads_it_with_its_own_numbers(some, tmp_path):
    (tmp_path / "own").mkdir()
    rules = learn_pieces([TEXT], 290)
    (tmp_path / "own" / "tokenizer.json").write_text(rules)
    dataset = data.open_dataset(some, tokenizer=str(tmp_path / "own"))
    assert dataset.items.lexicon == Pieces(rules) and dataset.items.shape == (128,)
    by_bytes = data.open_dataset(some, tokenizer="bytes")
    assert by_bytes.items.lexicon == Bytes()
    assert len({dataset.fingerprint, by_bytes.fingerprint}) == 2


def test_a_checkpoint_reads_it_and_closes_nothing(some, tmp_path):
    pytest.importorskip("transformers")
    from tests.unit.hub.tiny_checkpoints import write

    write(tmp_path / "theirs", "llama", "chatml")
    dataset = data.open_dataset(some, tokenizer=str(tmp_path / "theirs"), length=16)
    lexicon = dataset.items.lexicon
    assert lexicon.form == "chatml" and dataset.items.end is not None
    assert dataset.items.end not in stream(dataset.train)
    assert lexicon.decode(stream(dataset.train)) == TEXT[: round(len(TEXT) * 0.8)]
    assert dataset.train.epoch == (len(stream(dataset.train)) - 15) // 16
    plain = data.open_dataset(some, tokenizer=str(tmp_path / "theirs"), talks="plain")
    assert plain.items.lexicon.form == "plain"


def test_a_long_text_is_read_stretch_by_stretch(some, monkeypatch):
    assert list(running.stretches(TEXT)) == [TEXT]
    monkeypatch.setattr(running, "STRETCH", 100)
    parts = list(running.stretches(TEXT))
    assert "".join(parts) == TEXT and len(parts) > 50
    assert all(part.endswith("\n") and 50 < len(part) <= 100 for part in parts[:-1])
    assert list(running.stretches("x" * 250)) == ["x" * 100, "x" * 100, "x" * 50]
    assert list(running.stretches("")) == []
    dataset = data.open_dataset(some, tokenizer="bpe", vocab=300)
    assert dataset.items.lexicon.decode(stream(dataset.train)) == TEXT[: round(len(TEXT) * 0.8)]


def test_a_pack_of_letters_is_what_it_was(tmp_path):
    (tmp_path / "a.txt").write_text("the cat sat on the mat.\n" * 90)
    packs = [
        data.open_dataset(tmp_path / "a.txt", tokenizer=way)._pack for way in (None, "letters")
    ]
    told = [json.loads((pack / "data.json").read_text()) for pack in packs]
    assert [*told[0]] == [
        *("shape", "classes", "alphabet", "parts", "findings", "notes"),
        *("kind", "form", "name", "sizes"),
    ]
    assert told[0] == told[1] and told[0]["alphabet"] == "\n .acehmnost"
    assert told[0]["notes"] == ["2160 characters, 12 distinct"]


def test_what_does_not_fit_is_told(some):
    with pytest.raises(BadInput, match=r"is for documents, and some\.txt is one running text"):
        data.open_dataset(some, tokenizer="smiles")
    with pytest.raises(BadInput, match="is a form for checkpoints of others"):
        data.open_dataset(some, tokenizer="bytes", talks="chatml")
    with pytest.raises(BadInput, match=r"the train part has \d+ tokens, and length = 9000"):
        data.open_dataset(some, tokenizer="bpe", length=9000)
