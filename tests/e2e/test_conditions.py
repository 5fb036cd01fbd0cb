"""From files to pictures made from pictures: a colorizer and a painter, by the command line."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genloom.cli import main

N = 150
DIGITS = ("train", "--data", "digits", "--model", "flow", "--set")
FLOW = ["--model", "flow", "--steps", "20", "--quiet", "--json"]
SMALL = ["model.net.width=8", "model.net.levels=2", "model.net.groups=4", "model.net.head=8"]


def painted(folder):
    """Discs of eight hues at random places, 16x16."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:16, :16]
    for i in range(N):
        y, x, r = rng.uniform((4, 4, 2), (12, 12, 5))
        hue = 255 * np.array([i >> k & 1 for k in range(3)])
        inside = ((rows - y) ** 2 + (columns - x) ** 2 < r**2)[..., None]
        noise = rng.integers(0, 20, (16, 16, 3))
        Image.fromarray(np.where(inside, hue, 128).clip(0, 235).astype(np.uint8)
                        + noise.astype(np.uint8)).save(folder / f"{i:03d}.png")  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("place")
    painted(folder / "discs")
    return folder


@pytest.fixture(autouse=True)
def inside(place, monkeypatch):
    monkeypatch.chdir(place)


def seen(path):
    with Image.open(path) as picture:
        return np.asarray(picture)


def said(capsys, *argv):
    code = main([*map(str, argv), "--json"])
    return code, json.loads(capsys.readouterr().out)


def train(capsys, out, *settings, more=()):
    chosen = ["data.test=0.4", "model.net.use=unet", *SMALL, "train.batch=16", *settings]
    flags = [part for one in chosen for part in ("--set", one)]
    return said(capsys, "train", "--data", "discs", *FLOW[:-1], *flags, "--out", out, *more)


@pytest.mark.slow
def test_a_colorizer_trains_resumes_colours_and_is_judged(place, capsys):
    code, report = train(capsys, "colour", "data.given=grey")
    assert code == 0 and report["step"] == 20
    assert main(["train", "--resume", "colour", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["status"] == "done"
    sheets = sorted((place / "colour" / "samples").glob("*.png"))
    height, width, _ = seen(sheets[-1]).shape
    assert width == 2 * height - 2  # sources beside samples
    grey = place / "grey.png"
    Image.fromarray(seen("discs/003.png")).convert("L").save(grey)
    code, report = said(capsys, "sample", "colour", "-n", 2, "--source", grey, "--out", "made")
    assert code == 0 and seen(report["files"][0]).shape == (16, 16, 3)
    again = ["sample", "colour", "--again", report["files"][1], "--source", grey, "--out", "same"]
    code, made = said(capsys, *again)
    assert code == 0
    assert np.array_equal(seen(report["files"][1]), seen(made["files"][0]))
    _, verdict = said(capsys, "evaluate", "colour", "--force", "--steps", "4")
    found = {e["name"]: e for e in verdict["estimates"]}
    assert verdict["conditions"]["given"] == "grey"
    for name in ("pixel_difference", "psnr", "feature_distance[encoder]"):
        assert found[name]["low"] <= found[name]["value"] <= found[name]["high"]
        assert found[name]["trivial"] is not None and found[name]["n"] == verdict["n"]


@pytest.mark.slow
def test_a_stopped_painter_goes_on_as_if_undisturbed(place, capsys, monkeypatch):
    from genloom import access
    from genloom.artifact import load

    settings = ("data.given=masked", "data.flip=true")
    train(capsys, "whole", *settings)
    watched = access.Open.micros

    def stops(self, index):
        if index == 12 and self.record["status"] == "training":
            raise KeyboardInterrupt
        return watched(self, index)

    monkeypatch.setattr(access.Open, "micros", stops)
    assert train(capsys, "broken", *settings)[0] == 130
    monkeypatch.undo()
    monkeypatch.chdir(place)
    assert main(["train", "--resume", "broken", "--quiet", "--json"]) == 0
    capsys.readouterr()
    assert load("whole").hash == load("broken").hash
    hole = np.zeros((16, 16), np.uint8)
    hole[:, :8] = 255
    Image.fromarray(hole).save("hole.png")
    argv = ("edit", "whole", "discs/003.png", "--mask", "hole.png", "-n", 2, "--steps", 2)
    code, report = said(capsys, *argv)
    assert code == 0 and report["files"][-1].endswith("sheet.png")
    with Image.open(report["files"][1]) as second:
        told = second.info
    assert told["seed"] == "1" and all(
        told[f"{name}_sha256"] == sha256(Path(path).read_bytes()).hexdigest()
        for name, path in (("source", "discs/003.png"), ("mask", "hole.png"))
    )
    before, after = seen("discs/003.png"), seen(report["files"][0])
    assert np.array_equal(before[:, 8:], after[:, 8:])
    assert not np.array_equal(before[:, :8], after[:, :8])


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("edit",), "genloom edit RUN PICTURE"),
        (("edit", "runs/x"), "genloom edit RUN PICTURE"),
        (
            (*DIGITS, "data.given=grey"),
            "these pictures have none",
        ),
        ((*DIGITS, "data.given=gray"), "did you mean 'grey'"),
    ],
)
def test_what_cannot_be_is_one_line(capsys, argv, words):
    assert main(list(argv)) == 2
    assert words in capsys.readouterr().err


def test_help_teaches(capsys):
    assert main(["edit", "--help"]) == 0
    told = capsys.readouterr().out
    assert "--strength" in told and "genloom edit runs/emoji-flow heart.png" in told
