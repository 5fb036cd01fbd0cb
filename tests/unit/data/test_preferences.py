"""Pairs of documents: the forms that are read, what is none, and what a batch holds."""

from __future__ import annotations

import json

import pytest
import torch

from genloom import data
from genloom.errors import BadInput
from tests.unit.data.test_documents import everything, texts, written

WORDS = [f"{a}{b}" for a in "abcdefgh" for b in "xyz"]  # 24


def said(role: str, text: str) -> dict[str, str]:
    return {"role": role, "content": text}


def plain(word: str) -> dict:
    return {"prompt": word, "chosen": word[0], "rejected": word[1:] * 2}


def talk(word: str) -> dict:
    row = plain(word)
    return {
        "prompt": [said("user", word)],
        "chosen": [said("assistant", row["chosen"])],
        "rejected": [said("assistant", row["rejected"])],
    }


def whole(word: str) -> dict:
    row = talk(word)
    return {name: [*row["prompt"], *row[name]] for name in ("chosen", "rejected")}


FORMS = {
    "texts": plain,
    "messages": talk,
    "talks": whole,
    "a prompt twice": lambda word: {**whole(word), "prompt": word},
    "a text to a message": lambda word: {**talk(word), "prompt": word},
}


def pairs(dataset, part=None) -> list[tuple[str, str]]:
    split = dataset.train if part is None else part
    rejected = [dataset.items.read(item) for item in split.cond["rejected"]]
    return list(zip(texts(dataset, split), rejected, strict=True))


def opened(tmp_path, rows, **options):
    written(tmp_path / "a.jsonl", rows)
    return data.open_dataset(tmp_path / "a.jsonl", **options)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_forms_of_pairs_are_the_same_two_documents(tmp_path, form):
    dataset = opened(tmp_path, [form(word) for word in WORDS], valid=0, test=0)
    assert not dataset.findings and dataset.items.shape == (7,)
    wanted = [(f"[user] {w}[assistant] {w[0]}", f"[user] {w}[assistant] {w[1] * 2}") for w in WORDS]
    assert sorted(pairs(dataset)) == sorted(wanted)
    rows, cond, ids = dataset.train.batch(0, 5, 0)
    assert torch.equal(rows, dataset.train.items[ids])
    assert torch.equal(cond["rejected"], dataset.train.cond["rejected"][ids])
    assert cond["rejected"].dtype.is_signed  # it can be hidden
    assert dataset.items.conditions == {}


def test_answers_without_a_prompt_are_plain_text_and_a_table_may_be_csv(tmp_path):
    (tmp_path / "a.csv").write_text(
        "chosen,rejected\n" + "".join(f"{w},{w[::-1]}\n" for w in WORDS)
    )
    dataset = data.open_dataset(tmp_path / "a.csv", valid=0, test=0)
    assert sorted(pairs(dataset)) == sorted((w, w[::-1]) for w in WORDS)
    assert dataset.items.lexicon.marks == ("end",)


BROKEN = {
    "there is no rejected": {"prompt": "ax", "chosen": "a"},
    "chosen and rejected are the same": {"prompt": "ax", "chosen": "a", "rejected": "a"},
    "rejected holds no text": {"prompt": "ax", "chosen": "a", "rejected": " "},
    "the prompts of chosen and rejected differ": {
        "prompt": "ax",
        "chosen": whole("ax")["chosen"],
        "rejected": [said("user", "ax"), said("assistant", "a"), *whole("ay")["rejected"]],
    },
    "rejected does not begin with the prompt": {**whole("ay"), "prompt": "ay"}
    | {"rejected": whole("ax")["rejected"]},
    "chosen ends with the user, not with the assistant": {
        "prompt": "ax",
        "chosen": [said("user", "a")],
        "rejected": "b",
    },
    "chosen is no list of {role, content}": {"prompt": "ax", "chosen": [], "rejected": "b"},
    "rejected is int, not text": {"prompt": "ax", "chosen": "a", "rejected": 3},
}


