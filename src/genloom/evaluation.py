"""A verdict that can be believed: one trained model against data that it has never seen.

The test split is opened here and nowhere else. Samples and held-out items are equal in number; they
are compared as stored (images as 8-bit values); every number carries its interval, its n, the same
measure between two halves of held-out data, and that of a trivial generator.
"""

from __future__ import annotations

import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genloom.answering import answered, prompts, unsaid
from genloom.core import Condition, Items, Latents, Likelihood, check_options
from genloom.data import Dataset, Split, open_dataset, open_test
from genloom.data.captions import lines
from genloom.errors import BadInput, Refused
from genloom.given import completed, encoded, hole_of, shown
from genloom.memory import kept_pages
from genloom.metrics import account, steps
from genloom.metrics.account import Trained
from genloom.metrics.baselines import baselines
from genloom.metrics.bench import MOST, Bench, bench
from genloom.metrics.copies import NEEDED, closest
from genloom.metrics.disentangle import dci_scores, mig_and_sap
from genloom.metrics.estimate import Estimate
from genloom.metrics.league import compare_verdicts
from genloom.metrics.likelihood import AS_STORED, NAMES, independent, likelihood, per_byte
from genloom.metrics.measures import Measured, side
from genloom.metrics.paired import paired
from genloom.metrics.preferences import preferences
from genloom.metrics.retrieval import matcher, retrieval
from genloom.sampling import evaluating

__all__ = ["Verdict", "compare_verdicts", "evaluate"]

