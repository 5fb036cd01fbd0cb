"""What places and endings say of pictures: classes with strays, and photos that are not read."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genloom import data
from genloom.data import images
from genloom.data.decode import decode
from genloom.data.findings import Damaged
from genloom.errors import BadInput

HEIC = b"\0\0\0\x18ftypheic" + b"\0" * 40


def painted(root: Path, paint, names: list[str]) -> None:
    for i, name in enumerate(names):
        paint(root / name, i)


def pets(n: int = 6) -> list[str]:
    return [f"{kind}/{i}.png" for kind in ("cat", "dog") for i in range(n)]


def labels(dataset: data.Dataset) -> dict[str, int]:
    return dict(zip(dataset.train.names, dataset.train.cond["label"].tolist(), strict=True))


def test_a_picture_beside_the_folders_of_classes_has_no_label(tmp_path, paint):
    painted(tmp_path, paint, [*pets(), "cover.png"])
    dataset = data.open_dataset(tmp_path, valid=0, test=0)
    assert dataset.items.classes == ("cat", "dog")
    found = labels(dataset)
    assert (found["cover.png"], found["cat/0.png"], found["dog/0.png"]) == (-1, 0, 1)
    assert [(f.path, f.code, f.kept) for f in dataset.findings] == [
        ("cover.png", "no_folder", True)
    ]
    report = data.check(tmp_path)
    assert report.unlabelled == 1 and report.classes == {"cat": 6, "dog": 6}
    assert "cover.png" in report.text() and report.quarantine == []


def test_a_stray_above_the_one_folder_of_all_is_no_hindrance(tmp_path, paint):
    painted(tmp_path, paint, ["cover.png", *(f"pets/{name}" for name in pets())])
    assert data.open_dataset(tmp_path).items.classes == ("cat", "dog")


def test_most_pictures_decide_what_subfolders_are(tmp_path, paint):
    flat = [f"{i}.png" for i in range(12)]
    painted(tmp_path, paint, [*pets(), *flat])
    report = data.check(tmp_path)
    assert report.classes == {} and report.findings == []
    assert any("(cat, dog) are no classes" in note for note in report.notes)
    (tmp_path / flat[0]).unlink()
    assert data.check(tmp_path).classes == {"cat": 6, "dog": 6}


def test_official_parts_and_classes_outlast_strays(tmp_path, paint):
    parts = [f"{part}/{name}" for part in ("train", "test") for name in pets(4)]
    painted(tmp_path, paint, [*parts, "cover.png", "train/index.png"])
    dataset = data.open_dataset(tmp_path, valid=0)
    assert dataset.items.classes == ("cat", "dog")
    found = labels(dataset)
    assert len(found) == 10 and found["cover.png"] == found["train/index.png"] == -1
    assert len(data.open_test(dataset)) == 8


def test_a_stray_beside_official_parts_without_classes_is_told(tmp_path, paint):
    painted(
        tmp_path, paint, [*(f"{p}/{i}.png" for p in ("train", "test") for i in range(5)), "x.png"]
    )
    dataset = data.open_dataset(tmp_path, valid=0)
    assert dataset.items.classes == () and len(data.open_test(dataset)) == 5
    assert [(f.path, f.reason) for f in dataset.findings] == [
        ("x.png", "it is of no official part")
    ]


def test_unlabelled_test_pictures_leave_the_labels_of_training(tmp_path, paint):
    names = [*(f"train/{name}" for name in pets()), *(f"test/{i}.png" for i in range(5))]
    painted(tmp_path, paint, names)
    dataset = data.open_dataset(tmp_path, valid=0)
    assert dataset.items.classes == ("cat", "dog") and min(labels(dataset).values()) == 0
    assert data.open_test(dataset).cond["label"].tolist() == [-1] * 5


def test_the_fingerprint_changes_only_where_the_reading_does(tmp_path, paint, monkeypatch):
    painted(tmp_path / "plain", paint, pets())
    painted(tmp_path / "flat", paint, ["1.png", "2.png", "a/3.png", "b/4.png"])
    painted(tmp_path / "png", paint, ["png/1.png", "png/2.png", "x.png"])
    painted(tmp_path / "strays", paint, [*pets(), "cover.png"])
    with zipfile.ZipFile(tmp_path / "strays.zip", "w") as file:
        for path in sorted((tmp_path / "strays").rglob("*.png")):
            file.write(path, path.relative_to(tmp_path / "strays"))
    same = [images.rules(tmp_path / name) for name in ("plain", "flat", "png")]
    changed = [images.rules(tmp_path / name) for name in ("strays", "strays.zip")]
    assert same == [{}] * 3 and changed == [{"pictures": images.VERSION}] * 2
    before = [data.open_dataset(tmp_path / name).fingerprint for name in ("plain", "strays")]
    monkeypatch.setattr(images, "VERSION", images.VERSION + 1)
    after = [data.open_dataset(tmp_path / name).fingerprint for name in ("plain", "strays")]
    assert before[0] == after[0] and before[1] != after[1]


def test_a_picture_beside_official_parts_changes_the_fingerprint(tmp_path, paint):
    painted(tmp_path, paint, [*(f"{p}/{i}.png" for p in ("train", "test") for i in range(5))])
    assert images.rules(tmp_path) == {}
    paint(tmp_path / "x.png", 99)
    assert images.rules(tmp_path)


@pytest.mark.parametrize("told", ["all", "folders", "stray"])
def test_labels_of_a_table_leave_the_fingerprint(told, tmp_path, paint):
    painted(tmp_path, paint, [*pets(), "x.png"])
    names = {"all": [*pets(), "x.png"], "folders": pets(), "stray": ["x.png"]}[told]
    rows = "".join(f"{name},{i % 2}\n" for i, name in enumerate(names))
    (tmp_path / "labels.csv").write_text("file_name,label\n" + rows)
    assert bool(images.rules(tmp_path)) == (told == "stray")
    assert data.check(tmp_path).classes.keys() == (
        {"0", "cat", "dog"} if told == "stray" else {"0", "1"}
    )


def test_a_table_beside_one_class_makes_two(tmp_path, paint):
    painted(tmp_path, paint, [f"{p}/cat/{i}.png" for p in ("train", "test") for i in range(5)])
    paint(tmp_path / "train" / "x.png", 99)
    assert images.rules(tmp_path) == {}
    (tmp_path / "labels.csv").write_text("file_name,label\nx.png,dog\n")
    assert images.rules(tmp_path) and data.check(tmp_path).classes == {"cat": 10, "dog": 1}


def test_raw_photos_change_the_fingerprint_where_they_were_read(tmp_path, paint):
    painted(tmp_path / "pictures", paint, ["1.png"])
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("words")
    (tmp_path / "raw").mkdir()
    folders = [tmp_path / name for name in ("pictures", "texts", "raw")]
    for folder in folders:
        (folder / "a.cr3").write_bytes(b"\0\0\0\x18ftypcrx " + b"\0" * 40)
    assert [bool(images.rules(folder)) for folder in folders] == [False] * 3
    for folder in folders:
        paint(folder / "thumbnail.tif", 9).rename(folder / "b.NEF")
    assert [bool(images.rules(folder)) for folder in folders] == [True, False, True]


def test_the_fingerprint_says_whether_avif_is_read(tmp_path, paint, monkeypatch):
    painted(tmp_path, paint, [*pets(), "x.png"])
    (tmp_path / "2.avif").write_bytes(b"\0\0\0\x1cftypavif" + b"\0" * 40)
    monkeypatch.setattr(images, "ENDINGS", images.ENDINGS | {".avif"})
    assert images.rules(tmp_path) == {"avif": 1, "pictures": images.VERSION}
    monkeypatch.setattr(images, "ENDINGS", images.ENDINGS - {".avif"})
    assert images.rules(tmp_path) == {"pictures": images.VERSION}
    (tmp_path / "x.png").unlink()
    assert images.rules(tmp_path) == {}


@pytest.mark.parametrize("name", ["a.HEIC", "a.heif", "a.nef", "a.DNG"])
def test_photos_that_are_not_read_are_named_with_what_to_do(name, tmp_path, paint):
    painted(tmp_path, paint, [f"{i}.png" for i in range(4)])
    paint(tmp_path / "thumbnail.tif", 9).rename(tmp_path / name)  # a raw photo looks like TIFF
    report = data.check(tmp_path)
    assert [(f.path, f.code, f.kept) for f in report.findings] == [(name, "unsupported", False)]
    assert "convert it to PNG or JPEG" in report.text() and report.n == 4
    assert not any("no data" in note for note in report.notes)


def test_a_folder_of_such_photos_alone_says_what_they_are(tmp_path):
    for i in range(4):
        (tmp_path / f"IMG_{i}.HEIC").write_bytes(HEIC)
    for source in (tmp_path, tmp_path / "IMG_0.HEIC"):
        with pytest.raises(BadInput, match="a photo in HEIC: convert it to PNG or JPEG"):
            data.open_dataset(source)
    with pytest.raises(BadInput, match=r"4 photos \(IMG_0.HEIC, IMG_1.HEIC, IMG_2.HEIC\)"):
        data.open_dataset(tmp_path)


def test_heic_under_another_name_is_known_by_its_bytes():
    with pytest.raises(Damaged, match="HEIC: convert") as error:
        decode(HEIC, "photo.jpg", [])
    assert error.value.finding.code == "unsupported"


def test_avif_is_read_where_pillow_can(tmp_path):
    pytest.importorskip("PIL._avif")
    pixels = np.full((16, 16, 3), (200, 40, 90), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "AVIF", quality=95)
    for i in range(3):
        (tmp_path / f"{i}.avif").write_bytes(stream.getvalue())
    assert data.check(tmp_path).shapes == {"3x16x16": 3}
    found = decode(stream.getvalue(), "x.avif", [])
    assert np.abs(found.astype(int) - pixels.transpose(2, 0, 1)).max() <= 6
