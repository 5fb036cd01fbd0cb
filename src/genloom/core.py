"""The contract: what a datum is, what a generative model is, and where its randomness comes from.

A datum is one tensor in a space. A model is a trainable distribution over a space: it yields its
losses, player by player, and it yields ever better samples. Everything else in genloom (training,
sampling, judging, serving) is written once, against this page.
"""

from __future__ import annotations

import inspect
import types
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import (
    Annotated,
    Any,
    ClassVar,
    Literal,
    Protocol,
    Self,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
    runtime_checkable,
)

import torch
from torch import Tensor, nn

from genloom import notes
from genloom.draws import Rng as Rng
from genloom.draws import Walk as Walk
from genloom.draws import like as like
from genloom.draws import normal as normal
from genloom.draws import normal_like as normal_like
from genloom.draws import rows as rows
from genloom.draws import stratified as stratified
from genloom.draws import uniform as uniform
from genloom.errors import BadInput, nearest
from genloom.lexicon import Lexicon

Condition = Mapping[str, Tensor]
"""Name -> (B, ...). A hidden row is -1 (integers) or NaN (reals); {} hides all."""

Terms = Mapping[str, Tensor]
"""Name -> scalar. The loss is their sum; each is logged under its name."""


@dataclass(frozen=True)
class Real:
    """Real grids of shape (C, *spatial); (C,) has no spatial axis, an image has two.

    Args:
        shape: Channels first, then 0 to 3 spatial axes.
        levels: Where data take only this many values, equally spaced over [-1, 1] (256 for
            8-bit images), else None. With levels, a likelihood is a probability mass.
    """

    shape: tuple[int, ...]
    levels: int | None = None


@dataclass(frozen=True)
class Tokens:
    """Integers in [0, vocab) of a shape; `Tokens((), 10)` is a label of ten classes.

    Args:
        shape: Of a datum.
        vocab: How many numbers there are.
        end: The one that closes a document, where a datum is a row of them: what follows an end
            does not depend on what lies before it, and ends that follow an end only fill up.
        roles: Runs of them that open a part of a document, where it is a talk; what follows the
            last of these runs is an answer.
        closed: Whether an answer has a closing of its own; else the next opening closes it.
    """

    shape: tuple[int, ...]
    vocab: int
    end: int | None = None
    roles: tuple[tuple[int, ...], ...] = ()
    closed: bool = False


Space = Real | Tokens


class Reader(Protocol):
    """How a text becomes numbers: a `Caption` reads letters, `data.captions.Pieces` word pieces.

    Numbers begin at 1; 0 fills up.
    """

    @property
    def length(self) -> int:
        """Numbers of a text."""
        ...

    @property
    def space(self) -> Tokens:
        """Of an encoded text."""
        ...

    def encode(self, text: str) -> Tensor:
        """Numbers, int64 (length,); what is too long is cut."""
        ...

    def unread(self, text: str) -> tuple[str, ...]:
        """What `encode` makes nothing of, in few words each; mostly nothing. See `notes.left_out`.

        Raises:
            BadInput: That is all of the text.
        """
        ...


@dataclass(frozen=True)
class Caption:
    """How a text becomes `length` numbers: i + 1 for letter i, 0 for others and to fill up."""

    alphabet: str
    length: int

    @property
    def space(self) -> Tokens:
        """Of an encoded caption."""
        return Tokens((self.length,), len(self.alphabet) + 1)

    @staticmethod
    def plain(text: str) -> str:
        """As it is read: compatible forms are one (NFKC), and without capitals."""
        return unicodedata.normalize("NFKC", text).lower()

    def encode(self, text: str) -> Tensor:
        """Numbers in [0, len(alphabet)], int64 (length,); what is too long is cut."""
        letters = self.plain(text)[: self.length].ljust(self.length, "\0")
        return torch.tensor([self.alphabet.find(letter) + 1 for letter in letters])

    def unread(self, text: str) -> tuple[str, ...]:
        """Its end, where it is too long, and letters that are not of the alphabet; see `Reader`."""
        plain = self.plain(text)
        strange = [letter for letter in plain[: self.length] if letter not in self.alphabet]
        known = set(plain[: self.length]).difference(strange, " ")
        return notes.left_out("letter", len(plain), self.length, len(strange), bool(known))