def test_rows_that_are_no_pairs_are_left_out_with_a_reason(tmp_path):
    dataset = opened(tmp_path, [*map(plain, WORDS), *BROKEN.values()], valid=0, test=0)
    assert [(f.path, f.code, f.reason, f.kept) for f in dataset.findings] == [
        (f"a.jsonl:{25 + i}", "bad_pair", reason, False) for i, reason in enumerate(BROKEN)
    ]
    assert len(dataset.train) == len(WORDS)
    report = data.check(tmp_path / "a.jsonl")
    assert (report.n, report.counted) == (len(WORDS), "pairs of documents")


def test_a_prompt_that_nobody_named_is_told(tmp_path):
    rows = [{"chosen": w, "rejected": w[::-1]} for w in WORDS]
    dataset = opened(tmp_path, [*rows, plain("ax")], valid=0, test=0)
    (found,) = dataset.findings
    assert found.reason == "it has a prompt: name the columns prompt, chosen, rejected"


def test_a_pair_is_dropped_whole_where_one_of_the_two_is_too_long(tmp_path):
    rows = [*map(plain, WORDS)]
    rows[3]["rejected"], rows[9]["chosen"], rows[12]["chosen"] = "abcdefgh", "abcdef", "abcde"
    dataset = opened(tmp_path, rows, length=10, valid=0, test=0)  # an opening, two, one, 5, an end
    assert dataset.items.shape == (10,)
    told = [(f.path, f.code, f.kept) for f in dataset.findings]
    assert told == [("a.jsonl:4", "too_long", False), ("a.jsonl:10", "too_long", False)]
    assert len(dataset.train) == 22 and (
        "[user] ex[assistant] abcde",
        "[user] ex[assistant] xx",
    ) in (pairs(dataset))
    assert (dataset.train.items[12 - 2][-1], dataset.items.end) == (dataset.items.end,) * 2
    with pytest.raises(BadInput, match=r"no pair of a\.jsonl fits 4 numbers"):
        opened(tmp_path, rows, length=4)


def test_pairs_of_one_prompt_share_a_part(tmp_path):
    rows = [{**plain(w), "rejected": other} for w in WORDS for other in ("p", "q", "r")]
    dataset = opened(tmp_path, rows, valid=0.2, test=0.2)
    parts = [dataset.train, dataset.valid, data.open_test(dataset)]
    prompts = [{text.partition("[assistant]")[0] for text in texts(dataset, p)} for p in parts]
    assert sum(map(len, prompts)) == len(set.union(*prompts)) == len(WORDS)
    assert [len(part) for part in parts] == [42, 15, 15] and not dataset.findings
    assert all(f"[user] {w}[assistant] {w[0]}" in everything(dataset) for w in WORDS)


def test_tables_of_pairs_and_of_others_do_not_mix(tmp_path):
    written(tmp_path / "a.jsonl", [plain(w) for w in WORDS])
    written(tmp_path / "b.jsonl", [{"prompt": w, "completion": w} for w in WORDS])
    with pytest.raises(BadInput, match="24 pairs of documents and 24 that are none"):
        data.open_dataset(tmp_path)


def test_columns_of_other_names_and_beside_others(tmp_path):
    rows = [{"q": w, "good": w[0], "bad": w[1]} for w in WORDS]
    dataset = opened(tmp_path, rows, text_column="q,good,bad", valid=0, test=0)
    assert ("[user] ax[assistant] a", "[user] ax[assistant] x") in pairs(dataset)
    beside = [{**whole(w), "messages": whole(w)["chosen"]} for w in WORDS]
    as_before = opened(tmp_path, beside, valid=0, test=0)
    assert "rejected" not in as_before.train.cond and len(as_before.train) == 24
    asked = opened(tmp_path, beside, text_column="chosen,rejected", valid=0, test=0)
    assert sorted(pairs(asked))[0] == ("[user] ax[assistant] a", "[user] ax[assistant] xx")


def test_pairs_of_a_parquet_file(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    arrow = pytest.importorskip("pyarrow")
    table = arrow.Table.from_pylist([{**talk(w), "score": 1} for w in WORDS])
    parquet.write_table(table, tmp_path / "a.parquet")
    dataset = data.open_dataset(tmp_path / "a.parquet", valid=0, test=0)
    written(tmp_path / "b.jsonl", [talk(w) for w in WORDS])
    again = data.open_dataset(tmp_path / "b.jsonl", valid=0, test=0)
    assert pairs(dataset) == pairs(again) and json.dumps(pairs(again)).count("assistant") == 48
