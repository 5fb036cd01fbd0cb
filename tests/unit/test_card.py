"""The model card says what a sample can be given, in command lines that parse."""

from __future__ import annotations

import shlex

import pytest

from genloom import card
from genloom.cli import parser
from genloom.given import SOURCES

IMAGE = {"kind": "image", "shape": [3, 16, 16], "classes": [], "alphabet": "", "caption": None}


def rendered(**items):
    told = {**IMAGE, "given": "none", **items}
    return card.render({"items": told, "data": {"name": "x"}}, {"model": {"use": "flow"}})


def commands(text: str) -> list[str]:
    block = text.split("## Use")[1].split("```")[1]
    lines = [line for line in block.splitlines() if line.startswith("genloom ")]
    for line in lines:
        args, rest = parser().parse_known_args(shlex.split(line)[1:])
        assert args.verb == "sample" and rest == [], line
    return lines


def test_without_conditions_there_is_one_line_and_no_list():
    text = rendered()
    assert len(commands(text)) == 1 and "can be given" not in text


def test_labels_captions_and_sources_are_told_and_asked_for():
    text = rendered(
        classes=["cat", "dog"], caption={"alphabet": "abc ", "length": 40}, given="small2"
    )
    plain, asked = commands(text)
    assert asked == (f'{plain} --label dog --caption "WHAT IT SHOULD SHOW" --source PICTURE.png')
    made = text.split("## What it makes")[1].split("## ")[0]
    assert "- a label (`--label`)" in made and "`cat`, `dog`" in made
    assert "text in an alphabet of 4 characters, of which 40 are read" in made
    assert "a sample is made from it at half the size\n" in made


@pytest.mark.parametrize("given", SOURCES)
def test_every_source_is_in_its_own_words(given):
    text = rendered(given=given)
    assert f"a sample is made from {SOURCES[given].about}" in text
    assert ("--mask" in text) == (given == "masked")
    assert "--label" not in text and "--caption" not in text
    assert commands(text)[1].endswith("--mask MASK.png" if given == "masked" else "PICTURE.png")


@pytest.mark.parametrize("name", ["a b", "x; rm -rf y", "$(id)", "-1", "```", "\u7334", ""])
def test_a_class_whose_name_is_no_word_is_asked_for_by_number(name):
    line = commands(rendered(classes=["cat", "dog", name]))[1]
    assert line.endswith("--label 2")


def test_a_caption_of_another_reader_and_an_unknown_source_do_no_harm():
    text = rendered(caption={"length": 77}, given="<script>")
    assert "text, of which 77 are read" in text and "<script>" not in text
