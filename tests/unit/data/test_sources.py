"""Every form that data may come in, at tiny size."""

import gzip
import json
import lzma
import os
import struct
import zipfile

import numpy as np
import pytest

from genloom import data
from genloom.errors import BadInput
from genloom.lexicon import Letters

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (40, 6, 6), np.uint8)
Y = (np.arange(40) % 4).astype(np.uint8)


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def everything(dataset: data.Dataset) -> list[bytes]:
    parts = (dataset.train, dataset.valid, data.open_test(dataset))
    return sorted(item.numpy().tobytes() for part in parts for item in part.items)


def labels_by_content(dataset: data.Dataset) -> dict[bytes, int]:
    parts = (dataset.train, dataset.valid, data.open_test(dataset))
    return {
        item.numpy().tobytes(): int(label)
        for part in parts
        for item, label in zip(part.items, part.cond["label"], strict=True)
    }


def test_folder_of_classes(tmp_path, paint):
    for i in range(12):
        paint(tmp_path / ("cat" if i % 2 else "dog") / f"{i}.png", i)
    dataset = data.open_dataset(tmp_path)
    assert dataset.items.classes == ("cat", "dog") and dataset.items.shape == (3, 8, 8)
    for name, label in zip(dataset.train.names, dataset.train.cond["label"], strict=True):
        assert name.startswith(dataset.items.classes[label])


def test_a_single_subfolder_is_no_class(tmp_path, paint):
    for i in range(6):
        paint(tmp_path / "png" / f"{i}.png", i)
    assert data.open_dataset(tmp_path).items.classes == ()


def test_zip_of_a_folder_equals_the_folder(tmp_path, paint):
    for i in range(12):
        paint(tmp_path / "pets" / ("cat" if i % 2 else "dog") / f"{i}.png", i)
    with zipfile.ZipFile(tmp_path / "pets.zip", "w") as file:
        for path in (tmp_path / "pets").rglob("*.png"):
            file.write(path, path.relative_to(tmp_path))
    folder, archive = (data.open_dataset(tmp_path / name) for name in ("pets", "pets.zip"))
    assert folder.items == archive.items
    assert labels_by_content(folder) == labels_by_content(archive)


def test_official_folders(tmp_path, paint):
    for i in range(20):
        part = "test" if i < 5 else "train"
        paint(tmp_path / part / ("a" if i % 2 else "b") / f"{i}.png", i)
    dataset = data.open_dataset(tmp_path)
    assert len(data.open_test(dataset)) == 5 and dataset.items.classes == ("a", "b")
    assert all(name.startswith("test/") for name in data.open_test(dataset).names)
    assert len(dataset.train) + len(dataset.valid) == 15 and len(dataset.valid) == 2


