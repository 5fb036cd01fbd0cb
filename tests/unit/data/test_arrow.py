"""Documents in Parquet files and in folders of `datasets`; what is left out of them."""

from __future__ import annotations

import pytest

from genloom import data
from genloom.errors import BadInput

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

WORDS = [f"{a}{b}n{c}" for a in "abcdef" for b in "aeiou" for c in "aei"]  # 90


def texts(*parts_of):
    dataset, *parts = parts_of
    return sorted(dataset.items.read(item) for part in parts for item in part.items)


def everything(dataset):
    return texts(dataset, dataset.train, dataset.valid, data.open_test(dataset))


def parquet(path, **columns):
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table(columns), path, row_group_size=40)
    return path


def test_parquet_of_text(tmp_path):
    path = parquet(tmp_path / "a.parquet", id=list(range(90)), text=WORDS)
    found = data.open_dataset(path)
    assert everything(found) == sorted(WORDS) and found.items.end is not None
    named = parquet(tmp_path / "b.parquet", title=WORDS, image=["a.png"] * 90)
    assert everything(data.open_dataset(named, text_column="title")) == sorted(WORDS)


def test_parts_are_those_of_the_names_of_shards(tmp_path):
    shards = {"train-00000-of-00002": 0, "train-00001-of-00002": 30, "test-00000-of-00001": 60}
    for name, first in shards.items():
        parquet(tmp_path / "d" / f"{name}.parquet", text=WORDS[first : first + 30])
    found = data.open_dataset(tmp_path / "d", valid=0)
    assert texts(found, found.train) == sorted(WORDS[:60])
    assert texts(found, data.open_test(found)) == sorted(WORDS[60:])


def test_prompts_and_talks(tmp_path):
    pairs = parquet(tmp_path / "a.parquet", prompt=WORDS, completion=[w[::-1] for w in WORDS])
    assert "[user] aana[assistant] anaa" in everything(data.open_dataset(pairs))
    talks = [
        [{"role": "user", "content": w}, {"role": "assistant", "content": "yes"}] for w in WORDS
    ]
    said = everything(data.open_dataset(parquet(tmp_path / "b.parquet", messages=talks)))
    assert len(said) == 90 and "[user] aane[assistant] yes" in said


def test_cells_without_text_are_left_out_and_counted(tmp_path):
    """Of 93 rows the bad one is found in a batch of others, and its place is told."""
    cells = [word.encode() for word in WORDS]
    cells[50:50] = [b"\xff\xfe"]
    column = pa.array([*cells, None, b" "], pa.binary()).cast(pa.string(), safe=False)
    found = data.open_dataset(parquet(tmp_path / "a.parquet", text=column))
    assert everything(found) == sorted(WORDS)
    assert {f.path: f.code for f in found.findings} == {
        "a.parquet:51": "not_utf8",
        "a.parquet:92": "bad_document",
        "a.parquet:93": "no_text",
    }


def test_a_folder_of_datasets(tmp_path):
    datasets = pytest.importorskip("datasets")
    table = datasets.Dataset.from_dict({"id": list(range(90)), "text": WORDS})
    table.select(range(80)).save_to_disk(str(tmp_path / "one"))
    assert everything(data.open_dataset(tmp_path / "one")) == sorted(WORDS[:80])
    parts = {"train": table.select(range(80)), "test": table.select(range(80, 90))}
    datasets.DatasetDict(parts).save_to_disk(str(tmp_path / "two"))
    found = data.open_dataset(tmp_path / "two", valid=0)
    assert texts(found, found.train) == sorted(WORDS[:80])
    assert texts(found, data.open_test(found)) == sorted(WORDS[80:])
    with pytest.raises(BadInput, match="no column 'txt'; did you mean 'text'"):
        data.open_dataset(tmp_path / "two", text_column="txt")


def test_a_table_of_numbers_is_no_data(tmp_path):
    path = parquet(tmp_path / "a.parquet", x=[1, 2], y=[3, 4])
    with pytest.raises(BadInput, match=r"of text \(x, y\)\. Name it: .* column image or img"):
        data.open_dataset(path)
