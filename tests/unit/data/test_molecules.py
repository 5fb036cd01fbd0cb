"""Documents as molecules: which files are, what becomes of each, and who says so."""

from __future__ import annotations

import gzip
import json
import sys
from collections import Counter

import pytest

from genloom import data
from genloom.data.molecules import usual_form
from genloom.errors import BadInput
from genloom.lexicon import Letters
from genloom.molecules.chemistry import canonical, to_smiles
from genloom.words import Words

# 60 chains in a form that RDKit does not write, and as it does
CHAINS = [f"{end}{'C' * n}" for n in range(1, 16) for end in ("O", "N", "F", "Cl")]
PLAIN = sorted(canonical(smiles) for smiles in CHAINS)


def texts(dataset, split) -> list[str]:
    return [dataset.items.read(item) for item in split.items]


def everything(dataset) -> list[str]:
    parts = (dataset.train, dataset.valid, data.open_test(dataset))
    return [text for part in parts for text in texts(dataset, part)]


def test_a_file_of_smiles_is_one_of_molecules(tmp_path):
    lines = [f"{smiles} name of {i}" for i, smiles in enumerate(CHAINS)]
    (tmp_path / "a.smi").write_text("\n".join(lines))
    dataset = data.open_dataset(tmp_path / "a.smi")
    assert sorted(everything(dataset)) == PLAIN
    assert dataset.items.medium == "molecule" and dataset.items.kind == "text"
    assert dataset.items.lexicon == Words(("C", "Cl", "F", "N", "O"), "smiles", marks=("end",))
    assert any("canonical by RDKit" in note for note in dataset.notes)


@pytest.mark.parametrize("column", ["smiles", "SMILES"])
@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.csv.gz", "a.jsonl", "a.json"])
def test_so_is_a_table_whose_column_is_called_so(tmp_path, name, column):
    rows = [{"id": str(i), column: smiles} for i, smiles in enumerate(CHAINS)]
    comma = "\t" if ".tsv" in name else ","
    table = "\n".join([f"id{comma}{column}", *(comma.join(row.values()) for row in rows)])
    lines = "\n".join(map(json.dumps, rows))
    written = {"json": json.dumps(rows), "jsonl": lines}.get(name.partition(".")[2], table)
    content = written.encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    found = [data.open_dataset(path) for path in (tmp_path / name, tmp_path)]  # alone, in a folder
    assert [sorted(everything(dataset)) for dataset in found] == [PLAIN, PLAIN]
    named = data.open_dataset(tmp_path / name, text_column="id", valid=0, test=0)
    assert sorted(everything(named)) == sorted(str(i) for i in range(60))