def test_captions_and_labels_from_tables(tmp_path, paint):
    for i in range(8):
        paint(tmp_path / "pictures" / f"{i}.png", i)
    rows = [{"file_name": f"pictures/{i}.png", "text": f"number {i}"} for i in range(8)]
    (tmp_path / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    table = "file,label\n" + "".join(f"{i}.png,{['even', 'odd'][i % 2]}\n" for i in range(8))
    (tmp_path / "pictures" / "labels.csv").write_text(table.replace("\n", "\r\n"))
    dataset = data.open_dataset(tmp_path, valid=0.0, test=0.0)
    assert dataset.items.classes == ("even", "odd") and not dataset.findings
    assert dataset.train.names == [f"pictures/{i}.png" for i in range(8)]
    assert dataset.train.cond["label"].tolist() == [0, 1] * 4


def test_captions_beside_pictures_and_in_csv(tmp_path, paint):
    for i in range(4):
        paint(tmp_path / f"{i}.png", i)
        (tmp_path / f"{i}.txt").write_text(f" picture {i}\n")
    dataset = data.open_dataset(tmp_path, valid=0.0, test=0.0)
    assert dataset.captions == [f"picture {i}" for i in range(4)]


@pytest.mark.parametrize(
    "line,code",
    [
        ('{"file_name": "0.png"', "bad_json"),
        ('["0.png"]', "bad_json"),
        ('{"file_name": "../0.png"}', "missing_file"),
        ('{"picture_of": "0.png"}', "missing_column"),
    ],
)
def test_bad_rows_of_metadata(tmp_path, paint, line, code):
    for i in range(6):
        paint(tmp_path / f"{i}.png", i)
    (tmp_path / "metadata.jsonl").write_text(line + "\n")
    assert [finding.code for finding in data.check(tmp_path).findings] == [code]


def test_idx_with_official_test(tmp_path):
    for name, part in (("train", slice(0, 30)), ("t10k", slice(30, 40))):
        images, labels = idx(X[part]), idx(Y[part])
        (tmp_path / f"{name}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
        (tmp_path / f"{name}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))
    dataset = data.open_dataset(tmp_path)
    test = data.open_test(dataset)
    assert (test.items.numpy()[:, 0] == X[30:]).all() and dataset.items.shape == (1, 6, 6)
    assert test.cond["label"].tolist() == Y[30:].tolist()
    assert len(dataset.train) == 27 and len(dataset.valid) == 3
    alone = data.open_dataset(tmp_path / "train-images-idx3-ubyte.gz")
    assert labels_by_content(alone) == {x.tobytes(): y for x, y in zip(X[:30], Y[:30].tolist())}


@pytest.mark.parametrize("names", [("x", "y"), ("images", "labels"), ("x_train", "y_train")])
def test_npz_without_parts(tmp_path, names):
    np.savez(tmp_path / "a.npz", **dict(zip(names, (X, Y), strict=True)))
    dataset = data.open_dataset(tmp_path / "a.npz")
    assert labels_by_content(dataset) == {x.tobytes(): y for x, y in zip(X, Y.tolist())}
    assert dataset.items.classes == ("0", "1", "2", "3")


def test_npz_with_parts_and_other_types(tmp_path):
    rgb = RNG.random((20, 6, 5, 3)).astype(np.float32)
    arrays = {"x_train": rgb[:15], "y_train": Y[:15, None], "x_test": rgb[15:], "y_test": Y[:5]}
    np.savez(tmp_path / "a.npz", **arrays)
    dataset = data.open_dataset(tmp_path)
    test = data.open_test(dataset).items.numpy()
    assert (test == np.round(rgb[15:] * 255).transpose(0, 3, 1, 2)).all()


@pytest.mark.parametrize(
    "array", [X.astype(np.float32) - 100, X.astype(np.int64) + 100, X / 100, X.reshape(40, 36)]
)
def test_npz_that_holds_no_pictures(tmp_path, array):
    np.savez(tmp_path / "a.npz", x=array)
    if array.ndim == 2:
        array = array.astype(np.uint8)
    with pytest.raises(BadInput):
        data.open_dataset(tmp_path / "a.npz")


def test_npz_of_points(tmp_path):
    points = RNG.normal(size=(50, 3)).astype(np.float32)
    np.savez(tmp_path / "a.npz", x=points)
    dataset = data.open_dataset(tmp_path / "a.npz")
    assert dataset.items.kind == "points" and dataset.items.shape == (3,)
    assert everything(dataset) == sorted(point.tobytes() for point in points)


def test_labels_that_do_not_fit(tmp_path):
    np.savez(tmp_path / "a.npz", x=X, y=Y[:-1])
    with pytest.raises(BadInput, match="39 labels for 40 items"):
        data.open_dataset(tmp_path / "a.npz")


@pytest.mark.parametrize("pack", [bytes, lzma.compress, gzip.compress])
def test_cifar(tmp_path, pack):
    x = RNG.integers(0, 256, (12, 3, 32, 32), np.uint8)
    rows = b"".join(bytes([i % 10]) + x[i].tobytes() for i in range(12))
    (tmp_path / "data_batch_1.bin").write_bytes(pack(rows[: 3073 * 9]))
    (tmp_path / "test_batch.bin").write_bytes(pack(rows[3073 * 9 :]))
    dataset = data.open_dataset(tmp_path, valid=0.0)
    assert (dataset.train.items.numpy() == x[:9]).all() and dataset.items.classes[6] == "frog"
    assert data.open_test(dataset).cond["label"].tolist() == [9, 0, 1]


def test_parquet_and_datasets_folder(tmp_path, paint):
    datasets = pytest.importorskip("datasets")
    paths = [paint(tmp_path / "p" / f"{i}.png", i) for i in range(10)]
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["no", "yes"])}
    )
    cells = [{"bytes": path.read_bytes(), "path": None} for path in paths]
    columns = {"image": cells, "label": [i % 2 for i in range(10)]}
    table = datasets.Dataset.from_dict(columns, features=features)
    table.to_parquet(str(tmp_path / "q" / "data.parquet"))
    table.save_to_disk(str(tmp_path / "d"))
    parts = datasets.DatasetDict(train=table.select(range(8)), test=table.select(range(8, 10)))
    parts.save_to_disk(str(tmp_path / "dd"))
    parquet, folder, both = (data.open_dataset(tmp_path / n) for n in ("q", "d", "dd"))
    assert parquet.items == folder.items == both.items
    assert parquet.items.classes == ("no", "yes")
    assert labels_by_content(parquet) == labels_by_content(folder) == labels_by_content(both)
    assert len(labels_by_content(parquet)) == 10 and len(data.open_test(both)) == 2


