"""A verdict that can be believed: one trained model against data that it has never seen.

The test split is opened here and nowhere else. Samples and held-out items are equal in number; they
are compared as stored (images as 8-bit values); every number carries its interval, its n, the same
measure between two halves of held-out data, and that of a trivial generator.
"""

from __future__ import annotations

import hashlib
import json
import time
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from genloom.core import Codec, Generative, Items, Likelihood, check_options, options
from genloom.data import Dataset, open_dataset, open_test
from genloom.errors import BadInput, Refused
from genloom.metrics import trivial
from genloom.metrics.bench import MOST, Bench, bench
from genloom.metrics.copies import NEEDED, closest, planted
from genloom.metrics.estimate import Estimate
from genloom.metrics.league import compare_verdicts
from genloom.metrics.likelihood import AS_STORED, NAMES, independent, likelihood
from genloom.metrics.measures import Measured, measure, side
from genloom.metrics.pictures import grid, png

__all__ = ["Verdict", "compare_verdicts", "evaluate"]

FORMAT = 1
SHOWN = 64  # samples in the picture of a verdict
Say = Callable[[str], None]


class Trained(Protocol):
    """What is judged: `artifact.Artifact`, or anything of its form."""

    @property
    def path(self) -> Path: ...
    @property
    def recipe(self) -> dict[str, Any]: ...
    @property
    def card(self) -> dict[str, Any]: ...
    @property
    def items(self) -> Items: ...
    @property
    def model(self) -> Generative: ...
    @property
    def codec(self) -> Codec: ...
    @property
    def hash(self) -> str: ...

    def sample(
        self, n: int, *, seed: int = 0, label: Any = None, batch: int = 64, **options: Any
    ) -> Tensor:
        """Draw n items."""
        ...


@dataclass(frozen=True)
class Verdict:
    """What was found, with all that is needed to find it again.

    Args:
        facts: Model, data, split, n, seeds, options, extractor, judge: what the numbers depend on.
        estimates: In the order in which a person should read them.
        refused: Measure -> why there is no number.
        copies: The test for copies, with the closest pairs.
        warnings: One line each.
        failures: Why it did not pass; empty where it did.
        pictures: Samples and held-out items to look at.
    """

    facts: dict[str, Any]
    estimates: list[Estimate]
    refused: dict[str, str]
    copies: dict[str, Any]
    warnings: list[str]
    failures: list[str]
    pictures: dict[str, Any]

    @property
    def passed(self) -> bool:
        """No copies found, by a test that had the power to find them, in trusted features."""
        return not self.failures

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; no number is NaN."""
        return {
            "format": FORMAT,
            **self.facts,
            "passed": self.passed,
            "failures": self.failures,
            "warnings": self.warnings,
            "estimates": [estimate.as_dict() for estimate in self.estimates],
            "refused": self.refused,
            "copies": self.copies,
            "pictures": self.pictures,
        }


def evaluate(
    artifact: Trained,
    *,
    n: int | None = None,
    seed: int = 0,
    batch: int = 64,
    extractor: str | Path | None = None,
    progress: Say | None = None,
    force: bool = False,
    dataset: Dataset | None = None,
    **sample_options: Any,
) -> Verdict:
    """Judge a trained model on the test split of its data.

    Args:
        artifact: The trained model.
        n: Items on each side; as many as the test split holds, at most 1,000, where left out.
        seed: Verdict seeds draw disjoint sets of samples.
        batch: Samples at a time.
        extractor: Inception weights as safetensors, for FID and IS; otherwise an extractor is
            trained on the training split.
        progress: Called with a line of text before each part of the work.
        force: Go on below the least n: what can be measured is, and the verdict does not pass.
        dataset: The data set, where it is open already.
        sample_options: Those of the family.

    Raises:
        Refused: Fewer items than a verdict needs.
        BadInput: An option or extractor that does not fit, or other data than it was trained on.
    """
    start, say = time.monotonic(), progress or (lambda _: None)
    chosen = check_options(artifact.model.sample_steps, sample_options)
    dataset = dataset if dataset is not None else open_dataset(**_source(artifact))
    _same(artifact, dataset)
    test = open_test(dataset)
    n = _size(n, len(test), force)
    against = _bench(dataset, test, n, extractor, say)
    labels = against.real.labels if "label" in artifact.model.conditions else None
    first = seed * 2**20
    say(f"drawing {n} samples")
    drawing = time.monotonic()
    asked = {} if labels is None else {"label": labels.tolist()}
    samples = artifact.sample(n, seed=first, batch=batch, **asked, **chosen)
    drawn = time.monotonic() - drawing
    say("measuring the samples")
    made = side(samples, against.extractor, against.judge, labels)
    found = measure(made, against.real, against.extractor, against.judge, dataset.items)
    copies = _copies(found, against, against.nearness(made), made.items)
    _likelihood(found, artifact, against, test, batch)
    facts = _facts(artifact, dataset, test, against, n, seed, chosen)
    facts["p_value"] = found.p_value
    facts["seconds"] = {
        "bench": round(against.seconds, 2),
        "sampling": round(drawn, 2),
        "all": round(time.monotonic() - start, 2),
    }
    estimates = [e.beside(*_beside(against, name)) for name, e in found.estimates.items()]
    return Verdict(
        facts,
        estimates,
        found.refused,
        copies,
        _warnings(against, copies),
        _failures(against, copies),
        _pictures(samples, labels, against),
    )


# ------------------------------------------------------------------ before the work


def _source(artifact: Trained) -> dict[str, Any]:
    """Where the data are: the run's recipe knows the path, the artifact only the name."""
    run = artifact.path.parent / "recipe.toml"
    if run.is_file():
        return tomllib.loads(run.read_text("utf-8")).get("data", {})
    return dict(artifact.recipe.get("data", {}))


