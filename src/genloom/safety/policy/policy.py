"""A server's policy: which filters look at what comes in and at what goes out.

    [[input]]
    use = "words"
    name = "slurs"
    file = "words.txt"
    verdict = "refuse"

    [[output]]
    use = "nearness"
    index = "digits.index.safetensors"
    models = ["digits"]

The strictest verdict wins; inputs can be flagged or refused, and only outputs held. All is
validated when the file is read, an unknown key is an error, and a filter that fails later refuses
(see `guard`).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from genloom.core import Items
from genloom.errors import BadInput, nearest
from genloom.safety.policy.classifier import Classifier
from genloom.safety.policy.guard import Guarded
from genloom.safety.policy.length import Length
from genloom.safety.policy.nearness import Near
from genloom.safety.policy.personal import Personal
from genloom.safety.policy.schema import build, strings, table
from genloom.safety.policy.verdict import Counters, Decision, Filter, Outcome, Verdict
from genloom.safety.policy.words import Words

FILTERS: dict[str, type[Any]] = {
    "words": Words,
    "personal": Personal,
    "length": Length,
    "nearness": Near,
    "classifier": Classifier,
}
SIDES = ("input", "output")
TIMEOUT_S, LONGEST = 2.0, 20_000
_TOP = ("longest", "timeout_s", *SIDES)
_COMMON = ("use", "name", "timeout_s", "models")


@final
@dataclass(frozen=True)
class Policy:
    """Filters of what comes in and of what goes out; without any, everything is allowed.

    Args:
        inputs_by: Filters of texts that come in.
        outputs_by: Filters of generated items.
        longest: Characters of a text that filters look at; a longer one is refused unseen.
        counters: Verdicts so far, as (filter, verdict) -> count.
    """

    inputs_by: tuple[Guarded, ...] = ()
    outputs_by: tuple[Guarded, ...] = ()
    longest: int = LONGEST
    counters: Counters = field(default_factory=Counters)

    @classmethod
    def read(cls, path: str | Path) -> Policy:
        """The policy of a TOML file.

        Raises:
            BadInput: There is no such file, or something in it is wrong; the message says where.
        """
        path = Path(path)
        try:
            top = table(str(path), tomllib.loads(path.read_text("utf-8")), _TOP)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise BadInput(f"{path} is not TOML: {error}.") from error
        except OSError as error:
            raise BadInput(f"the policy {path} cannot be read: {error.strerror}.") from error
        timeout_s = _seconds(str(path), top.get("timeout_s", TIMEOUT_S))
        longest = top.get("longest", LONGEST)
        if type(longest) is not int or longest < 1:
            raise BadInput(f"{path}: longest = {longest!r} must be a number of characters.")
        policy = cls(longest=longest)
        by: dict[str, tuple[Guarded, ...]] = {}
        names: set[str] = set()
        for side in SIDES:
            entries = top.get(side, [])
            if not isinstance(entries, list):
                raise BadInput(f"{path}: {side} is not a list. Write [[{side}]] over each filter.")
            by[side] = tuple(
                _guarded(f"{path}, {side} filter {i}", side, entry, path.parent, timeout_s, policy)
                for i, entry in enumerate(entries, start=1)
            )
            for guarded in by[side]:
                if guarded.name in names:
                    raise BadInput(f"{path}: two filters are called {guarded.name!r}. Name them.")
                names.add(guarded.name)
        return replace(policy, inputs_by=by["input"], outputs_by=by["output"])

    @property
    def models(self) -> set[str]:
        """Models that filters name; a server checks that it has them, for a typo guards nothing."""
        return {name for g in (*self.inputs_by, *self.outputs_by) for name in g.models}

    def fit(self, models: Mapping[str, Items]) -> list[str]:
        """Leave out the models that an index cannot judge, where it names none.

        Args:
            models: All that are served: name -> what it makes. Call it again when there are more.

        Returns:
            A line for each index that looks away from some.

        Raises:
            BadInput: An index names a model that it cannot judge.
        """
        told = []
        for guarded in self.outputs_by:
            if not isinstance(guarded.filter, Near):
                continue
            index = guarded.filter.index
            unfit = {name for name, items in models.items() if not index.suits(items)}
            said = f"the index of the filter {guarded.name!r}, {index},"
            for name in sorted(unfit.intersection(guarded.models)):
                raise BadInput(f"{said} is not of items like those of {name!r}, which it names.")
            guarded.without = frozenset() if guarded.models else frozenset(unfit)
            if guarded.without:
                told.append(f"{said} does not look at {', '.join(sorted(unfit))}.")
        return told

    def judges(self, kind: str, model: str) -> bool:
        """Whether a filter looks at items of this kind that the model makes."""
        return any(
            _applies(guarded, model) and kind in guarded.filter.reads for guarded in self.outputs_by
        )

    def inputs(self, text: str, model: str | None = None) -> Decision:
        """What is decided about a prompt or another text that comes in.

        Args:
            text: Untrusted.
            model: That it is for; filters that name models look at theirs only.
        """
        if len(text) > self.longest:
            self.counters.add("longest", [str(Verdict.REFUSE)])
            reason = f"longer than {self.longest} characters"
            outcome = Outcome(Verdict.REFUSE, reason, 1.0, (), "longest", "length", "text")
            return Decision((outcome,))
        looking = [g for g in self.inputs_by if _applies(g, model)]
        return Decision(tuple(g.check([text], "text")[0] for g in looking))

    def outputs(
        self,
        items: Tensor | Sequence[str],
        texts: Sequence[str] | None = None,
        model: str | None = None,
    ) -> list[Decision]:
        """What is decided about each generated item.

        A filter looks at what it can read: the items, or else the texts that come with them.

        Args:
            items: uint8 images (n, C, H, W), float points (n, D), or texts.
            texts: That go out with them, one each, such as captions.
            model: That made them; filters that name models look at theirs only.

        Raises:
            BadInput: The items are none of these, or the texts are not as many.
        """
        kind = _kind(items)
        if texts is not None and len(texts) != len(items):
            raise BadInput(f"there are {len(texts)} texts for {len(items)} items.")
        found: list[list[Outcome]] = [[] for _ in range(len(items))]
        for guarded in self.outputs_by if len(items) else ():
            if not _applies(guarded, model):
                continue
            for seen, name in ((items, kind), (texts, "text")):
                if seen is not None and name in guarded.filter.reads:
                    for outcomes, outcome in zip(found, guarded.check(seen, name), strict=True):
                        outcomes.append(outcome)
        return [Decision(tuple(outcomes)) for outcomes in found]

    def close(self) -> None:
        """End what filters have started."""
        for guarded in (*self.inputs_by, *self.outputs_by):
            close = getattr(guarded.filter, "close", None)
            if close is not None:
                close()


def _applies(guarded: Guarded, model: str | None) -> bool:
    """Whether a filter looks at a model's items; at those of an unnamed model all filters do."""
    if model in guarded.without:
        return False
    return model is None or not guarded.models or model in guarded.models