FORMAT = 1
BOUNDED = 256  # items whose likelihood is bounded or estimated: each takes many passes
Say = Callable[[str], None]


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
        steps_curve: Quality against steps, where it was asked for: see `metrics.steps`.
    """

    facts: dict[str, Any]
    estimates: list[Estimate]
    refused: dict[str, str]
    copies: dict[str, Any]
    warnings: list[str]
    failures: list[str]
    pictures: dict[str, Any]
    steps_curve: dict[str, Any] = field(default_factory=dict)

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
            **({"steps_curve": self.steps_curve} if self.steps_curve else {}),
        }


@kept_pages()
def evaluate(
    artifact: Trained | str | Path,
    *,
    n: int | None = None,
    seed: int = 0,
    batch: int = 64,
    extractor: str | Path | None = None,
    progress: Say | None = None,
    force: bool = False,
    dataset: Dataset | None = None,
    steps_curve: Sequence[int] | None = None,
    **sample_options: Any,
) -> Verdict:
    """Judge a trained model on the test split of its data.

    Args:
        artifact: The trained model, or its path, see `artifact.load`.
        n: Items on each side; as many as the test split holds, at most 1,000, where left out.
        seed: Verdict seeds draw disjoint sets of samples.
        batch: Samples at a time.
        extractor: Inception weights as safetensors, for FID and IS; otherwise an extractor is
            trained on the training split.
        progress: Called with a line of text before each part of the work.
        force: Go on below the least n: what can be measured is, and the verdict does not pass.
        dataset: The data set, where it is open already.
        steps_curve: Counts of steps at which to draw and judge samples as well.
        sample_options: Those of the family.

    Raises:
        Refused: Fewer items than a verdict needs.
        BadInput: An option or extractor that does not fit, or other data than it was trained on.
    """
    from genloom.artifact import load

    start, say = time.monotonic(), progress or (lambda _: None)
    artifact = load(artifact) if isinstance(artifact, str | Path) else artifact
    chosen = check_options(artifact.model.sample_steps, sample_options)
    counts = () if steps_curve is None else steps.checked(artifact.model, steps_curve)
    dataset = dataset if dataset is not None else open_dataset(**_source(artifact))
    _same(artifact, dataset)
    test = open_test(dataset)
    n = enough(n, len(test), force)
    against = _bench(dataset, test, n, extractor, say)
    labels = against.real.labels if "label" in artifact.model.conditions else None
    say(f"drawing {n} samples")
    drawing = time.monotonic()
    known = _known(artifact, against, test)
    asked = _asked(known, test, against)
    seeded = {"seed": seed * 2**20, "batch": batch, **chosen}
    given = prompts(artifact.model, artifact.codec, against.real.items)
    if given is None:
        samples = artifact.sample(n, **asked, **seeded)
    else:
        samples = artifact.codec.decode(answered(artifact.model, *given, known, **seeded))
    drawn = time.monotonic() - drawing
    say("measuring the samples")
    made = side(samples, against.extractor, against.judge, labels)
    found = against.measure(made)
    _paired(found, samples, known, against, test, dataset.items)
    if "caption" in known:
        found.take("retrieval", lambda: _retrieved(dataset, samples, known, against))
    if "rejected" in test.cond:
        real, rejected = against.real.items, test.cond["rejected"][against.rows]
        found.take("preferred", lambda: preferences(artifact, real, rejected, known, batch=batch))
    copies = _copies(found, against.facing(samples), against.nearness(made), made.items)
    _likelihood(found, artifact, against, known, batch)
    _disentangled(found, artifact, test, batch)
    curve = _steps_curve(found, artifact, against, counts, asked | seeded, say)
    facts = account.facts(artifact, dataset, test, against, n, seed, chosen)
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
        account.warnings(against, copies, test, answered=given is not None),
        account.failures(against, copies),
        account.pictures(samples, labels, against),
        curve,
    )


def _steps_curve(
    found: Measured,
    artifact: Trained,
    against: Bench,
    counts: Sequence[int],
    options: Mapping[str, Any],
    say: Say,
) -> dict[str, Any]:
    """Quality against steps, where counts are asked for, or why there is none.

    Args:
        found: Gets the refusal.
        artifact: The trained model.
        against: Held-out items.
        counts: Of steps; none: no curve.
        options: How the samples of the verdict were drawn; of conditions, one for each.
        say: Called before each count.
    """
    if not counts:
        return {}
    n = min(against.n, steps.MOST)
    rows = {k: options[k][:n] for k in ("label", "caption", "source") if k in options}

    def draw(count: int) -> Tensor:
        say(f"drawing {n} samples at steps = {count}")
        return artifact.sample(n, **{**options, **rows, "steps": count})

    floor, real = against.floors.estimates.get("kid"), against.real.features
    try:
        return steps.curve(artifact.model, draw, counts, against.extractor, real, floor)
    except Refused as refusal:
        found.refused["steps_curve"] = str(refusal)
        return {}


def _disentangled(found: Measured, artifact: Trained, test: Split, batch: int) -> None:
    """Whether numbers of a code stand for causes, where there is a code and causes are known."""
    model, factors = artifact.model, test.factors
    if factors is None or not isinstance(model, Latents):
        return
    device, codes = next(model.parameters()).device, []
    with evaluating(model), torch.inference_mode():
        for rows in torch.arange(len(test)).split(batch):
            x, known = encoded(artifact.codec, test.items[rows], test.given(rows))
            known = {k: v.to(device) for k, v in known.items() if k in model.conditions}
            codes.append(model.encode(x.to(device), known).cpu().flatten(1))
    every = torch.cat(codes)
    found.take("mig", lambda: mig_and_sap(every, factors))
    found.take("dci", lambda: dci_scores(every, factors))


def _retrieved(
    dataset: Dataset, samples: Tensor, known: Condition, against: Bench
) -> list[Estimate]:
    """Whether samples show their captions, by a judge of the training part."""
    judge = matcher(dataset.items, dataset.train)
    return retrieval(judge, samples, known["caption"], against.real.items)


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


def enough(n: int | None, held_out: int, force: bool) -> int:
    """How many items a verdict is made of: n, or as many as are held out.

    Raises:
        Refused: There are too few; `force` lets any two go.
    """
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


def _bench(dataset: Dataset, test: Split, n: int, weights: str | Path | None, say: Say) -> Bench:
    """The bench of a data set, made once in a process; the last one is kept."""
    key = (dataset.fingerprint, n, str(weights))
    if key not in _benches:
        made = bench(dataset.items, dataset.train, dataset.valid, test, n, weights=weights, say=say)
        _benches.clear()
        _benches[key] = made
    return _benches[key]


def _copies(
    found: Measured, against: Bench, near: Mapping[str, Any], samples: Tensor
) -> dict[str, Any]:
    """The test for copies, its own test with planted items, and the closest pairs."""
    pairs = [account.pair(pair, samples, against) for pair in closest(near)]
    if "runs" in near:
        found.take("longest_match", lambda: against.longest_match(samples, near["runs"]))
    try:
        tests = against.copy_tests(dict(near))
        check = against.copy_tests(against.planted(dict(near)))
    except Refused as refusal:
        found.refused["copies"] = str(refusal)
        return {"verdict": "refused", "reason": str(refusal), "pairs": pairs}
    worst = min(tests, key=lambda test: test.p_value)
    found.estimates["copies"] = worst.estimate()
    told = worst.as_dict()
    detected = any(test.copied for test in check)
    return {
        "verdict": "fail" if any(test.copied for test in tests) else "pass",
        "share": worst.share,
        "held_out_share": worst.held_out_share,
        "p_value": worst.p_value,
        **{key: told[key] for key in ("recurrence", "expected") if key in told},
        "tests": [test.as_dict() for test in tests],
        "planted": {"share": 0.05, "detected": detected, "p_value": min(t.p_value for t in check)},
        "pairs": pairs,
    }


def _known(artifact: Trained, against: Bench, test: Split) -> Condition:
    """The conditions of the held-out items as the model sees them; the same at every verdict."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        every = completed(artifact.items, against.real.items, test.given(against.rows))
    return {name: value for name, value in every.items() if name in artifact.model.conditions}