def _same(artifact: Trained, dataset: Dataset) -> None:
    trained_on = artifact.card.get("data", {}).get("fingerprint")
    if trained_on and trained_on != dataset.fingerprint:
        raise BadInput(
            f"the data have changed: the model was trained on {trained_on[:12]}, these are "
            f"{dataset.fingerprint[:12]}. Bring the old files back, or train again."
        )
    if artifact.items != dataset.items:
        raise BadInput(f"the model makes {artifact.items}, the data set holds {dataset.items}.")


def _size(n: int | None, held_out: int, force: bool) -> int:
    least = 2 if force else NEEDED
    if held_out < least:
        raise Refused(
            f"the test split has {held_out} items and a verdict needs at least {least}: bring more "
            f"data, or a larger data.test share; --force shows what little can be measured."
        )
    if n is None:
        return min(held_out, MOST)
    if n > held_out:
        raise Refused(
            f"n = {n} needs {n} held-out items; the test split has {held_out}. Set n to at most "
            f"{held_out}."
        )
    if n < least:
        raise Refused(f"n = {n} is too few for a verdict: at least {least} are needed.")
    return n


_benches: dict[tuple[str, int, str], Bench] = {}


def _bench(dataset: Dataset, test: Any, n: int, weights: str | Path | None, say: Say) -> Bench:
    """The bench of a data set, made once in a process; the last one is kept."""
    key = (dataset.fingerprint, n, str(weights))
    if key not in _benches:
        made = bench(dataset.items, dataset.train, dataset.valid, test, n, weights=weights, say=say)
        _benches.clear()
        _benches[key] = made
    return _benches[key]


# ------------------------------------------------------------------ parts of the verdict


def _copies(
    found: Measured, against: Bench, near: Mapping[str, Any], samples: Tensor
) -> dict[str, Any]:
    """The test for copies, its own test with planted items, and the closest pairs."""
    pairs = [_pair(pair, samples, against) for pair in closest(near)]
    try:
        tests = against.copy_tests(dict(near))
        check = against.copy_tests({space: planted(one) for space, one in near.items()})
    except Refused as refusal:
        found.refused["copies"] = str(refusal)
        return {"verdict": "refused", "reason": str(refusal), "pairs": pairs}
    worst = min(tests, key=lambda test: test.p_value)
    found.estimates["copies"] = worst.estimate()
    detected = any(test.copied for test in check)
    return {
        "verdict": "fail" if any(test.copied for test in tests) else "pass",
        "share": worst.share,
        "held_out_share": worst.held_out_share,
        "p_value": worst.p_value,
        "tests": [test.as_dict() for test in tests],
        "planted": {"share": 0.05, "detected": detected, "p_value": min(t.p_value for t in check)},
        "pairs": pairs,
    }