def test_so_is_parquet_unless_it_holds_pictures(tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    pq.write_table(pa.table({"id": range(60), "smiles": CHAINS}), tmp_path / "a.parquet")
    assert sorted(everything(data.open_dataset(tmp_path / "a.parquet"))) == PLAIN
    assert usual_form(tmp_path, ("id",)) is None
    both = pa.table({"image": [b""], "smiles": ["C"]})
    pq.write_table(both, tmp_path / "b.parquet")
    assert usual_form(tmp_path / "b.parquet", ()) is None


def test_other_files_are_when_somebody_says_so(tmp_path):
    (tmp_path / "a.txt").write_text("\n".join(CHAINS))
    asked = {"document": "line", "tokenizer": "smiles"}
    assert sorted(everything(data.open_dataset(tmp_path / "a.txt", **asked))) == PLAIN
    plain = data.open_dataset(tmp_path / "a.txt", document="line")
    assert sorted(everything(plain)) == sorted(CHAINS)
    with pytest.raises(BadInput, match="is for documents, and a\\.txt is one running text"):
        data.open_dataset(tmp_path / "a.txt", tokenizer="smiles")
    with pytest.raises(BadInput, match="tokenizer reads documents"):
        data.open_dataset("digits", tokenizer="smiles")


@pytest.mark.parametrize("form", ["smiles", "selfies"])
def test_pairs_are_none(tmp_path, form):
    rows = [{"chosen": smiles, "rejected": f"C{smiles}"} for smiles in CHAINS]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(BadInput, match=r"a\.jsonl:1 is a pair, which is no molecule"):
        data.open_dataset(tmp_path / "a.jsonl", tokenizer=form)
    plain = data.open_dataset(tmp_path / "a.jsonl", tokenizer="letters")
    assert sorted(everything(plain)) == sorted(CHAINS)


def test_files_of_smiles_are_letters_when_somebody_says_so(tmp_path):
    (tmp_path / "a.smi").write_text("\n".join(CHAINS))
    dataset = data.open_dataset(tmp_path, tokenizer="letters")
    assert sorted(everything(dataset)) == sorted(CHAINS)
    assert dataset.items.lexicon == Letters("CFNOl", marks=("end",))
    usual, asked = (data.open_dataset(tmp_path, tokenizer=t) for t in (None, "smiles"))
    assert usual.fingerprint == asked.fingerprint != dataset.fingerprint


def test_selfies_are_words_of_the_same_molecules(tmp_path):
    (tmp_path / "a.smi").write_text("\n".join([*CHAINS, "*CC"]))
    dataset = data.open_dataset(tmp_path, tokenizer="selfies")
    assert dataset.items.lexicon == Words(
        ("[C]", "[Cl]", "[F]", "[N]", "[O]"), "selfies", marks=("end",)
    )
    assert (
        sorted(canonical(to_smiles(t, dataset.items.lexicon)) for t in everything(dataset)) == PLAIN
    )
    assert [(f.path, f.code, f.kept) for f in dataset.findings] == [
        ("a.smi:61", "no_selfies", False)
    ]


def test_each_rule_is_counted(tmp_path):
    special = ["C(", "", "CC(=O)[O-].[Na+]", "C[N+](C)(C)C", "OC", "C" * 30]
    (tmp_path / "a.smi").write_text("\n".join([*CHAINS, *special]))
    dataset = data.open_dataset(tmp_path / "a.smi", length=20)
    told = {(f.path, f.code): f.kept for f in dataset.findings}
    assert told == {
        ("a.smi:61", "no_molecule"): False,
        ("a.smi:62", "no_text"): False,
        ("a.smi:63", "salt"): True,
        ("a.smi:63", "neutralised"): True,
        ("a.smi:64", "charged"): True,
        ("a.smi:65", "duplicate"): False,
        ("a.smi:66", "too_long"): False,
    }
    assert sorted(everything(dataset)) == sorted([*PLAIN, "CC(=O)O", "C[N+](C)(C)C"])
    report = data.check(tmp_path / "a.smi", length=20)
    assert Counter(f.code for f in report.findings) == Counter(code for _, code in told)
    assert (report.n, report.duplicates, report.problem) == (62, 1, "")


def test_several_lines_and_talks_are_no_molecules(tmp_path):
    rows = [{"prompt": smiles, "completion": smiles} for smiles in CHAINS]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(BadInput, match="too few"):
        data.open_dataset(tmp_path / "a.jsonl", tokenizer="smiles")
    (tmp_path / "b.txt").write_text("\n".join(f"{smiles}\n" for smiles in CHAINS))
    with pytest.raises(BadInput, match="too few"):
        data.open_dataset(tmp_path / "b.txt", document="file", tokenizer="smiles")


def test_a_molecule_that_is_held_out_is_never_trained_on(tmp_path):
    (tmp_path / "train.smi").write_text("\n".join(CHAINS))
    (tmp_path / "test.smi").write_text("\n".join(PLAIN[:9]))  # the same ones, written otherwise
    dataset = data.open_dataset(tmp_path)
    assert sorted(texts(dataset, data.open_test(dataset))) == PLAIN[:9]
    assert not set(texts(dataset, dataset.train)) & set(PLAIN[:9])
    assert [f.code for f in dataset.findings if not f.kept] == ["leak"] * 9


@pytest.mark.parametrize("missing", ["rdkit", "selfies"])
def test_without_the_library_the_extra_is_named(tmp_path, monkeypatch, missing):
    (tmp_path / f"{missing}.smi").write_text("\n".join(CHAINS))  # no pack is there yet
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(BadInput, match=rf"{missing}.*genloom\[molecules\].*tokenizer = letters"):
        data.open_dataset(tmp_path, tokenizer="selfies" if missing == "selfies" else None)
    assert len(everything(data.open_dataset(tmp_path, tokenizer="letters"))) == 60
