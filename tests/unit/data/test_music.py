from __future__ import annotations

import json
import sys
import zipfile

import pytest

from genloom.data import open_dataset, open_test
from genloom.data.find import Wanted, find
from genloom.data.findings import Damaged
from genloom.errors import BadInput, MissingExtra
from genloom.music import midi
from genloom.music.events import decode, encode
from genloom.music.notes import Note, Score, Track
from genloom.words import Words
from tests.unit.music.test_chorales import CHORALE


def tune(i: int, bars: int = 2) -> Score:
    notes = [Note(12 * k, 50 + (i * k) % 24, 12, 79) for k in range(4 * bars)]
    return Score((Track(tuple(notes), i % 3), Track((Note(0, 36, 6, 79),), drum=True)))


@pytest.fixture
def folder(tmp_path):
    for i in range(30):
        (tmp_path / f"{i:02d}.mid").write_bytes(midi.write(tune(i)))
    return tmp_path


def test_a_folder_of_files_makes_documents_that_come_back(folder):
    data = open_dataset(str(folder), valid=0.2, test=0.2)
    assert data.items.medium == "music" and data.items.kind == "text"
    assert isinstance(data.items.lexicon, Words)
    every = [*data.train.items, *data.valid.items, *open_test(data).items]
    found = {data.items.read(item) for item in every}
    assert found == {encode(tune(i)) for i in range(30)}


def test_damaged_files_are_findings_and_others_are_read(folder):
    (folder / "bad.mid").write_bytes(b"MThd and no more")
    (folder / "empty.midi").write_bytes(midi.write(Score(())))
    findings = []
    assert len(list(find(folder).entries(findings))) == 30
    assert [(f.path, f.kept) for f in findings] == [("bad.mid", False), ("empty.midi", False)]


def test_what_a_file_loses_is_a_finding(tmp_path):
    late = midi.write(tune(1)).replace(
        b"\0\0\0\x06\0\x01\0\x03\x01\xe0", b"\0\0\0\x06\0\x01\0\x03\x01\xe1"
    )
    (tmp_path / "late.mid").write_bytes(late)
    findings = []
    list(find(tmp_path).entries(findings))
    assert [(f.code, f.kept) for f in findings] == [("simplified", True)]


def test_a_zip_with_parts_is_read_as_a_folder_is(folder, tmp_path):
    path = tmp_path / "tunes.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(6):
            part = ("train", "valid", "test")[i % 3]
            archive.write(folder / f"{i:02d}.mid", f"{part}/{i}.MID")
    entries = list(find(path).entries([]))
    assert [entry.part for entry in entries] == ["test"] * 2 + ["train"] * 2 + ["valid"] * 2


def test_one_file_is_one_document_or_damaged(folder):
    (entry,) = find(folder / "03.mid").entries([])
    assert decode(entry.turns[0][1]) == tune(3)
    (folder / "x.mid").write_bytes(b"no music")
    with pytest.raises(Damaged):
        list(find(folder / "x.mid").entries([]))


def test_how_documents_of_text_are_parted_is_refused(folder):
    with pytest.raises(BadInput, match="is for text files"):
        find(folder, Wanted(unit="file"))


def test_a_tokenizer_is_refused(folder):
    with pytest.raises(BadInput, match="MIDI in words of their own"):
        open_dataset(str(folder), tokenizer="letters")


@pytest.mark.parametrize("alone", [True, False])
def test_chorales_are_known_by_content(tmp_path, alone):
    path = tmp_path / "songs.json"
    path.write_text(json.dumps({"test": [CHORALE], "train": [CHORALE, CHORALE[:1]], "valid": []}))
    source = find(path if alone else tmp_path)
    assert [entry.part for entry in source.entries([])] == ["test", "train", "train"]


def test_long_pieces_are_cut_at_bars(tmp_path):
    for i in range(12):
        (tmp_path / f"{i}.mid").write_bytes(midi.write(tune(i, bars=12)))
    data = open_dataset(str(tmp_path), length=64, valid=0.2, test=0.2)
    texts = [data.items.read(item) for item in data.train.items]
    assert all(text.startswith("Bar Meter_4/4 Position_0 Tempo_120") for text in texts)
    assert any("12 documents longer than 64" in note for note in data.notes)


def test_without_mido_the_extra_is_named(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "mido", None)
    with pytest.raises(MissingExtra, match=r"genloom\[music\]"):
        list(find(folder).entries([]))


def test_published_files_are_read(shared_data):
    tunes = sorted((shared_data / "nottingham-midi/midi").glob("*.mid"))[::100]
    if not tunes:
        pytest.skip("nottingham-midi is not there")
    for path in tunes:
        score, _ = midi.read(path.read_bytes())
        assert midi.read(midi.write(score)) == (score, [])


def test_how_midi_is_read_is_part_of_the_fingerprint(folder, tmp_path, monkeypatch):
    packed = tmp_path / "packed.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for path in folder.glob("*.mid"):
            archive.write(path, path.name)
    (tmp_path / "lines.jsonl").write_text("\n".join(f'{{"text": "a{i}"}}' for i in range(30)))
    sources = [next(iter(sorted(folder.glob("*.mid")))).parent / "00.mid", packed]
    others = [tmp_path / "lines.jsonl"]
    before = [open_dataset(str(s), valid=0, test=0).fingerprint for s in (*sources, *others)]
    monkeypatch.setattr("genloom.data.music.VERSION", 10**6)
    after = [open_dataset(str(s), valid=0, test=0).fingerprint for s in (*sources, *others)]
    assert [a != b for a, b in zip(before, after)] == [True, True, False]
