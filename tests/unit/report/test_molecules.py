"""Molecules on a page: drawn where RDKit is there, else as text."""

from __future__ import annotations

import base64
import sys

from genloom.report import evidence

PICTURES = {"kind": "molecule", "samples": ["CCO", "C(<b>"] * 10, "real": ["CCO"]}


def test_the_first_twelve_are_drawn_in_one_picture():
    found = evidence._picture(PICTURES, "samples", None)
    assert (found["kind"], found["width"], found["height"]) == ("image", 600, 600)
    head, _, body = found["uri"].partition(",")
    assert head == "data:image/svg+xml;base64"
    drawn = base64.b64decode(body).decode()
    assert drawn.count("<title>") == 12 and drawn.count("line-through") == 6
    assert "C(&lt;b&gt;" in drawn and "<b>" not in drawn


def test_without_rdkit_they_are_lines_of_text(monkeypatch):
    monkeypatch.setitem(sys.modules, "rdkit", None)
    found = evidence._picture(PICTURES, "samples", None)
    assert found == {"kind": "text", "lines": PICTURES["samples"][:6]}
