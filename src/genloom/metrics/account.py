"""What a verdict tells besides its numbers: what they depend on, what to look at, what to doubt."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from genloom.core import Codec, Generative, Items, options
from genloom.data import Dataset, Split
from genloom.metrics import trivial
from genloom.metrics.bench import Bench
from genloom.metrics.pictures import grid, heard, png
from genloom.molecules.chemistry import to_smiles

LOSSY = {".jpg", ".jpeg", ".webp", ".avif"}
PIECES = 3  # of music that are shown and can be heard
SHOWN = 64  # samples in the picture of a verdict


class Trained(Protocol):
    """What is judged: `artifact.Artifact`, or anything of its form."""

    @property
    def path(self) -> Path:
        """Its folder."""
        ...

    @property
    def recipe(self) -> dict[str, Any]:
        """As resolved when it was trained."""
        ...

    @property
    def card(self) -> dict[str, Any]:
        """What is known of its training."""
        ...

    @property
    def items(self) -> Items:
        """What it makes."""
        ...

    @property
    def model(self) -> Generative:
        """With the trained weights."""
        ...

    @property
    def codec(self) -> Codec:
        """Between its space and items."""
        ...

    @property
    def hash(self) -> str:
        """SHA-256 of its weights."""
        ...

    def sample(
        self, n: int, *, seed: int = 0, label: Any = None, batch: int = 64, **options: Any
    ) -> Tensor:
        """Draw n items; where the model has a caption or a source, these are options too."""
        ...


def facts(
    artifact: Trained,
    dataset: Dataset,
    test: Split,
    against: Bench,
    n: int,
    seed: int,
    chosen: dict[str, Any],
) -> dict[str, Any]:
    """What the numbers depend on. `conditions` must be equal where verdicts are compared."""
    recipe = artifact.recipe
    seen, judged, given = against.extractor, against.judge, dataset.items.given
    defaults = {k: option.default for k, option in options(artifact.model.sample_steps).items()}
    return {
        "name": recipe.get("model", {}).get("use", type(artifact.model).__name__),
        "run": artifact.path.parent.name if artifact.path.name == "model" else artifact.path.name,
        "model": artifact.hash,
        "group": _group(recipe),
        "train_seed": recipe.get("train", {}).get("seed", 0),
        "recipe": recipe,
        "training": artifact.card.get("training", {}),
        "conditions": {
            "data": dataset.fingerprint,
            "split": "test",
            "split_fingerprint": test.fingerprint,
            "n": n,
            "extractor": seen.id,
            "judge": judged.id if judged else None,
            **({} if given == "none" else {"given": given}),
        },
        "data": {"name": dataset.name, "fingerprint": dataset.fingerprint},
        "split": "test",
        "n": n,
        "floor_n": len(against.other.items) if against.other else 0,
        "seed": seed,
        "sample_seeds": [seed * 2**20, seed * 2**20 + n - 1],
        "sample_options": defaults | chosen,
        "items": {
            "kind": against.items.kind,
            "shape": list(against.items.shape),
            "form": _form(test),
        },
        "trivial": trivial.DESCRIPTION.get(
            against.items.medium, trivial.DESCRIPTION[against.items.kind]
        ),
        "extractor": {
            "name": seen.name,
            "id": seen.id,
            "hash": seen.hash,
            "trained_on": seen.trained_on,
            "split": "train",
            "seconds": round(seen.seconds, 2),
            "ladder": [rung.as_dict() for rung in against.rungs],
            "trusted": against.trusted,
        },
        "judge": None
        if judged is None
        else {"id": judged.id, "accuracy": against.accuracy, "seconds": round(judged.seconds, 2)},
    }


def _group(recipe: Mapping[str, Any]) -> str:
    """The same for runs that differ in nothing but their seed."""
    train = {k: v for k, v in recipe.get("train", {}).items() if k != "seed"}
    content = json.dumps({**recipe, "train": train}, sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()[:12]


def _form(test: Split) -> str:
    """Whether the held-out files lost something before they came here."""
    lossy = sum(Path(name).suffix.lower() in LOSSY for name in test.names)
    return f"{lossy} of {len(test)} held-out files are lossy" if lossy else "lossless"


def warnings(
    against: Bench, copies: dict[str, Any], test: Split, *, answered: bool = False
) -> list[str]:
    """What a reader must know to read the numbers; one line each."""
    lines = []
    if answered:
        lines.append(
            "samples are answers to held-out prompts, and these are part of what is measured; "
            "bits are those of the answers alone"
        )
    form = _form(test)
    if form != "lossless":
        lines.append(
            f"{form}: their artefacts are taken for data; samples have no codec of their own"
        )
    if against.other is None:
        lines.append("there is no second held-out half, so no number has a floor")
    elif len(against.other.items) < against.n:
        lines.append(f"floors are taken at n = {len(against.other.items)}, not {against.n}")
    if against.accuracy is not None and against.accuracy < 0.9:
        lines.append(f"the judge is right about {against.accuracy:.0%} of held-out items only")
    return lines


def failures(against: Bench, copies: dict[str, Any]) -> list[str]:
    """Why the verdict does not pass; one line each."""
    lines = []
    if copies["verdict"] == "fail":
        lines.append(
            f"{copies['share']:.1%} of the samples are copies of training items "
            f"({_yardstick(copies)}; p = {copies['p_value']:.2g})"
        )
    if copies["verdict"] == "pass" and not copies["planted"]["detected"]:
        lines.append("the test for copies would not have found 5 % of copies: it needs more items")
    if copies["verdict"] == "refused":
        lines.append(f"copies could not be looked for: {copies['reason']}")
    if not against.trusted:
        failed = ", ".join(rung.damage for rung in against.rungs if not rung.passed)
        lines.append(f"the extractor cannot be trusted on these data: its ladder failed ({failed})")
    return lines


def _yardstick(copies: dict[str, Any]) -> str:
    """How many copies there are where nothing copies."""
    held_out = f"held-out data: {copies['held_out_share']:.1%}"
    return f"{held_out}; new draws: {copies['expected']:.1%}" if "expected" in copies else held_out


def pictures(samples: Tensor, labels: Tensor | None, against: Bench) -> dict[str, Any]:
    """The first samples and held-out items: not chosen, and in the order of their classes."""
    items, shown = against.items, SHOWN if against.items.kind != "points" else 1000
    real = against.real.items[:shown]
    made = samples[:shown]
    if labels is not None and against.real.labels is not None:
        made = made[labels[:shown].argsort(stable=True)]
        real = real[against.real.labels[:shown].argsort(stable=True)]
    if items.kind == "image":
        return {"kind": "image", "samples": png(grid(made)), "real": png(grid(real))}
    if items.medium == "music":
        pieces = {"samples": made[:PIECES], "real": real[:PIECES]}
        found = {side: [heard(items.read(item)) for item in some] for side, some in pieces.items()}
        return {"kind": "music", **found}
    if items.kind == "text":
        made, real = made[:16], real[:16]
    return {
        "kind": items.medium,
        "samples": [show(item, items) for item in made],
        "real": [show(item, items) for item in real],
    }


def pair(pair: dict[str, Any], samples: Tensor, against: Bench) -> dict[str, Any]:
    """A close pair with both items to look at."""
    shown = (samples[pair["generated"]], against.train.items[pair["train"]])
    return {
        **pair,
        "generated_item": show(shown[0], against.items),
        "train_item": show(shown[1], against.items),
    }


def show(item: Tensor, items: Items) -> Any:
    """One item for a page: a data URI, a string, or coordinates."""
    if items.kind == "image":
        return png(item)
    if items.medium == "molecule":
        return to_smiles(items.read(item), items.lexicon)
    if items.kind == "text":
        return items.read(item)
    return [round(float(value), 4) for value in item]
