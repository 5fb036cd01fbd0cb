"""A classifier of the user's own: a TOML file that names its layers, a safetensors file of weights.

    format = 1
    shape = [1, 28, 28]          # of the items: uint8 images (C, H, W), or points (D,)
    classes = ["fine", "bad"]    # of the last layer; one class means one logit
    watch = "bad"                # the class whose probability counts
    layers = [{ use = "pool", side = 14 }, { use = "flatten" }, { use = "linear", out = 32 },
              { use = "relu" }, { use = "linear", out = 2 }]

The weights lie beside it under the same name, as `net(...)` names them: "2.weight", "2.bias", ...
Layers are of a closed set, so neither file can run code. Images enter as value / 127.5 - 1.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from genloom.core import Interval
from genloom.errors import BadInput, nearest
from genloom.safety.policy.schema import file_of, strings, table
from genloom.safety.policy.verdict import Outcome, Verdict

FORMAT = 1
_KEYS = ("format", "shape", "classes", "watch", "layers")
_LAYERS: dict[str, tuple[str, ...]] = {
    "pool": ("side",),
    "flatten": (),
    "linear": ("out",),
    "relu": (),
    "gelu": (),
    "tanh": (),
}
MOST_LAYERS, WIDEST = 16, 65_536


def net(shape: Sequence[int], layers: Sequence[Mapping[str, Any]]) -> nn.Sequential:
    """The network of these layers, with fresh weights; train it, and store its `state_dict`.

    Args:
        shape: Of one item.
        layers: Tables with `use` and the key of that layer.

    Raises:
        BadInput: An unknown layer or key, or layers that do not follow each other.
    """
    if not 1 <= len(layers) <= MOST_LAYERS:
        raise BadInput(f"there are {len(layers)} layers: 1 to {MOST_LAYERS} are possible.")
    made: list[nn.Module] = []
    seen = tuple(shape)
    for place, layer in enumerate(layers):
        module, seen = _layer(f"layers[{place}]", layer, seen)
        made.append(module)
    return nn.Sequential(*made)


def _layer(
    name: str, layer: Mapping[str, Any], shape: tuple[int, ...]
) -> tuple[nn.Module, tuple[int, ...]]:
    use = layer.get("use") if isinstance(layer, Mapping) else None
    if use not in _LAYERS:
        raise BadInput(f"{name}: there is no layer {use!r}{nearest(str(use), _LAYERS)}")
    given = table(name, layer, ("use", *_LAYERS[use]))
    size = [_size(f"{name}.{key}", given.get(key)) for key in _LAYERS[use]]
    if use == "pool":
        if len(shape) != 3:
            raise BadInput(f"{name}: pool needs an image (C, H, W), not {shape}.")
        return nn.AdaptiveAvgPool2d(size[0]), (shape[0], size[0], size[0])
    if use == "flatten":
        return nn.Flatten(), (math.prod(shape),)
    if use == "linear":
        if len(shape) != 1 or shape[0] > WIDEST:
            raise BadInput(f"{name}: linear needs up to {WIDEST} flat features, not {shape}.")
        return nn.Linear(shape[0], size[0]), (size[0],)
    return {"relu": nn.ReLU, "gelu": nn.GELU, "tanh": nn.Tanh}[use](), shape


def _size(name: str, value: Any) -> int:
    if type(value) is not int or not 1 <= value <= 4096:
        raise BadInput(f"{name} = {value!r}: it must be an integer in [1, 4096].")
    return value


@final
class Classifier:
    """The filter `use = "classifier"`.

    Args:
        folder: Of the policy file.
        file: The TOML file of the classifier, relative to it.
        flag: Probability from which an item is flagged; None for never.
        hold: Likewise, held.
        refuse: Likewise, refused.
        category: What it looks for, as moderation calls it or in a word of your own.
    """

    def __init__(
        self,
        folder: Path,
        *,
        file: str,
        flag: Annotated[float | None, Interval(ge=0, le=1)] = None,
        hold: Annotated[float | None, Interval(ge=0, le=1)] = None,
        refuse: Annotated[float | None, Interval(ge=0, le=1)] = None,
        category: str = "classifier",
    ):
        limits = ((Verdict.FLAG, flag), (Verdict.HOLD, hold), (Verdict.REFUSE, refuse))
        self.limits = [(verdict, limit) for verdict, limit in limits if limit is not None]
        values = [limit for _, limit in self.limits]
        if not values or values != sorted(values):
            raise BadInput(
                f"flag = {flag}, hold = {hold}, refuse = {refuse}: at least one is needed, and "
                "they must not fall."
            )
        self.category = category
        path = file_of(folder, file)
        spec = _spec(path)
        self.shape, self.watch = tuple(spec["shape"]), spec["classes"].index(spec["watch"])
        self.reads = ("image",) if len(self.shape) == 3 else ("points",)
        self.net = net(self.shape, spec["layers"]).eval().requires_grad_(False)
        _fill(self.net, file_of(path.parent, path.with_suffix(".safetensors").name))
        self._try(len(spec["classes"]))

    def _try(self, classes: int) -> None:
        dtype = torch.uint8 if len(self.shape) == 3 else torch.float32
        outputs = self._logits(torch.zeros(1, *self.shape, dtype=dtype)).shape
        if tuple(outputs) != (1, classes):
            raise BadInput(f"the last layer gives {tuple(outputs[1:])} for {classes} classes.")

    def _logits(self, items: Tensor) -> Tensor:
        expected = torch.uint8 if len(self.shape) == 3 else torch.float32
        if tuple(items.shape[1:]) != self.shape or items.dtype != expected:
            raise BadInput(
                f"the classifier takes {expected} items {self.shape}, not {items.dtype} "
                f"{tuple(items.shape[1:])}. Name the models that it suits in `models`."
            )
        x = items.float() / 127.5 - 1 if items.dtype == torch.uint8 else items
        return self.net(x)

    @torch.inference_mode()
    def probability(self, items: Tensor) -> Tensor:
        """Of the watched class, for items (n, *shape) as stored: (n,)."""
        logits = self._logits(items)
        if logits.shape[1] == 1:
            return logits[:, 0].sigmoid()
        return logits.softmax(1)[:, self.watch]

    def check(self, batch: Tensor) -> list[Outcome]:
        """An outcome for each item; its score is the probability."""
        return [self._outcome(p) for p in self.probability(batch).tolist()]

    def _outcome(self, p: float) -> Outcome:
        if not math.isfinite(p):
            raise ValueError("the classifier gives no finite probability")
        verdict = max(
            (verdict for verdict, limit in self.limits if p >= limit),
            key=lambda verdict: verdict.rank,
            default=Verdict.ALLOW,
        )
        return Outcome(verdict, "" if verdict is Verdict.ALLOW else "the classifier is sure", p)


def _spec(path: Path) -> dict[str, Any]:
    try:
        spec = table(str(path), tomllib.loads(path.read_text("utf-8")), _KEYS)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} is not TOML: {error}.") from error
    for key in _KEYS:
        if key not in spec:
            raise BadInput(f"{path} lacks {key}.")
    if spec["format"] != FORMAT:
        raise BadInput(f"{path} has format {spec['format']!r}; {FORMAT} is read.")
    shape = spec["shape"]
    if not isinstance(shape, list) or len(shape) not in (1, 3):
        raise BadInput(f"{path}: shape = {shape!r} is neither [C, H, W] nor [D].")
    for size in shape:
        _size("shape", size)
    classes = spec["classes"]
    if not isinstance(classes, list) or spec["watch"] not in strings("classes", classes):
        raise BadInput(f"{path}: watch = {spec['watch']!r} is none of the classes {classes!r}.")
    if not isinstance(spec["layers"], list):
        raise BadInput(f"{path}: layers = {spec['layers']!r} is not a list.")
    return spec


def _fill(module: nn.Module, path: Path) -> None:
    try:
        weights = load_file(str(path))
    except SafetensorError as error:
        raise BadInput(f"{path} is not safetensors ({error}). No other form is read.") from error
    for name, value in weights.items():
        if not value.is_floating_point() or not value.isfinite().all():
            raise BadInput(f"{path}: {name} is not made of finite real numbers.")
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        last = str(error).splitlines()[-1].strip()
        raise BadInput(f"{path} does not fit its layers: {last}") from error
