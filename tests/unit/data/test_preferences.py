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


def test_answers_of_two_roles_are_no_pairs(tmp_path):
    rows = [{"chosen": w, "rejected": w[::-1]} for w in WORDS]
    alike = {"chosen": "a", "rejected": [said("assistant", "a")]}
    dataset = opened(tmp_path, [*rows, alike], valid=0, test=0)
    (found,) = dataset.findings
    assert (found.code, found.kept) == ("bad_pair", False) and len(dataset.train) == len(WORDS)
    assert found.reason == "one of chosen and rejected is a text, the other a message"


@pytest.mark.parametrize("name", ["question", "instruction"])
def test_a_prompt_by_another_name_is_one(tmp_path, name):
    rows = [{name: w, "chosen": w[0], "rejected": w[1]} for w in WORDS]
    dataset = opened(tmp_path, rows, valid=0, test=0)
    wanted = [(f"[user] {w}[assistant] {w[0]}", f"[user] {w}[assistant] {w[1]}") for w in WORDS]
    assert not dataset.findings and sorted(pairs(dataset)) == sorted(wanted)
    both = [{**row, "prompt": row[name] * 2} for row in rows]
    written(tmp_path / "b.jsonl", both)
    named = data.open_dataset(tmp_path / "b.jsonl", valid=0, test=0)
    assert ("[user] axax[assistant] a", "[user] axax[assistant] x") in pairs(named)


def test_what_the_system_says_is_a_turn_where_it_says_anything(tmp_path):
    heard, other = "[system] s[user] ax[assistant] a", "[system] s[user] ax[assistant] xx"
    forms = [form("ax") | {"prompt": form("ax").get("prompt", "ax")} for form in FORMS.values()]
    within = [{**forms[1], "prompt": [said("system", "s"), *forms[1]["prompt"]], "system": "t"}]
    rows = [*({**row, "system": "s"} for row in forms), *within]
    silent = [{**forms[0], "system": nothing} for nothing in ("", None, " ")]
    dataset = opened(tmp_path, [*rows, *silent], valid=0, test=0)
    assert all(finding.code == "duplicate" for finding in dataset.findings)
    unheard = (heard.removeprefix("[system] s"), other.removeprefix("[system] s"))
    assert sorted(pairs(dataset)) == sorted([(heard, other)] * len(rows) + [unheard] * len(silent))
    columns = [{"s": "s", "q": "ax", "good": "a", "bad": "xx"}] * 2
    named = opened(tmp_path, columns, text_column="s,q,good,bad", valid=0, test=0)
    assert pairs(named) == [(heard, other)] * 2
    with pytest.raises(BadInput, match="what the system says before them"):
        opened(tmp_path, [{**row, "x": ""} for row in columns], text_column="x,s,q,good,bad")


@pytest.mark.parametrize(
    "others", [("system",), ("input",), ("instruction", "input"), ("question", "instruction")]
)
def test_it_is_told_where_it_is_unclear_what_the_prompt_is(tmp_path, others):
    rows = [{**dict.fromkeys(others, w), "chosen": w[0], "rejected": w[1]} for w in WORDS]
    with pytest.raises(BadInput, match=rf"a\.jsonl has {', '.join(others)} beside .*text_column"):
        opened(tmp_path, rows)
    dataset = opened(tmp_path, rows, text_column="chosen,rejected", valid=0, test=0)
    assert ("a", "x") in pairs(dataset)


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


@pytest.mark.parametrize("part", ["train", "valid", "test"])
def test_a_held_out_part_of_which_no_pair_fits_is_told(tmp_path, part):
    rows = [{**plain(w), "split": name} for w in WORDS for name in ("train", "valid", "test")]
    for i, row in enumerate(rows):  # no two parts have the same prompt
        row["prompt"] = f"{i:02}"
        row["chosen"] = "abcdefgh" if row["split"] == part else "a"
    with pytest.raises(BadInput, match=rf"fits 10 numbers in its {part} part: set a larger"):
        opened(tmp_path, rows, length=10)


def test_one_prompt_alone_is_divided_pair_by_pair(tmp_path):
    rows = [{"prompt": "p", "chosen": w, "rejected": w[::-1]} for w in WORDS for _ in range(2)]
    dataset = opened(tmp_path, rows, valid=0.25, test=0.25)
    parts = [dataset.train, dataset.valid, data.open_test(dataset)]
    assert [len(part) for part in parts] == [24, 12, 12]
    chosen = [set(texts(dataset, part)) for part in parts]
    assert sum(map(len, chosen)) == len(set.union(*chosen)) == len(WORDS)
    with pytest.raises(BadInput, match="24 pairs of documents: too few"):
        opened(tmp_path, rows[:1] * 24)


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