@dataclass(frozen=True)
class Items:
    """What a data set stores, one item at a time, as its cache and its files hold it.

    Args:
        kind: "image": uint8 (C, H, W); "points": float32 (D,); "text": integer ids (L,), which
            the end of a document fills up.
        shape: Of one item.
        classes: Names of the labels, in order; empty where there are none.
        lexicon: How a text becomes numbers; where it has an end, an item is a document.
        caption: How the texts that describe the items are read; None where there are none.
        given: The source picture that comes with each: a name in `given.SOURCES`, or "none".
    """

    kind: Literal["image", "points", "text"]
    shape: tuple[int, ...]
    classes: tuple[str, ...] = ()
    lexicon: Lexicon | None = None
    caption: Reader | None = None
    given: str = "none"

    @property
    def end(self) -> int | None:
        """The id that closes a document and fills it up; None where there is none."""
        return None if self.lexicon is None else self.lexicon.end

    @property
    def medium(self) -> str:
        """What people see of an item: its kind, or of text "music" and "molecule" too."""
        return self.kind if self.lexicon is None else self.lexicon.medium

    def read(self, item: Tensor) -> str:
        """The text of an item of kind "text", (L,)."""
        assert self.lexicon is not None
        return self.lexicon.decode(map(int, item))

    @property
    def conditions(self) -> dict[str, Space]:
        """The conditions that come with every item: "label", "caption", "source"."""
        from genloom import given  # it draws by `uniform`

        found = {"label": Tokens((), len(self.classes))} if self.classes else {}
        found |= {"caption": self.caption.space} if self.caption else {}
        return found | ({"source": given.space(self)} if self.given != "none" else {})


class Codec(ABC):
    """Between stored items and data in a space; batches on both sides, no learning."""

    kinds: ClassVar[tuple[str, ...]]  # of items that it can read, or their media
    suffix: ClassVar[str]  # of the files that it writes
    space: Space

    def __init__(self, items: Items):
        if items.kind not in self.kinds and items.medium not in self.kinds:
            raise BadInput(
                f"{type(self).__name__} reads {' or '.join(self.kinds)}, not {items.kind!r}."
            )
        self.items = items

    def check(self) -> None:  # noqa: B027
        """Asked before a training, and never to load what was trained.

        Raises:
            BadInput: Nothing can be learned of these items in this form.
        """

    def to(self, device: torch.device | str) -> Self:
        """Move what the codec computes with, where there is any; what it gives lies where x lay."""
        return self

    @abstractmethod
    def encode(self, items: Tensor) -> Tensor:
        """(B, *items.shape) as stored -> (B, *space.shape)."""

    @abstractmethod
    def decode(self, x: Tensor) -> Tensor:
        """(B, *space.shape), finite values -> (B, *items.shape), always valid items."""

    @abstractmethod
    def write(
        self, items: Tensor, paths: Sequence[Path], metadata: Sequence[Mapping[str, Any]]
    ) -> None:
        """Write item i to paths[i] in the usual file form, its metadata inside or beside it."""


def hide(cond: Condition, mask: Tensor) -> Condition:
    """Mark the rows where mask (B,) is true as missing, in every condition."""
    return {
        name: v.masked_fill(like(mask, v), float("nan") if v.is_floating_point() else -1)
        for name, v in cond.items()
    }


@dataclass(frozen=True)
class Step:
    """Where training stands: step `index` of `total`."""

    index: int
    total: int

    @property
    def fraction(self) -> float:
        """Share of the budget that is spent, in [0, 1)."""
        return self.index / max(self.total, 1)


END = Step(999_999, 1_000_000)  # of any run: where held-out losses are taken


class Generative(nn.Module, ABC):
    """A trainable distribution over a space, given conditions.

    A subclass is built as `Model(space, conditions, **options)` and implements `loss` (one
    objective) or `losses` (several players), and `sample_steps`.
    """

    spaces: ClassVar[tuple[type, ...]] = (Real,)  # kinds of space that the mathematics allows
    players: tuple[str, ...] = ("",)  # submodules with an optimizer each; "" is the whole model
    averaged: tuple[str, ...] = ("",)  # submodules that sampling needs: these have a moving average
    recommended: ClassVar[Mapping[str, Any]] = {}  # train options, where nobody says more
    needs: ClassVar[tuple[str, ...]] = ()  # conditions without which the family makes no sense

    def __init__(self, space: Space, conditions: Mapping[str, Space]):
        super().__init__()
        if not isinstance(space, self.spaces):
            wanted = " or ".join(kind.__name__ for kind in self.spaces)
            raise BadInput(
                f"{type(self).__name__} models {wanted}, not {space}. Choose another codec."
            )
        self.space, self.conditions = space, dict(conditions)

    @staticmethod
    def usual_net(space: Any) -> Callable[..., Any] | None:
        """The net that an option `net = None` stands for: one of the catalog, or a partial of one.

        Recipes and artifacts record it, so that a better default later leaves old models as they
        are. None where the family has no such option.
        """
        return None

    def prepare(self, x: Tensor, cond: Condition) -> None:
        """Measure, once before training, what the model must know of its data. x: (B, *shape)."""

    def loss(self, x: Tensor, cond: Condition) -> Terms:
        """The objective on a batch; enough for a model with one player."""
        raise NotImplementedError(f"{type(self).__name__} has neither loss nor losses")

    def losses(self, x: Tensor, cond: Condition, step: Step) -> Iterator[tuple[str, Terms]]:
        """Yield (player, terms) in order of play.

        The code after a yield runs after that player's update, with the updated weights.
        """
        yield "", self.loss(x, cond)

    def vitals(self) -> Mapping[str, Tensor]:
        """Figures of the last step that tell whether training is healthy (see `health`)."""
        return {}

    @abstractmethod
    def sample_steps(self, rng: Rng, cond: Condition) -> Iterator[Tensor]:
        """Yield ever better guesses at len(rng) samples; the last one is the sample.

        A subclass adds keyword-only options, annotated; they become flags, schema and sliders.
        """


