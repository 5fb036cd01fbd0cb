"""How it was measured: the extractor's ladder, the conditions, the machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from genloom.report.numbers import duration, number
from genloom.report.reading import Subject
from genloom.report.words import measure

Dict = Mapping[str, Any]


def ladder(first: Dict, trusted: bool) -> dict[str, Any]:
    """What the extractor was tried on, and whether it passed."""
    extractor = first["extractor"]
    rungs = [
        {
            "damage": rung["damage"],
            "cells": [number(v) for v in rung["values"]] + [""] * (3 - len(rung["values"])),
            "verdict": "yes" if rung["passed"] else "NO",
        }
        for rung in extractor["ladder"]
    ]
    trained = f", trained in {duration(extractor['seconds'])}" if extractor.get("seconds") else ""
    verdict = "They passed." if trusted else "They FAILED, so no conclusion rests on them."
    return {
        "ladder": rungs,
        "ladder_open": not trusted,
        "ladder_text": f"Distances are taken in the features of {extractor['id']}{trained}. Before "
        "they are believed they must place damaged real items farther away than intact ones, and "
        "strong damage farther than weak (KID of each; for copies, the p-value without and with "
        f"5 % of planted items). {verdict}",
    }


def method(people: Sequence[Subject], first: Dict) -> list[tuple[str, str]]:
    """Data, split, sizes, extractor, judge, seeds, and what was refused."""
    items = first["items"]
    judge = first.get("judge")
    refused = {
        f"refused: {measure(name).title}": reason
        for s in people
        for v in s.verdicts
        for name, reason in v.get("refused", {}).items()
    }
    facts = {
        "data": first["data"]["name"],
        "fingerprint": first["data"]["fingerprint"],
        "items": f"{items['kind']}, {' x '.join(str(side) for side in items['shape'])}",
        "split": f"{first['split']}, never opened in training; n = {first['n']}",
        "floors": f"two halves of held-out data, {first.get('floor_n')} items",
        "trivial generator": first.get("trivial"),
        "extractor": first["extractor"]["id"],
        "judge": None
        if not judge
        else f"{judge['id']}"
        + (f", right on {judge['accuracy']:.1%} of held-out items" if judge["accuracy"] else ""),
        "sample seeds": "{} to {}".format(*first["sample_seeds"]),
        **refused,
    }
    return [(key, str(value)) for key, value in facts.items() if value is not None]


def environment(people: Sequence[Subject]) -> Dict:
    """What the first run with a record of it stood on."""
    return next((r["environment"] for s in people for r in s.runs if r.get("environment")), {})


def machine(content: Dict, people: Sequence[Subject]) -> list[tuple[str, str]]:
    """Versions, commit, processor, memory, seconds."""
    known = environment(people)
    memory = known.get("memory_bytes")
    facts = {
        "genloom": known.get("genloom"),
        "commit": next((r["commit"] for s in people for r in s.runs if r.get("commit")), None),
        "python": known.get("python"),
        **(known.get("packages") or {}),
        "system": known.get("system"),
        "processor": known.get("processor"),
        "cores": known.get("cores"),
        "threads": known.get("threads"),
        "memory": f"{memory / 2**30:.1f} GiB" if memory else None,
        "devices": ", ".join(map(str, known.get("devices") or ())),
        "whole comparison": duration(content["seconds"]) if content.get("seconds") else None,
    }
    return [(key, str(value)) for key, value in facts.items() if value not in (None, "")]


def footer(content: Dict) -> str:
    """The last line of the page."""
    made = f" on {content['made']}" if content.get("made") else ""
    return f"Made by genloom{made}. This file holds all that it shows; it loads nothing."
