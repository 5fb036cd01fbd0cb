"""Do single numbers of a code stand for single causes? MIG, SAP and DCI, on known causes.

Pure functions of codes (N, D) and factors (N, K), integers from 0 on, as `data.factors` draws them.
Locatello et al., 2018 (arXiv:1811.12359) compare them, and show that they also depend on luck: give
several seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from genloom.errors import BadInput, MissingExtra, Refused, need
from genloom.metrics.estimate import Estimate, enough, finite, jackknife, leave_out, t_quantile

BINS = 20
LEAST = 100  # items, for a verdict
MOST = 256  # numbers of a code, for a verdict
HALVINGS = {"sap": 10, "dci": 5}  # of the items, for an interval


def mutual_information(codes: Tensor, factors: Tensor, *, bins: int = BINS) -> Tensor:
    """Nats that each number of a code tells of each factor, (D, K), from histograms.

    Raises:
        BadInput: See `mig`.
    """
    _check(codes, factors)
    binned = _binned(codes, bins)
    return torch.stack(
        [
            torch.stack([_shared(column, factor) for factor in factors.unbind(1)])
            for column in binned.unbind(1)
        ]
    )


def mig(codes: Tensor, factors: Tensor, *, bins: int = BINS) -> Tensor:
    """Mutual information gap of each factor, (K,), in [0, 1]; their mean is the score.

    Chen et al., 2018 (arXiv:1802.04942), Eq. 6: what the best number tells of a factor, less what
    the second best tells, over the factor's entropy. The information is that of histograms with 20
    bins of equal width from the least to the greatest code, as in Locatello et al., appendix C,
    rather than of samples from the posterior.

    Args:
        codes: (N, D), D at least 2; for instance the means of a posterior.
        factors: (N, K) integers from 0 on.
        bins: Of each number of a code.

    Raises:
        BadInput: Shapes that do not belong together, a code that is not finite, fewer than two
            numbers in a code, or a factor that does not vary.
    """
    told = mutual_information(codes, factors, bins=bins)
    entropies = torch.stack([_shared(factor, factor) for factor in factors.unbind(1)])
    first, second = told.topk(2, dim=0).values
    return (first - second) / entropies


def sap(codes: Tensor, factors: Tensor, *, bins: int = BINS, seed: int = 0) -> Tensor:
    """Separated attribute predictability of each factor, (K,), in [0, 1]; their mean is the score.

    Kumar et al., 2017 (arXiv:1711.00848), section 3: how much better a factor can be predicted from
    the best number of a code than from the second best, by thresholds on that number alone. Here
    the thresholds are equally spaced, each part predicts its most frequent class among the even
    rows of shuffled data, and the odd rows are judged. Accuracy is in units of what lies above
    chance: 0 is the most frequent class everywhere, 1 is always right.

    Raises:
        BadInput: See `mig`.
    """
    _check(codes, factors)
    order = torch.randperm(len(codes), generator=torch.Generator().manual_seed(seed))
    binned, factors = _binned(codes, bins)[order], factors[order]
    scores = torch.stack(
        [
            torch.stack([_predicted(column, factor) for factor in factors.unbind(1)])
            for column in binned.unbind(1)
        ]
    )
    first, second = scores.topk(2, dim=0).values
    return first - second


@dataclass(frozen=True)
class Dci:
    """Three scores in [0, 1]: see `dci`."""

    disentanglement: float
    completeness: float
    informativeness: float


def dci(codes: Tensor, factors: Tensor, *, trees: int = 30, seed: int = 0) -> Dci:
    """Disentanglement, completeness, informativeness: Eastwood and Williams, 2018, section 2.

    A random forest predicts each factor from the whole code. Disentanglement: whether a number is
    of use for one factor alone, weighted by its use; completeness: whether a factor needs one
    number alone; both are 1 less an entropy of the forest's importances. Informativeness is its
    accuracy on the half of the rows that it has not seen (there: the error).

    Raises:
        BadInput: See `mig`.
        MissingExtra: scikit-learn is not installed.
    """
    _check(codes, factors)
    try:
        from sklearn.ensemble import RandomForestClassifier
    except ModuleNotFoundError:
        raise need("scikit-learn", "demo", "DCI") from None
    order = torch.randperm(len(codes), generator=torch.Generator().manual_seed(seed))
    seen, kept = (codes[part].double().numpy() for part in (order[::2], order[1::2]))
    weights, right = [], []
    for factor in factors.unbind(1):
        # All numbers at every split: otherwise those of no use must be used where others are not.
        forest: Any = cast(Any, RandomForestClassifier)(
            trees, max_depth=8, max_features=None, random_state=seed, n_jobs=1
        )
        forest.fit(seen, factor[order[::2]].numpy())
        weights.append(torch.from_numpy(forest.feature_importances_))
        right.append(float(forest.score(kept, factor[order[1::2]].numpy())))
    use = torch.stack(weights, 1)  # (D, K)
    shares = use.sum(1) / use.sum()
    return Dci(
        disentanglement=float((shares * _purity(use)).sum()),
        completeness=float(_purity(use.T).mean()),
        informativeness=sum(right) / len(right),
    )


def mig_and_sap(codes: Tensor, factors: Tensor) -> list[Estimate]:
    """Both as numbers of a verdict: means over the factors, with intervals over the items.

    The trivial value is that of the same codes beside the factors of other items.

    Args:
        codes: Of held-out items, (N, D).
        factors: Their causes, (N, K).

    Raises:
        Refused: Too few items, a code of one number or of more than `MOST`, or one that is not
            finite.
    """
    _answerable("mig", codes, factors)
    others = _shuffled(factors)

    def gap(x: Tensor, y: Tensor) -> float:
        return float(mig(x, y).mean())

    value = gap(codes, factors)
    low, high = jackknife(value, leave_out(gap, codes, factors))
    apart = [float(sap(codes, factors, seed=k).mean()) for k in range(HALVINGS["sap"])]
    id = f"codes of held-out items; {BINS} bins"
    found = _halved("sap", apart, len(codes), id, float(sap(codes, others).mean()))
    bounds = max(0.0, low), min(1.0, high)
    n, trivial = len(codes), gap(codes, others)
    return [Estimate("mig", value, *bounds, n, id, "higher", trivial=trivial), found]


def dci_scores(codes: Tensor, factors: Tensor) -> list[Estimate]:
    """The three scores of `dci` as numbers of a verdict; see `mig_and_sap`.

    Raises:
        Refused: See `mig_and_sap`; or scikit-learn is not there.
    """
    _answerable("dci", codes, factors)
    try:
        found = [dci(codes, factors, seed=k) for k in range(HALVINGS["dci"])]
    except MissingExtra as absent:
        raise Refused(str(absent)) from absent
    plain = dci(codes, _shuffled(factors))
    id = "codes of held-out items; 30 trees of depth 8"
    return [
        _halved(
            f"dci_{name}", [getattr(one, name) for one in found], len(codes), id,
            getattr(plain, name),
        )
        for name in ("disentanglement", "completeness", "informativeness")
    ]  # fmt: skip


def _answerable(name: str, codes: Tensor, factors: Tensor) -> None:
    """Refuse what no number of a verdict can be made of."""
    enough(name, len(codes), LEAST)
    finite(name, codes)
    if not 2 <= codes.shape[1] <= MOST:
        raise Refused(
            f"{name} is for codes of 2 to {MOST} numbers; this model's code has {codes.shape[1]}."
        )


def _shuffled(factors: Tensor) -> Tensor:
    order = torch.randperm(len(factors), generator=torch.Generator().manual_seed(1))
    return factors[order]


def _halved(name: str, values: Sequence[float], n: int, id: str, trivial: float) -> Estimate:
    """The mean over random halvings of the items, and its interval.

    Nadeau and Bengio, 2003 (Inference for the generalization error): repeated halvings share their
    items, so that the variance of their mean is (1/J + 1) times theirs, not 1/J times.
    """
    count = len(values)
    mean = math.fsum(values) / count
    variance = math.fsum((v - mean) ** 2 for v in values) / (count - 1)
    half = t_quantile(count - 1) * math.sqrt((1 / count + 1) * variance)
    low, high = max(0.0, mean - half), min(1.0, mean + half)
    return Estimate(name, mean, low, high, n, id, "higher", trivial=trivial)


def _purity(rows: Tensor) -> Tensor:
    """1 less the entropy of each row, in units of the greatest: (n, m) -> (n,)."""
    shares = rows / rows.sum(1, keepdim=True).clamp(min=1e-12)
    most = torch.tensor(float(rows.shape[1])).log().clamp(min=1e-12)
    return 1 - torch.special.entr(shares).sum(1) / most


def _binned(codes: Tensor, bins: int) -> Tensor:
    """The part of its range, of `bins` equal ones, in which each number lies: (N, D) integers."""
    low, high = codes.aminmax(dim=0)
    width = torch.where(high > low, high - low, torch.ones_like(low))
    return ((codes - low) / width * bins).long().clamp(max=bins - 1)


def _shared(a: Tensor, b: Tensor) -> Tensor:
    """Mutual information of two columns of integers, in nats; of one with itself, its entropy."""
    joint = _table(a, b) / len(a)
    apart = torch.special.entr(joint.sum(0)).sum() + torch.special.entr(joint.sum(1)).sum()
    return apart - torch.special.entr(joint).sum()


def _table(a: Tensor, b: Tensor) -> Tensor:
    """How often each pair of values occurs, float64."""
    rows, columns = int(a.max()) + 1, int(b.max()) + 1
    return torch.bincount(a * columns + b, minlength=rows * columns).view(rows, columns).double()


def _predicted(part: Tensor, factor: Tensor) -> Tensor:
    """Accuracy above chance, in [0, 1], of the most frequent class of each part."""
    guess = _table(torch.cat([part[::2], part.max()[None]]), torch.cat([factor[::2], factor[:1]]))
    usual = torch.bincount(factor[::2]).argmax()
    right = (guess.argmax(1)[part[1::2]] == factor[1::2]).double().mean()
    chance = (factor[1::2] == usual).double().mean()
    return ((right - chance) / (1 - chance)).clamp(min=0)


def _check(codes: Tensor, factors: Tensor) -> None:
    if codes.ndim != 2 or factors.ndim != 2 or len(codes) != len(factors) or codes.shape[1] < 2:
        raise BadInput(
            f"codes {tuple(codes.shape)} and factors {tuple(factors.shape)} must be (N, D) and "
            "(N, K) of the same rows, D at least 2. Flatten the codes of a grid."
        )
    if factors.is_floating_point() or int(factors.min()) < 0:
        raise BadInput("factors must be integers from 0 on. Number their values.")
    if not codes.isfinite().all():
        raise BadInput("codes hold NaN or infinity. Leave those rows out, or train again.")
    still = (factors == factors[0]).all(0).nonzero().flatten().tolist()
    if still:
        raise BadInput(f"factors {still} have one value only; give pictures in which they vary.")