@runtime_checkable
class Likelihood(Protocol):
    """A model that can say how likely a datum is."""

    likelihood: Literal["exact", "bound", "estimate"]

    def log_prob(self, x: Tensor, cond: Condition) -> Tensor:
        """Nats, (B,): of the mass if the space is discrete or has levels, else of the density."""
        ...


@runtime_checkable
class Latents(Protocol):
    """A model with a code for each datum."""

    def encode(self, x: Tensor, cond: Condition) -> Tensor:
        """(B, *space.shape) -> (B, ...)."""
        ...

    def decode(self, z: Tensor, cond: Condition) -> Tensor:
        """(B, ...) -> (B, *space.shape)."""
        ...


@runtime_checkable
class Edits(Protocol):
    """A model that can change a given datum."""

    def edit_steps(
        self,
        rng: Rng,
        cond: Condition,
        source: Tensor,
        mask: Tensor | None = None,
        *,
        strength: float = 1.0,
        **options: Any,
    ) -> Iterator[Tensor]:
        """Yield ever better guesses at changed data; the last one is the sample.

        Args:
            rng: One stream per sample.
            cond: Name -> (len(rng), ...).
            source: What is changed, (len(rng), *shape).
            mask: True where it may change, (len(rng), 1, *spatial); None: everywhere.
            strength: How much is drawn anew, in [0, 1]; 0 gives the source back.
            options: Those of `sample_steps`.
        """
        ...


@runtime_checkable
class Denoiser(Protocol):
    """A model that knows the mean of the clean datum behind a noisy one."""

    def denoise(self, x: Tensor, sigma: Tensor, cond: Condition) -> Tensor:
        """E[datum | datum + sigma * noise = x]; x: (B, *shape), sigma: (B,)."""
        ...


@dataclass(frozen=True)
class Interval:
    """Bounds of a numeric option, both inclusive."""

    ge: float | None = None
    le: float | None = None

    def hold(self, value: Any) -> bool:
        """Whether a number lies within; NaN never does."""
        above = self.ge is None or value >= self.ge
        return above and (self.le is None or value <= self.le)

    def __str__(self) -> str:
        if self.le is None:
            return f"at least {self.ge}"
        return f"at most {self.le}" if self.ge is None else f"in [{self.ge}, {self.le}]"


@dataclass(frozen=True)
class Option:
    """One keyword-only option of a function, as its signature declares it."""

    name: str
    type: type[Any]
    default: Any
    bounds: Interval = field(default_factory=Interval)
    choices: tuple[Any, ...] = ()
    optional: bool = False

    def check(self, value: Any) -> Any:
        """The value in the declared type.

        Raises:
            BadInput: The value is of another type, out of bounds, or none of the choices.
        """
        if value is None and self.optional:
            return None
        if self.type is float and type(value) is int:
            if value.bit_length() > 1023:
                raise BadInput(f"{self.name} is out of range: it must be {self.bounds}.")
            value = float(value)
        if type(value) is not self.type:
            raise BadInput(f"{self.name} = {value!r} is not {self.type.__name__}.")
        if self.choices and value not in self.choices:
            raise BadInput(
                f"{self.name} = {value!r} is unknown{nearest(str(value), map(str, self.choices))}"
            )
        if not self.bounds.hold(value):
            raise BadInput(f"{self.name} = {value} is out of range: it must be {self.bounds}.")
        return value


def options(function: Callable[..., Any]) -> dict[str, Option]:
    """The keyword-only options of a function, in order."""
    return dict(_options(getattr(function, "__func__", function)))


@cache
def _options(function: Callable[..., Any]) -> dict[str, Option]:
    hints = get_type_hints(function, include_extras=True)
    return {
        name: _option(name, hints[name], parameter.default)
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }


def _option(name: str, hint: Any, default: Any) -> Option:
    bounds, choices, optional = Interval(), (), False
    if get_origin(hint) is Annotated:
        hint, *notes = get_args(hint)
        bounds = next((note for note in notes if isinstance(note, Interval)), bounds)
    if get_origin(hint) in (Union, types.UnionType) and type(None) in get_args(hint):
        optional = True
        hint = next(a for a in get_args(hint) if a is not type(None))
    if get_origin(hint) is Literal:
        choices = get_args(hint)
        hint = choices[0].__class__
    return Option(name, cast(type[Any], hint), default, bounds, choices, optional)


def check_options(function: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The given options, checked against the function's signature.

    Raises:
        BadInput: An unknown name (with the nearest known one) or a value that does not fit.
    """
    known = options(function)
    for name in given:
        if name not in known:
            raise BadInput(f"there is no option {name!r}{nearest(name, known)}")
    return {name: known[name].check(value) for name, value in given.items()}
