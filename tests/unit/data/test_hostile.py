"""25 hostile files: 25 findings, each by its name, and no crash."""

import gzip
import io
import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image

from genloom import data
from genloom.data.decode import decode
from genloom.data.findings import Damaged
from genloom.data.trees import MAX_RATIO, RATIO_FLOOR, open_tree
from genloom.errors import BadInput

KEPT = {"wrong_ending", "cmyk", "sixteen_bit", "palette_transparency", "rotated", "animated"}


@pytest.fixture(scope="module")
def hostile(hostile_script, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    return folder, hostile_script.make(folder)


def test_25_files_give_25_named_findings(hostile):
    folder, due = hostile
    assert len(due) == len(os.listdir(folder)) == 25
    report = data.check(folder)
    assert {finding.path: finding.code for finding in report.findings} == due
    assert len(report.findings) == 25
    assert {f.path for f in report.findings if f.kept} == {n for n, c in due.items() if c in KEPT}
    assert report.quarantine == sorted(name for name, code in due.items() if code not in KEPT)
    assert all(name in report.text() for name in due)


def test_training_goes_on_with_what_can_be_read(hostile):
    folder, due = hostile
    dataset = data.open_dataset(folder, size=16, valid=0.2, test=0.2)
    assert {finding.path: finding.code for finding in dataset.findings} == due
    names = dataset.train.names + dataset.valid.names + data.open_test(dataset).names
    assert set(names) == {name for name, code in due.items() if code in KEPT}


def test_nothing_is_unpacked_to_disk(hostile):
    folder, _ = hostile
    data.check(folder / "ratio.zip")
    assert not (folder.parent.parent / "slipped.png").exists()
    assert len(os.listdir(folder)) == 25


@pytest.mark.parametrize(
    "name", ["slip.zip", "link.zip", "ratio.zip", "encrypted.zip", "object.npz", "row_size.bin"]
)
def test_a_damaged_source_is_refused_in_one_line(hostile, name):
    folder, due = hostile
    report = data.check(folder / name)
    assert [finding.code for finding in report.findings] == [due[name]] and not report.ready
    with pytest.raises(BadInput) as error:
        data.open_dataset(folder / name)
    assert name in str(error.value) and "\n" not in str(error.value)


def test_the_script_runs_by_itself(tmp_path):
    script = data.__file__.replace("src/genloom/data/__init__.py", "scripts/make_hostile_files.py")
    done = subprocess.run(
        [sys.executable, script, str(tmp_path / "x")], capture_output=True, text=True, check=True
    )
    assert len(done.stdout.splitlines()) == 25


@pytest.mark.parametrize("member", ["/abs.png", "a/../../b.png", "C:\\x.png", "..\\x.png"])
def test_members_that_leave_their_folder(tmp_path, hostile_script, member):
    path = tmp_path / "a.zip"
    path.write_bytes(hostile_script.zipped(member, b"x"))
    with pytest.raises(Damaged) as error, open_tree(path):
        pass
    assert error.value.finding.code == "zip_path"


def test_gzip_bomb_stops_early(tmp_path):
    path = tmp_path / "zeros-images-idx3-ubyte.gz"
    size = RATIO_FLOOR + 2**22
    path.write_bytes(gzip.compress(bytes([0, 0, 8, 1]) + size.to_bytes(4, "big") + bytes(size)))
    assert size / path.stat().st_size > MAX_RATIO
    with pytest.raises(Damaged) as error:
        data.open_dataset(path)
    assert error.value.finding.code == "zip_ratio"


def _forms() -> list[tuple[str, bytes]]:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8))
    made = []
    for form in ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM"):
        stream = io.BytesIO()
        image.save(stream, form)
        made.append((form, stream.getvalue()))
    return made


@pytest.mark.parametrize("form,content", _forms(), ids=[form for form, _ in _forms()])
def test_random_damage_is_a_finding_or_a_picture(form, content):
    rng, refused = np.random.default_rng(1), 0
    for _ in range(150):
        spoilt = bytearray(content)
        for place in rng.integers(0, min(len(spoilt), 400), rng.integers(1, 6)):
            spoilt[place] = rng.integers(0, 256)
        spoilt = spoilt[: rng.integers(1, len(spoilt) + 1)]
        try:
            pixels = decode(bytes(spoilt), f"x.{form.lower()}", [])
            assert pixels.dtype == np.uint8 and pixels.shape[0] in (1, 3)
        except Damaged:
            refused += 1
    assert refused > 20


def test_damage_within_npz_and_zip(tmp_path):
    stream = io.BytesIO()
    np.savez(stream, x=np.zeros((5, 8, 8), np.uint8), y=np.arange(5))
    content, rng = stream.getvalue(), np.random.default_rng(2)
    outcomes = set()
    for i in range(120):
        spoilt = bytearray(content)
        for place in rng.integers(0, len(spoilt), 4):
            spoilt[place] = rng.integers(0, 256)
        path = tmp_path / f"{i}.npz"
        path.write_bytes(bytes(spoilt[: rng.integers(4, len(spoilt) + 1)] if i % 2 else spoilt))
        report = data.check(path)
        outcomes.add(report.ready)
        assert report.ready or report.findings or report.problem
    assert False in outcomes


def test_a_zip_of_many_flags_is_no_zip(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("readme.md", "no picture here")
    assert data.check(path).problem
