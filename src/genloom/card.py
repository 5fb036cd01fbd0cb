"""The model card: what a person must know of an artifact, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from genloom import toml
from genloom.given import SOURCES


def render(card: Mapping[str, Any], recipe: Mapping[str, Any]) -> str:
    """The README.md of an artifact; it says nothing that is not in card.json and recipe.toml."""
    data, training = card.get("data", {}), card.get("training", {})
    use = recipe.get("model", {}).get("use", "model")
    parts = [
        f"# {use} on {data.get('name', 'unknown data')}",
        "A generative model trained with genloom. The folder holds weights (safetensors), the "
        "recipe, this card, and no code.",
        "## Use",
        _use(card.get("items", {})),
        "## What it makes",
        _items(card.get("items", {})),
        "## How it was made",
        _table(
            {
                "data": data.get("name"),
                "data fingerprint": data.get("fingerprint"),
                "steps": training.get("steps"),
                "seconds": _round(training.get("seconds")),
                "seed": card.get("seeds", {}).get("train"),
                "machine": card.get("machine"),
                "threads": card.get("threads"),
                "genloom": card.get("genloom"),
                "torch": card.get("torch"),
                "weights SHA-256": card.get("files", {}).get("weights.safetensors"),
            }
        ),
        *_privacy(training.get("private")),
        "## Measures",
        _metrics(card.get("metrics", {})),
        "## Limits",
        _limits(training.get("alarms", ())),
        "## Recipe",
        f"```toml\n{toml.dumps(recipe)}```",
    ]
    return "\n\n".join(parts) + "\n"


def _items(items: Mapping[str, Any]) -> str:
    shape = " x ".join(str(n) for n in items.get("shape", ()))
    line = f"One {items.get('kind', 'item')} of shape {shape} a sample."
    classes = items.get("classes", ())
    if classes:
        line += f" Labels: {', '.join(f'`{_plain(c)}`' for c in classes)}."
    return "\n\n".join([line, *_conditions(items)])


def _conditions(items: Mapping[str, Any]) -> list[str]:
    """What a sample can be asked to be, by what the items come with."""
    caption, given = items.get("caption"), items.get("given", "none")
    lines = []
    if items.get("classes"):
        lines.append("- a label (`--label`): one of the classes, by name or by number; -1 is none")
    if caption:
        letters = len(caption.get("alphabet", ""))
        known = f" in an alphabet of {letters} characters" if letters else ""
        length = caption.get("length")
        lines.append(f"- a caption (`--caption`): text{known}, of which {length} are read")
    if given in SOURCES:
        line = f"- a source picture (`--source`): a sample is made from {SOURCES[given].about}"
        lines.append(line + (", which `--mask` says" if given == "masked" else ""))
    return ["Samples can be given:", "\n".join(lines)] if lines else []


def _use(items: Mapping[str, Any]) -> str:
    """Command lines that sample: without conditions, and with all that the items come with."""
    plain = "genloom sample PATH_OF_THIS_FOLDER -n 16 --seed 0 --out samples"
    asked = ""
    if classes := items.get("classes"):
        name = str(classes[-1])
        number = str(len(classes) - 1)
        asked += f" --label {name if name.isascii() and name.isalnum() else number}"
    if items.get("caption"):
        asked += ' --caption "WHAT IT SHOULD SHOW"'
    if (given := items.get("given", "none")) in SOURCES:
        asked += " --source PICTURE.png" + (" --mask MASK.png" if given == "masked" else "")
    lines = [plain, *([plain + asked] if asked else [])]
    return "\n".join(["```bash", *lines, "```"])


def _privacy(told: Mapping[str, Any] | None) -> list[str]:
    """What a private training promises of its rows, and what it does not."""
    if not told:
        return []
    shown = (
        *("epsilon", "delta", "noise", "clip", "rows", "rate", "steps", "trainings"),
        *("unit", "accountant"),
    )
    uncovered = [f"- {_plain(line)}" for line in told.get("uncovered", ())]
    return [
        "## Privacy",
        "The weights are differentially private (DP-SGD).",
        _table({name: _round(told.get(name)) for name in shown}),
        *_search(told.get("search")),
        "Not covered:",
        "\n".join(uncovered),
    ]


def _search(told: Mapping[str, Any] | None) -> list[str]:
    """What the trainings of a search spent together, where the weights are of one."""
    if not told:
        return []
    return [
        f"A search chose among trainings on the same rows ({told.get('trainings')}). Together "
        f"they spent epsilon {_round(told.get('epsilon'))} at delta {_round(told.get('delta'))}, "
        f"and so did the choice: {_plain(told.get('accountant'))}."
    ]


def _metrics(metrics: Mapping[str, Any]) -> str:
    if not metrics:
        return "None were taken. `genloom evaluate` takes them."
    rows = ["| measure | value | interval | n | real against real |", "|---|---|---|---|---|"]
    for name, m in metrics.items():
        interval = f"{_round(m.get('low'))} to {_round(m.get('high'))}"
        rows.append(
            f"| {_plain(name)} | {_round(m.get('value'))} | {interval} | {m.get('n')} "
            f"| {_round(m.get('floor'))} |"
        )
    return "\n".join(rows)


def _limits(alarms: Any) -> str:
    lines = ["It knows what its training data show and nothing else."]
    for alarm in alarms:
        lines.append(
            f"Alarm at step {alarm.get('step')}: {_plain(alarm.get('alarm'))}. "
            f"{_plain(alarm.get('message'))}"
        )
    return "\n\n".join(lines)


def _table(rows: Mapping[str, Any]) -> str:
    lines = ["| | |", "|---|---|"]
    lines += [f"| {k} | {_plain(v)} |" for k, v in rows.items() if v is not None]
    return "\n".join(lines)


def _round(value: Any) -> Any:
    return f"{value:.4g}" if isinstance(value, float) else value


def _plain(value: Any) -> str:
    """Text of a data set or a run, without what Markdown or HTML would read as its own."""
    text = " ".join(str(value).split())
    for mark in "<>|`[]":
        text = text.replace(mark, " ")
    return text
