"""The model card: what a person must know of an artifact, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from genloom import toml


def render(card: Mapping[str, Any], recipe: Mapping[str, Any]) -> str:
    """The README.md of an artifact; it says nothing that is not in card.json and recipe.toml."""
    data, training = card.get("data", {}), card.get("training", {})
    use = recipe.get("model", {}).get("use", "model")
    parts = [
        f"# {use} on {data.get('name', 'unknown data')}",
        "A generative model trained with genloom. The folder holds weights (safetensors), the "
        "recipe, this card, and no code.",
        "## Use",
        "```bash\ngenloom sample PATH_OF_THIS_FOLDER -n 16 --seed 0 --out samples\n```",
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
    return line


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
