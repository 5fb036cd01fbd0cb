"""Is a generated item a copy of a training item? An index answers without the training data.

Three looks: an exact hash; for images a 64-bit perceptual hash; and the score of `metrics.copies`
in a feature space, near 0 for a copy and near 1 for what is equally far from everything. Of text,
where a copy may begin anywhere, the share of known fingerprints (`winnow`) takes their place. Every
threshold is set on held-out items, so that about `rate` of honest items are found.

The index holds no items, but features from which small images can be guessed: keep it as private
as the training data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, cast, final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from genloom.core import Interval, Items
from genloom.data import Dataset, Split
from genloom.errors import BadInput, Refused
from genloom.metrics.copies import nearness
from genloom.metrics.estimate import enough
from genloom.safety.policy import perceptual, space
from genloom.safety.policy.schema import VerdictName, file_of
from genloom.safety.policy.verdict import ALLOWED, Outcome, Verdict
from genloom.safety.policy.winnow import contained, fingerprints, within

FORMAT = "genloom-nearness-1"
NEEDED = 100  # held-out items: fewer cannot tell a threshold for one in a hundred
FARTHEST = 10  # bits: images whose hashes differ by more do not look the same
UNLIKE = 65  # bits, where there is nothing to compare
Kind = Literal["image", "points", "text"]
_PARTS = {
    "image": {"centre", "basis", "features", "hashes", "looks"},
    "points": {"centre", "basis", "features", "hashes"},
    "text": {"fingerprints", "run"},
}


@dataclass(frozen=True)
class Nearby:
    """How near items are to the training data, (n,) each.

    Args:
        exact: Whether the very item is in it.
        score: As `metrics.copies` has it, small for a copy; of text the share of what is not known.
        bits: By which the perceptual hash differs from the nearest; 65 where there is none.
    """

    exact: Tensor
    score: Tensor
    bits: Tensor


@final
@dataclass(frozen=True)
class Index:
    """An index in use.

    Args:
        kind: Of the items.
        tensors: As `index` made them.
    """

    kind: Kind
    tensors: Mapping[str, Tensor]

    def look(self, items: Tensor | Sequence[str]) -> Nearby:
        """How near stored items (n, *shape), or texts, are to the training data.

        Raises:
            BadInput: They are of another shape or type than the training items.
        """
        if not isinstance(items, Tensor):
            return self._read(items)
        shape = tuple(self.tensors["shape"].tolist())
        dtype = torch.uint8 if self.kind == "image" else torch.float32
        if tuple(items.shape[1:]) != shape or items.dtype != dtype:
            raise BadInput(
                f"the index is of {dtype} items {shape}, not {items.dtype} "
                f"{tuple(items.shape[1:])}. Name the models of this data in `models`."
            )
        exact = within(space.digests(items), self.tensors["hashes"])
        found = space.features(items, self.kind, self.tensors)
        score = nearness(found, self.tensors["features"]).score
        bits = torch.full((len(items),), UNLIKE)
        if self.kind == "image":
            found, usable = perceptual.hashes(items)
            near = perceptual.nearest(found, self.tensors["looks"])
            bits = torch.where(usable, near, UNLIKE)
        return Nearby(exact, score, bits)

    def _read(self, texts: Sequence[str]) -> Nearby:
        k, window = self.tensors["run"].tolist()
        shares = []
        for text in texts:
            codes = torch.tensor([[ord(c) for c in text]], dtype=torch.int64)
            long_enough = codes.shape[1] >= k + window - 1
            known = self.tensors["fingerprints"]
            shares.append(float(contained(codes, known, k, window)) if long_enough else 0.0)
        share = torch.tensor(shares, dtype=torch.float64)
        return Nearby(share == 1, 1 - share, torch.full((len(texts),), UNLIKE))

    def __str__(self) -> str:
        """What it is of."""
        if self.kind == "text":
            return "of texts"
        return f"of {self.kind} items {tuple(self.tensors['shape'].tolist())}"

    def suits(self, items: Items) -> bool:
        """Whether it can judge such items: of its kind and, unless they are texts, its shape."""
        shape = tuple(self.tensors["shape"].tolist())
        return items.kind == self.kind and (self.kind == "text" or items.shape == shape)

    def copies(self, near: Nearby) -> Tensor:
        """Which items are called copies, (n,)."""
        score, bits = self.tensors["limits"].tolist()
        return near.exact | (near.score < score) | (near.bits <= bits)


def index(
    dataset: Dataset, *, rate: Annotated[float, Interval(ge=0, le=1)] = 0.01
) -> dict[str, Tensor]:
    """What is to be known of a data set to find its copies; write it with `save`.

    Args:
        dataset: Its training part is indexed, its validation part sets the thresholds.
        rate: Share of honest items that may be called copies.

    Raises:
        Refused: Fewer than 100 held-out items or 51 training items, or held-out items are so
            often copies themselves that copies cannot be told from honest items.
    """
    kind = dataset.items.kind
    enough("the threshold for copies", len(dataset.valid), NEEDED)
    tensors = _text_parts(dataset) if kind == "text" else _grid_parts(kind, dataset.train.items)
    tensors["shape"] = torch.tensor(dataset.items.shape)
    held_out = _strings(dataset, dataset.valid) if kind == "text" else dataset.valid.items
    near = Index(kind, tensors).look(held_out)
    # two looks share the rate, so that together they find about that share
    score = float(torch.quantile(near.score, rate / 2))
    allowed = int(rate / 2 * len(held_out))
    bits = min(int(near.bits.sort().values[allowed]) - 1, FARTHEST)
    tensors["limits"] = torch.tensor([score, bits], dtype=torch.float64)
    found = Index(kind, tensors).copies(near).double().mean().item()
    if found > 2 * rate + 1 / len(held_out):
        raise Refused(
            f"{found:.1%} of the held-out items look like copies of training items, so copies "
            "cannot be told from honest items. Remove duplicates, or make text items longer."
        )
    return tensors


def _grid_parts(kind: str, train: Tensor) -> dict[str, Tensor]:
    tensors = space.fit(train, kind)
    tensors["features"] = space.features(train, kind, tensors)
    tensors["hashes"] = space.digests(train).unique()
    if kind == "image":
        found, usable = perceptual.hashes(train)
        tensors["looks"] = found[usable].unique()
    return tensors


def _text_parts(dataset: Dataset) -> dict[str, Tensor]:
    k = max(4, min(16, dataset.items.shape[0] // 4))
    window = max(1, k // 2)
    texts = "".join(_strings(dataset, dataset.train))
    codes = torch.tensor(list(map(ord, texts)), dtype=torch.int64)
    return {"fingerprints": fingerprints(codes, k, window), "run": torch.tensor([k, window])}


def _strings(dataset: Dataset, part: Split) -> list[str]:
    return [dataset.items.read(row) for row in part.items]


def save(path: Path, tensors: Mapping[str, Tensor], kind: Kind) -> None:
    """Write an index as safetensors."""
    save_file(dict(tensors), str(path), {"genloom": FORMAT, "kind": kind})


def load(path: Path) -> Index:
    """Read an index, and try it.

    Raises:
        BadInput: It is not one, of another format, or its parts do not fit each other.
    """
    try:
        with safe_open(str(path), "pt") as file:
            told = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise BadInput(f"{path} is not safetensors ({error}). Make it with `index`.") from error
    kind = told.get("kind", "")
    if told.get("genloom") != FORMAT or set(tensors) != {*_PARTS.get(kind, ()), "shape", "limits"}:
        raise BadInput(f"{path} is no index of format {FORMAT}. Make it again with `index`.")
    found = Index(cast(Kind, kind), tensors)
    try:
        dtype = torch.uint8 if kind == "image" else torch.float32
        trial = ["a" * 64] if kind == "text" else torch.zeros(1, *tensors["shape"], dtype=dtype)
        found.copies(found.look(trial))
    except (RuntimeError, ValueError, TypeError, IndexError, Refused) as error:
        raise BadInput(f"{path} is damaged: {error}. Make it again with `index`.") from error
    return found


@final
class Near:
    """The filter `use = "nearness"`: is a generated item a copy of a training item?

    Args:
        folder: Of the policy file.
        index: File that `save` wrote, relative to it.
        verdict: Of a copy.
    """

    category = "copy"

    def __init__(self, folder: Path, *, index: str, verdict: VerdictName = "refuse"):
        self.index, self.verdict = load(file_of(folder, index)), Verdict(verdict)
        self.reads = (self.index.kind,)

    @torch.inference_mode()
    def check(self, batch: Tensor | Sequence[str]) -> list[Outcome]:
        """An outcome for each item; its score is how near, 1 for a copy."""
        near = self.index.look(batch)
        closeness = torch.where(near.exact, 1.0, 1 - near.score.clamp(0, 1)).tolist()
        return [
            Outcome(self.verdict, "too near to a training item", share) if copy else ALLOWED
            for copy, share in zip(self.index.copies(near).tolist(), closeness, strict=True)
        ]
