"""Text in pieces: lines, paragraphs, files, rows of JSON and CSV; talks; what is left out."""

from __future__ import annotations

import json

import pytest
import torch

from genloom import data
from genloom.errors import BadInput
from genloom.lexicon import Bytes, Letters, Pieces

NAMES = [f"{a}{b}n{c}" for a in "abcdef" for b in "aeiou" for c in "aei"]  # 90


def texts(dataset, part=None) -> list[str]:
    split = dataset.train if part is None else part
    return [dataset.items.read(item) for item in split.items]


def everything(dataset) -> list[str]:
    return [
        text
        for part in (dataset.train, dataset.valid, data.open_test(dataset))
        for text in texts(dataset, part)
    ]


def written(path, rows) -> None:
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n", "utf-8")


def test_lines_are_documents_of_one_length_in_three_parts(tmp_path):
    (tmp_path / "names.txt").write_text("\n".join([*NAMES, "", "  "]) + "\n")
    dataset = data.open_dataset(tmp_path / "names.txt", document="line")
    assert sorted(everything(dataset)) == sorted(NAMES)
    assert [len(p) for p in (dataset.train, dataset.valid)] == [72, 9]
    assert dataset.items.shape == (5,)  # four letters and the end
    assert dataset.items.lexicon == Letters("abcdefinou", marks=("end",))
    assert [f.code for f in dataset.findings] == ["no_text"] * 2  # a line end ends a line
    whole = dataset.train.items[0].tolist()
    assert whole[-1] == dataset.items.end == 10


def test_batches_are_of_packed_rows_and_lose_nothing(tmp_path):
    (tmp_path / "names.txt").write_text("\n".join(NAMES))
    dataset = data.open_dataset(tmp_path, document="line", length=16)
    train = dataset.train
    assert train.epoch < len(train) / 2.5
    rows, cond, ids = train.batch(0, train.epoch, 0)
    assert not cond and sorted(ids.tolist()) == list(range(train.epoch))
    said = "".join(
        "|" if i == dataset.items.end else dataset.items.lexicon.alphabet[i]
        for i in rows.flatten().tolist()
    )
    assert sorted(word for word in said.split("|") if word) == sorted(texts(dataset))
    assert not torch.equal(train.batch(1, train.epoch, 0)[0], rows)  # another order


def test_paragraphs_and_files(tmp_path):
    (tmp_path / "one.txt").write_text("a b\nc\n\n \nd e\n\n" * 20)
    parted = data.open_dataset(tmp_path / "one.txt", document="paragraph", valid=0, test=0)
    assert set(texts(parted)) == {"a b\nc", "d e"} and len(parted.train) == 40
    for i in range(12):
        (tmp_path / f"{i}.txt").write_text(f"file {i}\nof many\n")
    (tmp_path / "bad.txt").write_bytes(b"\xff\xfe")
    files = data.open_dataset(tmp_path)
    assert len(everything(files)) >= 13 and "file 3\nof many\n" in everything(files)
    assert [(f.path, f.code) for f in files.findings if not f.kept] == [("bad.txt", "not_utf8")]


def test_rows_of_json_and_csv_and_a_list(tmp_path):
    rows = [{"id": i, "text": f"row {i}"} for i in range(20)]
    written(tmp_path / "a.jsonl", rows)
    (tmp_path / "b.json").write_text(json.dumps(rows))
    (tmp_path / "c.csv").write_text("id,text\n" + "".join(f'{i},"row {i}"\n' for i in range(20)))
    found = [everything(data.open_dataset(tmp_path / n)) for n in ("a.jsonl", "b.json", "c.csv")]
    assert sorted(found[0]) == sorted(row["text"] for row in rows)
    assert sorted(found[0]) == sorted(found[1]) == sorted(found[2])


def test_rows_that_are_none_are_left_out_with_a_reason(tmp_path):
    written(tmp_path / "a.jsonl", [{"text": f"row {i}"} for i in range(20)] + [{"text": 3}])
    with (tmp_path / "a.jsonl").open("a") as file:
        file.write("{\n[1]\n \n")
    dataset = data.open_dataset(tmp_path / "a.jsonl")
    assert [(f.path, f.code) for f in dataset.findings] == [
        ("a.jsonl:21", "bad_document"),
        ("a.jsonl:22", "bad_json"),
        ("a.jsonl:23", "bad_json"),
        ("a.jsonl:24", "no_text"),
    ]
    assert len(everything(dataset)) == 20


def test_a_prompt_and_its_completion_are_two_turns(tmp_path):
    written(
        tmp_path / "a.jsonl", [{"prompt": f"{i}+1", "completion": f"{i + 1}"} for i in range(9)]
    )
    dataset = data.open_dataset(tmp_path / "a.jsonl", valid=0, test=0)
    assert "[user] 3+1[assistant] 4" in texts(dataset)
    assert dataset.items.lexicon.marks == ("system", "user", "assistant", "end")