def test_hub_without_network_is_one_line(monkeypatch):
    config = pytest.importorskip("datasets").config
    monkeypatch.setattr(config, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(BadInput, match="hub:nobody/nothing-here cannot be loaded"):
        data.open_dataset("hub:nobody/nothing-here")


def test_text_is_numbered_by_sorted_characters(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbf" + b"hello\r\nworld\n" * 30)
    dataset = data.open_dataset(tmp_path, length=8)
    assert dataset.items.lexicon == Letters("\ndehlorw") and dataset.items.shape == (8,)
    first = dataset.items.read(dataset.train.items[0])
    assert first == "hello\nwo"


def test_text_parts_follow_each_other(tmp_path):
    text = "".join(chr(0x4E00 + i) for i in range(1000))  # more than 256 letters
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    dataset = data.open_dataset(tmp_path / "a.txt", length=10, valid=0.2, test=0.1)
    flat = [part.items.flatten() for part in (dataset.train, dataset.valid)]
    flat.append(data.open_test(dataset).items.flatten())
    assert [len(part) for part in flat] == [700, 200, 100]
    assert np.concatenate(flat).tolist() == list(range(1000))


def test_what_is_missing_is_said(tmp_path):
    with pytest.raises(BadInput, match="did you mean 'glyphs'"):
        data.open_dataset("glyph")
    with pytest.raises(BadInput, match="no data"):
        data.open_dataset(tmp_path)
    (tmp_path / "a.txt").write_text("too short")
    with pytest.raises(BadInput, match="length"):
        data.open_dataset(tmp_path)
    with pytest.raises(BadInput, match="is text"):
        data.open_dataset(tmp_path, size=32)


def test_one_picture_is_no_data_set(tmp_path, paint):
    with pytest.raises(BadInput, match="folder"):
        data.open_dataset(paint(tmp_path / "a.png", 0))


def test_mixed_sizes_name_the_sizes_and_the_cure(tmp_path, paint):
    for i in range(9):
        paint(tmp_path / f"{i}.png", i, size=8 + 4 * (i % 3))
    with pytest.raises(BadInput, match=r"3 sizes \(8x8, 12x12, 16x16\).*set size"):
        data.open_dataset(tmp_path)
    assert "sizes" in data.check(tmp_path).problem
    assert data.open_dataset(tmp_path, size=8).items.shape == (3, 8, 8)


def test_grey_among_colours_becomes_rgb_and_is_noted(tmp_path, paint):
    for i in range(8):
        paint(tmp_path / f"{i}.png", i, mode="L" if i < 3 else "RGB")
    dataset = data.open_dataset(tmp_path, valid=0.0, test=0.0)
    assert dataset.items.shape == (3, 8, 8)
    assert (dataset.train.items[0] == dataset.train.items[0, :1]).all()
    assert any("3 grey pictures" in note for note in dataset.notes)
    assert data.open_dataset(tmp_path, channels=1).items.shape == (1, 8, 8)


def test_other_data_among_pictures_is_named(tmp_path, paint):
    for i in range(6):
        paint(tmp_path / f"{i}.png", i)
    np.savez(tmp_path / "x.npz", x=X)
    (tmp_path / "README.md").write_text("about")
    (tmp_path / "empty").mkdir()
    codes = {finding.path: finding.code for finding in data.check(tmp_path).findings}
    assert codes == {"x.npz": "other_source", "empty": "empty_folder"}


@pytest.mark.parametrize("name", [b"\xff\xfe.png", b"\x1b[31mred\n.png"])
def test_names_that_are_no_text_are_escaped(tmp_path, paint, name):
    for i in range(5):
        paint(tmp_path / f"{i}.png", i)
    (tmp_path / os.fsdecode(name)).write_bytes(b"no picture")
    dataset, report = data.open_dataset(tmp_path), data.check(tmp_path)
    assert [f.path for f in dataset.findings] == [os.fsdecode(name)] == report.quarantine
    assert all(line.isprintable() for line in report.text().split("\n"))
    report.text().encode()
    json.dumps(report.as_dict())


@pytest.mark.parametrize(
    "options", [{"size": 0}, {"size": "8"}, {"size": 8.0}, {"channels": 2}, {"valid": "a"}]
)
def test_options_that_make_no_sense(tmp_path, paint, options):
    paint(tmp_path / "a.png", 0)
    with pytest.raises(BadInput, match=next(iter(options))):
        data.open_dataset(tmp_path, **options)


def test_report_has_numbers(tmp_path, paint):
    for i in range(9):
        paint(tmp_path / ("a" if i % 2 else "b") / f"{i}.png", min(i, 6))
    report = data.check(tmp_path)
    told = json.loads(json.dumps(report.as_dict()))
    assert told["n"] == 9 and told["classes"] == {"a": 4, "b": 5} and told["ready"]
    assert told["shapes"] == {"3x8x8": 9} and told["duplicates"] == 2
    assert "ready to train on" in report.text() and "duplicate: 2" in report.text()
