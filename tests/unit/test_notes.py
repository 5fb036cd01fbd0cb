"""What is done otherwise than somebody may think is told: captions that are not read, crops."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from genloom import artifact, gallery, notes
from genloom.cli import main
from genloom.core import Caption, Items
from genloom.data.captions import Pieces
from genloom.errors import BadInput
from genloom.notes import Note
from genloom.recipe import model_of

CAPTION = Caption("abcdef !", 8)
UNKNOWN = "\u7ea2\u8272"  # Chinese, to a model that learned Latin letters


@pytest.fixture(scope="module")
def flow(tmp_path_factory):
    items = Items("image", (1, 8, 8), caption=CAPTION)
    recipe = {"codec": {"use": "image"}, "model": {"use": "flow"}}
    torch.manual_seed(0)
    _, made = model_of(recipe, items)
    folder = tmp_path_factory.mktemp("captioned") / "flow"
    artifact.save(folder, model=made, recipe=recipe, items=items)
    return artifact.load(folder, device="cpu")


@pytest.mark.parametrize(
    ("text", "unread"),
    [
        ("a bed", ()),
        ("A BED", ()),  # read without capitals
        ("a cab fad", ("letters beyond 8",)),
        ("a bad dog", ("letters beyond 8", "1 unknown letter")),
        ("a dog", ("2 unknown letters",)),
        ("   ", ()),
        ("", ()),
    ],
)
def test_a_reader_tells_what_it_does_not_read(text, unread):
    assert CAPTION.unread(text) == unread


@pytest.mark.parametrize("text", [UNKNOWN, f"{UNKNOWN} {UNKNOWN}", "xyz xyz xabc"])
def test_a_caption_of_which_nothing_is_read_is_refused(flow, text):
    for given in ({"caption": text}, {"caption": "a bed", "negative": text}):
        named = [*given][-1]
        with pytest.raises(BadInput, match=f"{named} .*: no letter of it was in the captions"):
            flow.condition([0], **given)


def test_python_warns_and_reads_as_before(flow):
    with pytest.warns(Note, match="of the caption 'a cab fad' the model does not read: letters"):
        cond = flow.condition([0], caption="a cab fad")
    assert torch.equal(cond["caption"][0], CAPTION.encode("a cab fa"))
    with pytest.warns(Note, match="of the negative 'a dog' .*: 2 unknown letters"):
        flow.condition([0], caption="a bed", negative="a dog")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        flow.condition([0, 1], caption=["a bed", ""])


def said(capsys, *argv):
    code = main([*map(str, argv), "--json"])
    out, err = capsys.readouterr()
    return code, json.loads(out), err.splitlines()


def test_the_command_line_says_it_once_and_in_its_report(flow, tmp_path, capsys):
    argv = ("sample", flow.path, "-n", 2, "--steps", 1, "--out", tmp_path / "s")
    code, report, lines = said(capsys, *argv, "--caption", "a dog")
    assert code == 0 and len(report["notes"]) == 1 and "2 unknown letters" in report["notes"][0]
    assert lines == [f"note: {report['notes'][0]}"]
    code, report, lines = said(capsys, *argv, "--caption", "a bed")
    assert code == 0 and "notes" not in report and lines == []
    code, report, _ = said(capsys, *argv, "--caption", UNKNOWN)
    assert code == report["exit_code"] == 2 and "no letter of it" in report["error"]


def test_an_edit_says_which_part_of_a_wide_picture_it_changes(flow, tmp_path, capsys):
    for name, size in (("wide", (20, 10)), ("square", (12, 12))):
        Image.new("RGB", size, "red").save(tmp_path / f"{name}.png")
    argv = ("-n", 1, "--steps", 2, "--out", tmp_path / "e")
    code, report, lines = said(capsys, "edit", flow.path, tmp_path / "wide.png", *argv)
    told = "the picture is 20x10, and the model makes 8x8: its middle, 10x10, is used."
    assert code == 0 and report["notes"] == [told] and lines == [f"note: {told}"]
    code, report, lines = said(capsys, "edit", flow.path, tmp_path / "square.png", *argv)
    assert code == 0 and "notes" not in report and lines == []
    with pytest.warns(Note, match="10x10"):
        gallery.edit(flow, gallery.picture(tmp_path / "wide.png"), 1, steps=2)


def test_a_note_points_at_the_call_of_the_library(flow):
    for draw in (
        lambda: flow.condition([0], caption="a dog"),
        lambda: flow.sample(1, caption="a dog", steps=1),
        lambda: next(flow.stream(1, caption="a dog", steps=1)),
        lambda: artifact.sample(flow.path, 1, caption="a dog", steps=1),
    ):
        with pytest.warns(Note) as told:
            draw()
        assert {(one.filename, one.lineno) for one in told} == {
            (__file__, draw.__code__.co_firstlineno)
        }


def test_an_edit_refuses_a_mask_of_nothing_and_one_of_another_form(flow, tmp_path, capsys):
    Image.new("RGB", (16, 16), "red").save(tmp_path / "a.png")
    argv = ("edit", flow.path, tmp_path / "a.png", "-n", 1, "--steps", 2, "--out", tmp_path / "m")
    for mask, words in (
        (np.zeros((16, 16)), "leaves nothing to change"),
        (np.full((16, 32), 255), "the mask is 32x16 and the picture 16x16"),
    ):
        Image.fromarray(mask.astype(np.uint8)).save(tmp_path / "mask.png")
        code, report, _ = said(capsys, *argv, "--mask", tmp_path / "mask.png")
        assert code == 2 and words in report["error"]
    clear = Image.new("RGBA", (16, 16), (255, 255, 255, 255))
    clear.paste((255, 255, 255, 0), (0, 0, 16, 8))
    clear.save(tmp_path / "mask.png")
    code, report, _ = said(capsys, *argv, "--mask", tmp_path / "mask.png")
    assert code == 0
    with Image.open(report["files"][0]) as seen:
        lower = np.asarray(seen)[4:]
    assert (lower == lower[0, 0]).all()  # as it was


def test_other_warnings_are_shown_as_ever():
    with pytest.warns(UserWarning, match="odd"), notes.told() as found:
        warnings.warn("odd", UserWarning, stacklevel=1)
    assert found == []


def test_a_tokenizer_of_the_kind_unigram_tells_what_it_does_not_know(tmp_path):
    tokenizers = pytest.importorskip("tokenizers")
    model = tokenizers.models.Unigram([("<unk>", 0.0), ("red", -1.0), ("a", -1.0)], unk_id=0)
    made = tokenizers.Tokenizer(model)
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.save(str(tmp_path / "tokenizer.json"))
    told = Pieces(4, 3, "", str(tmp_path))
    assert told.unread("a red") == () and told.unread("a zz") == ("1 unknown piece",)
    with pytest.raises(BadInput, match="no piece of it"):
        told.unread("zz")
