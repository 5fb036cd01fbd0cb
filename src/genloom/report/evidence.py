"""What a person looks at: samples, pairs of near-copies, curves, recipes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from genloom.errors import MissingExtra
from genloom.report import figures
from genloom.report.numbers import decimals, duration, number
from genloom.report.reading import Subject, is_picture, is_sound, recipe_text

Dict = Mapping[str, Any]
PAIRS = 8  # that are shown of each
SMALL, SMALL_SHEET = 20, 160  # pixels; what is no wider is enlarged without smoothing
MOLECULES = 12  # drawn in one sheet
LETTERS = 400  # of a text that are shown
LINES = 6  # curves in one figure
BADGES = {
    "pass": {"level": "good", "mark": "\u2713", "text": "no copies found"},
    "fail": {"level": "bad", "mark": "\u2715", "text": "copies training items"},
    "refused": {"level": "warn", "mark": "!", "text": "not tested for copies"},
}
WORST = ("pass", "refused", "fail")


def _copy_verdict(subject: Subject) -> str:
    return max((v["copies"]["verdict"] for v in subject.verdicts), key=WORST.index)


def looks(people: Sequence[Subject]) -> list[dict[str, Any]]:
    """Real items, then the samples of each, as cards."""
    first = people[0].verdicts[0].get("pictures") or {}
    if not first.get("kind"):
        return []
    window = figures.window([first["real"]]) if _plane(first) else None
    real = {
        "name": "real, unseen",
        "color": 8,
        "alt": "real items from the test split",
        "picture": _picture(first, "real", window),
        "caption": "Items of the test split.",
        "badge": None,
        "alarms": [],
    }
    return [real, *(_look(subject, window) for subject in people)]


def _look(subject: Subject, window: Sequence[float] | None) -> dict[str, Any]:
    verdict, run = subject.verdicts[0], subject.runs[0]
    facts = []
    seconds = run.get("seconds") or verdict.get("training", {}).get("seconds")
    if seconds:
        facts.append(f"trained {duration(seconds)}")
    steps = run.get("steps") or verdict.get("training", {}).get("steps")
    if steps:
        facts.append(f"{number(steps, 0)} step{'s' if steps > 1 else ''}")
    sampling = (verdict.get("seconds") or {}).get("sampling")
    if sampling:
        facts.append(f"{number(verdict['n'] / sampling, 0)} samples/s")
    if len(subject.verdicts) > 1:
        facts.append(f"seed {verdict['train_seed']}, one of {len(subject.verdicts)}")
    alarms = [
        f"seed {v['train_seed']}, step {a.get('step')}: {a.get('message') or a.get('alarm')}"
        for v, r in zip(subject.verdicts, subject.runs)
        for a in r.get("alarms") or v.get("training", {}).get("alarms", ())
    ]
    return {
        **subject.who,
        "alt": f"samples of {subject.name}",
        "picture": _picture(verdict["pictures"], "samples", window),
        "caption": " \u00b7 ".join(facts),
        "badge": BADGES[_copy_verdict(subject)],
        "alarms": list(dict.fromkeys(alarms)),
    }


def _plane(pictures: Dict) -> bool:
    """Points that can be drawn as they are."""
    return pictures.get("kind") == "points" and len(pictures["real"][0]) == 2


def _picture(pictures: Dict, key: str, window: Sequence[float] | None) -> dict[str, Any]:
    found = pictures.get(key)
    if pictures.get("kind") == "image":
        if not is_picture(found):
            return {"kind": "none"}
        width, height = figures.png_size(str(found))
        return {
            "kind": "image",
            "uri": found,
            "width": width,
            "height": height,
            "sharp": width <= SMALL_SHEET,
        }
    if pictures.get("kind") == "music":
        return {"kind": "music", "pieces": [piece for one in found or () for piece in _piece(one)]}
    if pictures.get("kind") == "molecule":
        with suppress(MissingExtra):  # else as text
            uri, width, height = figures.molecules(
                [str(one)[:LETTERS] for one in (found or ())[:MOLECULES]]
            )
            return {"kind": "image", "uri": uri, "width": width, "height": height, "sharp": False}
    if window is not None and found:
        title = "real points" if key == "real" else "generated points"
        return {"kind": "points", "svg": figures.cloud(found, window, title)}
    return {"kind": "text", "lines": [_words(line) for line in (found or ())[:6]]}


def _piece(one: Dict) -> list[dict[str, Any]]:
    """A piece of music to see and to hear; nothing of what is no such thing."""
    if not (is_picture(one.get("roll")) and is_sound(one.get("sound"))):
        return []
    width, height = figures.png_size(one["roll"])
    return [{"roll": one["roll"], "sound": one["sound"], "width": width, "height": height}]


def _words(item: Any) -> str:
    """A text, or the coordinates of a point that cannot be drawn."""
    text = item if isinstance(item, str) else ", ".join(str(v) for v in item)
    return text if len(text) <= LETTERS else text[:LETTERS] + " ..."


def copies(people: Sequence[Subject]) -> list[dict[str, Any]]:
    """The verdict on copies of each, with its closest pairs over all seeds."""
    return [_copies(subject) for subject in people]


def _copies(subject: Subject) -> dict[str, Any]:
    verdict = _copy_verdict(subject)
    of = next(v["copies"] for v in subject.verdicts if v["copies"]["verdict"] == verdict)
    kind = subject.verdicts[0]["items"]["kind"]
    pairs = [pair for v in subject.verdicts for pair in v["copies"]["pairs"]]
    pairs.sort(key=lambda pair: pair["score"])
    shown = [_pair(pair, kind) for pair in pairs[: PAIRS if kind == "image" else PAIRS // 2]]
    return {
        **subject.who,
        "badge": BADGES[verdict],
        "text": _copy_text(of),
        "pairs": [pair for pair in shown if pair is not None],
        "wide": kind != "image",
    }


def _copy_text(found: Dict) -> str:
    if found["verdict"] == "refused":
        return found["reason"]
    line = (
        f"{number(found['share'], percent=True)} of the samples lie as near to a training item as "
        f"a copy would; of unseen items, {number(found['held_out_share'], percent=True)}"
    )
    if "expected" in found:
        line += (
            f", and of new documents, some of which the training part holds already, "
            f"{number(found['expected'], percent=True)}"
        )
    line += f" (p = {number(found['p_value'])})."
    planted = found.get("planted", {})
    if planted:
        share = number(planted["share"], 2, percent=True)
        line += f" With {share} of planted copies the test " + (
            "rings, as it must." if planted["detected"] else "stays silent: it is too weak here."
        )
    return line


def _pair(pair: Dict, kind: str) -> dict[str, Any] | None:
    made, known = pair.get("generated_item"), pair.get("train_item")
    text = f"score {number(pair['score'])}"
    if kind == "image":
        if not (is_picture(made) and is_picture(known)):
            return None
        sharp = figures.png_size(str(made))[0] <= SMALL
        return {"generated": made, "train": known, "text": text, "words": False, "sharp": sharp}
    if made is None or known is None:
        return None
    return {"generated": _words(made), "train": _words(known), "text": text, "words": True}


def curves(people: Sequence[Subject]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The losses of the first run of each, and those of the others, where a journal is there."""
    first, others = [], []
    for subject in people:
        for i, (verdict, run) in enumerate(zip(subject.verdicts, subject.runs)):
            if run.get("curves"):
                (others if i else first).append(_curves(subject, verdict, run))
    return first, others