def test_messages_are_turns_and_unknown_roles_are_told(tmp_path):
    talk = [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hi"}]
    rows = [{"messages": [*talk, {"role": "assistant", "content": f"hi {i}"}]} for i in range(9)]
    written(tmp_path / "a.jsonl", [*rows, {"messages": [{"role": "robot", "content": "x"}]}])
    dataset = data.open_dataset(tmp_path / "a.jsonl", valid=0, test=0)
    assert "[system] be kind[user] hi[assistant] hi 3" in texts(dataset)
    assert "'robot'" in dataset.findings[0].reason


def test_columns_are_named_and_a_wrong_name_is_told(tmp_path):
    rows = [{"title": f"t{i}", "lines": [f"first {i}", "second"]} for i in range(12)]
    (tmp_path / "poems.json").write_text(json.dumps(rows))
    dataset = data.open_dataset(tmp_path / "poems.json", text_column="lines", valid=0, test=0)
    assert "first 3\nsecond" in texts(dataset)
    with pytest.raises(BadInput, match="no column 'line'; did you mean 'lines'"):
        data.open_dataset(tmp_path / "poems.json", text_column="line")
    with pytest.raises(BadInput, match=r"Name it: data\.text_column"):
        data.open_dataset(tmp_path / "poems.json")


def test_long_documents_are_cut_and_counted(tmp_path):
    (tmp_path / "a.txt").write_text("\n".join(["abcdefgh" * 3, *NAMES]))
    dataset = data.open_dataset(tmp_path, document="line", length=8, valid=0, test=0)
    assert texts(dataset).count("abcdefgh") == 3
    assert any("1 documents longer than 8" in note for note in dataset.notes)


def test_bytes_and_learnt_pieces(tmp_path):
    (tmp_path / "a.txt").write_text("\n".join(f"望明月{name}" for name in NAMES), "utf-8")
    plain = data.open_dataset(tmp_path, document="line", tokenizer="bytes")
    assert plain.items.lexicon == Bytes(marks=("end",))
    pieces = data.open_dataset(tmp_path, document="line", tokenizer="bpe", vocab=300)
    assert isinstance(pieces.items.lexicon, Pieces) and pieces.items.lexicon.vocab == 301
    assert pieces.items.shape[0] < plain.items.shape[0]
    assert sorted(everything(plain)) == sorted(everything(pieces))


def test_a_tokenizer_of_a_folder_is_read_as_it_lies(tmp_path):
    (tmp_path / "a.txt").write_text("\n".join(NAMES))
    learnt = data.open_dataset(tmp_path / "a.txt", document="line", tokenizer="bpe", vocab=280)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "tokenizer.json").write_text(learnt.items.lexicon.rules)
    given = data.open_dataset(tmp_path / "a.txt", document="line", tokenizer=str(tmp_path / "mine"))
    assert given.items.lexicon == learnt.items.lexicon
    (tmp_path / "mine").rename(tmp_path / "moved")
    moved = data.open_dataset(
        tmp_path / "a.txt", document="line", tokenizer=str(tmp_path / "moved")
    )
    assert moved.fingerprint == given.fingerprint
    other = data.open_dataset(tmp_path / "a.txt", document="line", tokenizer="bpe", vocab=300)
    (tmp_path / "moved" / "tokenizer.json").write_text(other.items.lexicon.rules)
    changed = data.open_dataset(
        tmp_path / "a.txt", document="line", tokenizer=str(tmp_path / "moved")
    )
    assert changed.items.lexicon == other.items.lexicon != given.items.lexicon
    with pytest.raises(BadInput, match=r"nor a folder with a tokenizer\.json"):
        data.open_dataset(tmp_path / "a.txt", document="line", tokenizer="letter")


def test_options_that_do_not_fit_are_told(tmp_path):
    (tmp_path / "a.txt").write_text("abc " * 200)
    with pytest.raises(BadInput, match="vocab is for tokenizer = 'bpe'"):
        data.open_dataset(tmp_path / "a.txt", document="line", vocab=300)
    with pytest.raises(BadInput, match="text_column names columns"):
        data.open_dataset(tmp_path / "a.txt", text_column="a")
    with pytest.raises(BadInput, match="document = 'line' is for text files"):
        data.open_dataset("digits", document="line")


def test_pieces_are_learnt_from_what_was_seen_by_no_judge(tmp_path):
    (tmp_path / "train.txt").write_text("\n".join(f"{i} ababab" for i in range(40)))
    (tmp_path / "test.txt").write_text("\n".join(f"{i} xyxyxy" for i in range(40)))
    dataset = data.open_dataset(tmp_path, document="line", tokenizer="bpe", vocab=300)
    assert len(dataset.items.lexicon.encode("ababab")) < 6
    assert len(dataset.items.lexicon.encode("xyxyxy")) == 6


def test_a_check_counts_documents_and_names_what_is_left_out(tmp_path):
    rows = [{"prompt": "ab", "completion": "c"}, {"prompt": " ", "completion": ""}]
    written(tmp_path / "a.jsonl", [*rows, rows[0], {"prompt": "a"}])
    with (tmp_path / "a.jsonl").open("a") as file:
        file.write("[" * 100_000 + "\n")
    report = data.check(tmp_path / "a.jsonl")
    assert (report.n, report.duplicates, report.problem) == (2, 1, "")
    codes = {finding.path: finding.code for finding in report.findings}
    assert codes == {
        "a.jsonl:2": "no_text",
        "a.jsonl:3": "duplicate",
        "a.jsonl:4": "bad_document",
        "a.jsonl:5": "bad_json",
    }
    assert "talks of assistant, user" in report.notes