def _pair(pair: dict[str, Any], samples: Tensor, against: Bench) -> dict[str, Any]:
    shown = (samples[pair["generated"]], against.train.items[pair["train"]])
    return {
        **pair,
        "generated_item": _shown(shown[0], against.items),
        "train_item": _shown(shown[1], against.items),
    }


def _shown(item: Tensor, items: Items) -> Any:
    """One item for a page: a data URI, a string, or coordinates."""
    if items.kind == "image":
        return png(item)
    if items.kind == "text":
        return "".join(items.alphabet[i] for i in item.tolist())
    return [round(float(value), 4) for value in item]


def _likelihood(found: Measured, artifact: Trained, against: Bench, test: Any, batch: int) -> None:
    """Of models that answer `log_prob`; the global generator is left as it was."""
    model, kind = artifact.model, against.items.kind
    if not isinstance(model, Likelihood):
        return
    known = {k: v[against.rows] for k, v in test.cond.items() if k in model.conditions}
    real, device = against.real.items, next(model.parameters()).device
    mode = model.training
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        torch.manual_seed(0)
        model.eval()
        found.take(
            NAMES[kind],
            lambda: likelihood(model, artifact.codec, real, known, batch=batch, device=device),
        )
        model.train(mode)
    estimate = found.estimates.get(NAMES[kind])
    if estimate is not None and AS_STORED in estimate.id:
        plain = independent(against.train.items, real, against.items)
        found.estimates[estimate.name] = Estimate(**{**estimate.as_dict(), "trivial": plain})


def _beside(against: Bench, name: str) -> tuple[Estimate | None, Estimate | None]:
    return against.floors.estimates.get(name), against.trivials.estimates.get(name)


def _facts(
    artifact: Trained,
    dataset: Dataset,
    test: Any,
    against: Bench,
    n: int,
    seed: int,
    chosen: dict[str, Any],
) -> dict[str, Any]:
    """What the numbers depend on. `conditions` must be equal where verdicts are compared."""
    recipe = artifact.recipe
    seen, judged = against.extractor, against.judge
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
            "form": "lossless",
        },
        "trivial": trivial.DESCRIPTION[against.items.kind],
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


def _warnings(against: Bench, copies: dict[str, Any]) -> list[str]:
    lines = []
    if against.other is None:
        lines.append("there is no second held-out half, so no number has a floor")
    elif len(against.other.items) < against.n:
        lines.append(f"floors are taken at n = {len(against.other.items)}, not {against.n}")
    if against.accuracy is not None and against.accuracy < 0.9:
        lines.append(f"the judge is right about {against.accuracy:.0%} of held-out items only")
    if copies.get("planted", {}).get("detected") is False:
        lines.append("the test for copies would not have found 5 % of copies here")
    return lines


def _failures(against: Bench, copies: dict[str, Any]) -> list[str]:
    lines = []
    if copies["verdict"] == "fail":
        lines.append(
            f"{copies['share']:.1%} of the samples are copies of training items "
            f"(held-out data: {copies['held_out_share']:.1%}; p = {copies['p_value']:.2g})"
        )
    if copies["verdict"] == "refused":
        lines.append(f"copies could not be looked for: {copies['reason']}")
    if not against.trusted:
        failed = ", ".join(rung.damage for rung in against.rungs if not rung.passed)
        lines.append(f"the extractor cannot be trusted on these data: its ladder failed ({failed})")
    return lines


def _pictures(samples: Tensor, labels: Tensor | None, against: Bench) -> dict[str, Any]:
    """The first samples and held-out items: not chosen, and in the order of their classes."""
    items, shown = against.items, SHOWN if against.items.kind != "points" else 1000
    real = against.real.items[:shown]
    made = samples[:shown]
    if labels is not None and against.real.labels is not None:
        made = made[labels[:shown].argsort(stable=True)]
        real = real[against.real.labels[:shown].argsort(stable=True)]
    if items.kind == "image":
        return {"kind": "image", "samples": png(grid(made)), "real": png(grid(real))}
    if items.kind == "text":
        made, real = made[:16], real[:16]
    return {
        "kind": items.kind,
        "samples": [_shown(item, items) for item in made],
        "real": [_shown(item, items) for item in real],
    }