def _curves(subject: Subject, verdict: Dict, run: Dict) -> dict[str, Any]:
    named = run["curves"][:LINES]
    drawn = [[(float(x), float(y)) for x, y in curve["points"]] for curve in named]
    low, high = figures.span(drawn)
    digits = decimals((high - low) / 40)
    end = max(x for curve in drawn for x, _ in curve)
    several = len(subject.verdicts) > 1
    return {
        **subject.who,
        "about": f"seed {verdict['train_seed']}" if several else _pace(run),
        "alt": f"losses of {subject.name} over {duration(end)}: "
        + ", ".join(f"{c['name']} ends at {number(c['points'][-1][1])}" for c in named),
        "svg": figures.lines(drawn, low, high),
        "top": number(high, digits),
        "bottom": number(low, digits),
        "right": duration(end),
        "legend": [{"name": c["name"], "last": number(c["points"][-1][1])} for c in named],
    }


def _pace(run: Dict) -> str:
    if not run.get("steps") or not run.get("seconds"):
        return ""
    return f"{number(run['steps'] / run['seconds'], 1)} steps/s, batch {run.get('batch')}"


def _privacy(paid: Dict) -> str:
    """What a private training guarantees, and what that does not cover."""
    return (
        f"epsilon {paid['epsilon']:.4g} at delta {paid['delta']:.2g} for {paid['unit']}; noise "
        f"{paid['noise']:.4g}, clip {paid['clip']:g}, {paid['rows']} rows, "
        f"{paid['rate']:.2%} of them a step, {paid['steps']} steps; {paid['accountant']}; not "
        f"covered: {'; '.join(paid['uncovered'])}"
    )


def recipes(people: Sequence[Subject]) -> list[dict[str, Any]]:
    """The recipe of each, as resolved, with the figures of its runs."""
    found = []
    for subject in people:
        verdict, run = subject.verdicts[0], subject.runs[0]
        training = verdict.get("training", {})
        paid = run.get("private")
        facts = {
            "runs": ", ".join(str(v["run"]) for v in subject.verdicts),
            "training seeds": ", ".join(str(v["train_seed"]) for v in subject.verdicts),
            "steps": run.get("steps") or training.get("steps"),
            "seconds": run.get("seconds") or training.get("seconds"),
            "precision": run.get("precision"),
            "privacy": _privacy(paid) if paid else None,
            "weights (SHA-256)": verdict.get("model"),
            "sampling": ", ".join(
                f"{k} = {v}" for k, v in (verdict.get("sample_options") or {}).items()
            ),
        }
        shown = [(k, f"{v:.1f}" if isinstance(v, float) else str(v)) for k, v in facts.items() if v]
        found.append({"name": subject.name, "facts": shown, "toml": recipe_text(verdict, run)})
    return found
