"""From a comparison to what the template shows: every sentence and figure of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from genloom.report import measures
from genloom.report.evidence import copies, curves, looks, recipes
from genloom.report.method import environment, footer, ladder, machine, method
from genloom.report.numbers import counted, number, together
from genloom.report.quality import quality
from genloom.report.reading import Subject, comparison_of, subjects
from genloom.report.stability import stability

Dict = Mapping[str, Any]
MARKS = {"good": "\u2713", "warn": "!", "bad": "\u2715"}
LEAST_SEEDS = 3  # for a claim about a family
CLEARLY = 1.25  # times faster, before one is called the fastest: a single timing is noisy


def build(given: Dict) -> dict[str, Any]:
    """The view of a verdict or a comparison."""
    content = comparison_of(given)
    table, people = content["table"], subjects(content)
    first = content["verdicts"][0]
    trusted = bool(first["extractor"]["trusted"])
    seeds = min(len(s.verdicts) for s in people)
    single = len(people) == 1
    shown = measures.columns(table)
    n = first["n"]
    cards: dict[bool, list[Any]] = {True: [], False: []}
    for column in shown:
        card = measures.card(column, table, people, trusted=trusted)
        refused = {"refused": _refused(column, people)}
        cards[measures.about(column).headline].append(card | refused)
    drawn, others = curves(people)
    health, more_health = stability(people)
    view: dict[str, Any] = {
        "title": content.get("title") or _title(people, first),
        "lede": _lede(content, people, first),
        "notices": _notices(content, people, first, trusted, seeds),
        "answers_title": "What it is good at" if single else "Which is best at what",
        "answers_why": _answers_why(people, seeds),
        "answers": _answers(table, people, trusted=trusted),
        "measures_why": _measures_why(people, seeds),
        "measures": cards[True],
        "more": cards[False],
        "tiles": first["items"]["kind"] == "image",
        "table": {
            "columns": [s.who for s in people],
            "rows": [measures.row(c, table, people, trusted=trusted, n=n) for c in shown],
            "why": f"All figures with their 95 % intervals; n = {number(n, 0)} samples and as many "
            "unseen items, unless a cell says otherwise."
            + ("" if single else " Where no difference is shown, none is claimed."),
        },
        "looks_title": "Samples" if single else "Samples, side by side",
        "looks_why": _looks_why(first),
        "looks": looks(people),
        "copies": copies(people),
        "copies_why": "The samples that lie nearest to a training item, each with that item "
        "beside it. The test asks whether samples are nearer to training items than unseen items "
        "are; every report repeats it with 5 % of planted copies, which it must find.",
        "quality": quality(people),
        "curves": drawn,
        "more_curves": others,
        "health": health,
        "more_health": more_health,
        "recipes": recipes(people),
        "terms": [
            {"title": measures.about(c).title, "plain": measures.about(c).plain, "id": c["id"]}
            for c in shown
        ],
        "method": method(people, first),
        "method_why": "Every number can be found again: by the data's fingerprint, the seeds, the "
        "extractor's hash and the recipe.",
        "machine": machine(content, people),
        "footer": footer(content),
        **ladder(first, trusted),
    }
    view["sections"] = [
        (key, text)
        for key, text, part in (
            ("samples", "Samples", view["looks"]),
            ("answers", "Answers", True),
            ("measures", "Measures", shown),
            ("table", "Table", True),
            ("quality", "Steps", view["quality"]),
            ("copies", "Copies", view["copies"]),
            ("curves", "Training", view["curves"]),
            ("health", "Stability", view["health"]),
            ("method", "Method", True),
        )
        if part
    ]
    return view


def _title(people: Sequence[Subject], first: Dict) -> str:
    data = first["data"]["name"]
    if len(people) == 1:
        return f"{people[0].name} on {data}"
    counts = {2: "Two", 3: "Three", 4: "Four", 5: "Five", 6: "Six", 7: "Seven", 8: "Eight"}
    return f"{counts.get(len(people), len(people))} models on {data}"


def _lede(content: Dict, people: Sequence[Subject], first: Dict) -> str:
    parts = []
    budget = content.get("budget") or {}
    if budget.get("minutes"):
        parts.append(f"{_minutes(budget['minutes'])} of training each")
    counts = sorted({len(s.verdicts) for s in people})
    seeds = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    parts.append(f"{seeds} training seed{'s' if seeds != '1' else ''}")
    parts.append(f"judged on {number(first['n'], 0)} items that no model has seen")
    machine = environment(people)
    if machine.get("processor"):
        parts.append(f"{machine['processor']}, {counted(machine.get('cores'), 'core')}")
    return " \u00b7 ".join(parts)


def _minutes(minutes: float) -> str:
    return "1 minute" if minutes == 1 else f"{minutes:g} minutes"


def _notices(
    content: Dict, people: Sequence[Subject], first: Dict, trusted: bool, seeds: int
) -> list[dict[str, str]]:
    found = []

    def say(level: str, head: str, text: str) -> None:
        found.append({"level": level, "mark": MARKS[level], "head": head, "text": text})

    if trusted:
        say(
            "good",
            "The yardstick was tested",
            "Its features rank noise, blur, missing modes and copies in the right order here.",
        )
    else:
        failed = [r["damage"] for r in first["extractor"]["ladder"] if not r["passed"]]
        say(
            "bad",
            "The yardstick cannot be trusted",
            f"Its features fail on {together(failed) if failed else 'this data set'}. Distances "
            "below are shown, but nothing is concluded from them.",
        )
    found.append(_copy_notice(people))
    if seeds < LEAST_SEEDS:
        say(
            "warn",
            f"{seeds} training seed{'s' if seeds > 1 else ''}",
            "Intervals cover the choice of items and hardly the luck of training. A claim about "
            f"a family needs at least {LEAST_SEEDS} seeds: genloom compare --seeds {LEAST_SEEDS}.",
        )
    for failed in content.get("failed", ()):
        say("bad", f"{failed['family']}, seed {failed['seed']}, failed", failed["message"])
    for line in _warnings(content, people):
        say("warn", "Note", line[:1].upper() + line[1:].removesuffix(".") + ".")
    return found


def _copy_notice(people: Sequence[Subject]) -> dict[str, str]:
    tests = {s.name: {v["copies"]["verdict"] for v in s.verdicts} for s in people}
    failed = [name for name, found in tests.items() if "fail" in found]
    refused = [name for name, found in tests.items() if "refused" in found]
    if failed:
        level, head = "bad", f"Copies of training items: {together(failed)}"
        text = "Its samples are far nearer to training items than unseen items are. See the pairs."
    elif refused:
        level, head = "warn", f"Not tested for copies: {together(refused)}"
        text = "There are too few items for the test. See the closest pairs."
    else:
        level, head = "good", "No copies found"
        text = "Samples are not nearer to the training items than unseen items are."
    return {"level": level, "mark": MARKS[level], "head": head, "text": text}


def _warnings(content: Dict, people: Sequence[Subject]) -> list[str]:
    """Those of the verdicts, once each; that of too few seeds has a notice of its own."""
    lines = [line for s in people for v in s.verdicts for line in v["warnings"]]
    lines += [line for line in content["table"]["warnings"] if "training seed" not in line]
    lines += list(content.get("warnings", ()))
    return list(dict.fromkeys(lines))


def _answers_why(people: Sequence[Subject], seeds: int) -> str:
    if len(people) == 1:
        return (
            "There is no single score: a model may be faithful and narrow, or varied and blurred."
        )
    if seeds < LEAST_SEEDS:
        return (
            "There is no single score. With this few seeds the answers are about these very runs, "
            "not about the families."
        )
    return "There is no single score. Intervals span the seeds of training and the choice of items."


def _answers(table: Dict, people: Sequence[Subject], *, trusted: bool) -> list[dict[str, Any]]:
    single = len(people) == 1
    found = []
    for column in measures.columns(table):
        contestants = len(measures.cells(column, people))
        if not measures.about(column).headline or contestants < min(2, len(people)):
            continue
        answer = measures.answer(column, table, people, trusted=trusted)
        if single:
            words = measures.about(column)
            figure = answer["text"].removeprefix(words.title).strip()
            line = measures.conclusion(column, table, people, trusted=trusted)
            answer |= {"question": words.title, "names": [], "nobody": figure, "text": line}
            answer["link"] = "In full"
        found.append(answer)
    return [*found, *_speed(people)]


def _speed(people: Sequence[Subject]) -> list[dict[str, Any]]:
    """Who samples fastest: the median over the seeds of what was timed while judging."""
    rates = [(s, _rate(s)) for s in people]
    known = sorted(((rate, s) for s, rate in rates if rate), key=lambda pair: -pair[0])
    if not known:
        return []
    text = "; ".join(f"{s.name} {number(rate, _digits(rate))}" for rate, s in known)
    best = [s.who for rate, s in known if rate * CLEARLY > known[0][0]]
    answer = {
        "question": "Fastest to sample",
        "names": best if len(known) > 1 else [],
        "nobody": "" if len(known) > 1 else f"{number(known[0][0], _digits(known[0][0]))} a second",
        "text": f"Samples a second, timed once while judging: {text}.",
        "anchor": "",
        "link": "",
    }
    if len(known) == 1:
        answer |= {"question": "Speed of sampling", "text": "Timed once while judging."}
    return [answer]


def _digits(rate: float) -> int:
    return 0 if rate >= 10 else 1


def _rate(subject: Subject) -> float:
    rates = sorted(
        v["n"] / v["seconds"]["sampling"]
        for v in subject.verdicts
        if v.get("seconds", {}).get("sampling")
    )
    return rates[len(rates) // 2] if rates else 0.0


def _measures_why(people: Sequence[Subject], seeds: int) -> str:
    base = "A dot is the value, the bar its 95 % interval. "
    if len(people) > 1:
        base += "Where the bar of the best one is overlapped, no difference is shown. "
    return base + (
        "The dashed line is the same measure between two halves of real data: better than that is "
        "luck. The dotted line is a generator that knows nothing of how the parts belong together."
    )


def _refused(column: Dict, people: Sequence[Subject]) -> list[str]:
    """Why some have no number in this card."""
    name = column["name"].partition(" (")[0]
    return [
        f"{s.name}: {reason}"
        for s in people
        for reason in dict.fromkeys(
            v["refused"][name] for v in s.verdicts if name in v.get("refused", {})
        )
    ]


def _looks_why(first: Dict) -> str:
    if first["items"]["kind"] == "image":
        return (
            "The first samples of fixed seeds, none chosen by hand, beside real items that no "
            "model has seen; in the order of their classes where there are any."
        )
    return "The first samples of fixed seeds, none chosen by hand, beside unseen real items."