def _kind(items: Tensor | Sequence[str]) -> str:
    if not isinstance(items, Tensor):
        if all(isinstance(item, str) for item in items):
            return "text"
        raise BadInput("items are a tensor, or a list of texts.")
    if items.dtype == torch.uint8 and items.ndim == 4:
        return "image"
    if items.is_floating_point() and items.ndim == 2:
        return "points"
    raise BadInput(
        f"{items.dtype} items {tuple(items.shape)} are neither uint8 images (n, C, H, W) nor "
        "points (n, D)."
    )


def _guarded(
    where: str, side: str, entry: Any, folder: Path, timeout_s: float, policy: Policy
) -> Guarded:
    try:
        if not isinstance(entry, Mapping) or not isinstance(entry.get("use"), str):
            raise BadInput(f"it lacks `use`. Known: {', '.join(FILTERS)}.")
        use = entry["use"]
        if use not in FILTERS:
            raise BadInput(f"there is no filter {use!r}{nearest(use, FILTERS)}")
        given = {key: value for key, value in entry.items() if key not in _COMMON}
        found: Filter = build(FILTERS[use], folder, given)
        if side == "input" and "text" not in found.reads:
            raise BadInput(f"{use} reads {' and '.join(found.reads)}; inputs are texts.")
        if side == "input" and given.get("verdict") == Verdict.HOLD:
            raise BadInput("nobody reviews inputs: they can be flagged or refused only.")
        name = entry.get("name", use)
        models = entry.get("models", [])
        if not isinstance(name, str) or not name or not isinstance(models, list):
            raise BadInput(f"name = {name!r} must be a word, and models = {models!r} a list.")
        return Guarded(
            name,
            found,
            _seconds("it", entry.get("timeout_s", timeout_s)),
            policy.counters,
            tuple(strings("models", models)),
        )
    except BadInput as error:
        raise BadInput(f"{where}: {error}") from error


def _seconds(where: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.001 <= value <= 600:
        raise BadInput(f"{where}: timeout_s = {value!r} must be in [0.001, 600].")
    return float(value)