def _asked(known: Condition, test: Split, against: Bench) -> dict[str, Any]:
    """The same conditions, as `Artifact.sample` takes them."""
    found: dict[str, Any] = {}
    if "label" in known:
        found["label"] = known["label"].tolist()
    if "caption" in known:
        texts = [lines(test.captions[row]) if test.captions else [] for row in against.rows]
        found["caption"] = [text[0] if text else "" for text in texts]
    if "source" in known:
        found["source"] = known["source"]
    return found


def _paired(
    found: Measured,
    samples: Tensor,
    known: Condition,
    against: Bench,
    test: Split,
    about: Items,
) -> None:
    """Beside the truth, where there is a source; of two loose folders, where there is a mate."""
    if "source" not in known:
        return
    source, true = known["source"], against.real.items
    mates = test.has_mate
    rows = torch.arange(len(true)) if mates is None else mates[against.rows].nonzero()[:, 0]
    source = source[rows]
    found.take(
        "pairs",
        lambda: paired(
            samples[rows],
            true[rows],
            shown(about, source),
            against.extractor,
            hole_of(about, source),
        ),
    )


def _likelihood(
    found: Measured, artifact: Trained, against: Bench, known: Condition, batch: int
) -> None:
    """Of models that answer `log_prob`; the global generator is left as it was."""
    model, name = artifact.model, NAMES[against.items.medium]
    if not isinstance(model, Likelihood):
        return
    n = len(against.rows) if model.likelihood == "exact" else BOUNDED
    known = {k: v[:n] for k, v in known.items()}
    real, device = against.real.items[:n], next(model.parameters()).device
    given = unsaid(artifact.model, artifact.codec, real)
    mode = model.training
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        torch.manual_seed(0)
        model.eval()
        found.take(
            name,
            lambda: likelihood(
                model, artifact.codec, real, known, given=given, batch=batch, device=device
            ),
        )
        model.train(mode)
    estimate = found.estimates.get(name)
    if estimate is not None and AS_STORED in estimate.id:
        alone, rows = estimate, against.train.items
        found.take(
            f"trivial {name}",
            lambda: replace(alone, trivial=independent(rows, real, against.items, given)),
        )
        estimate = found.estimates[name]
    if estimate is not None and against.items.medium == "text":
        order = against.rows[:n].argsort()
        in_order = real[order]
        if given is None:
            estimate = per_byte(estimate, in_order, against.items)
            floors = baselines(against.train.items, in_order, against.items)
            estimate = replace(estimate, baselines=floors)
        else:  # compressors know of no question
            estimate = per_byte(estimate, in_order, against.items, given[order])
        found.estimates[estimate.name] = estimate


def _beside(against: Bench, name: str) -> tuple[Estimate | None, Estimate | None]:
    return against.floors.estimates.get(name), against.trivials.estimates.get(name)
