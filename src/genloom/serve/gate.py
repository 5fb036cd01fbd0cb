"""Which models may be used: those whose verdict keeps the bounds that the operator wrote down.

A verdict counts for the weights that it names by their hash and for no others. Every bound is held
against the pessimistic end of the measure's interval: too few items do not pass for good ones.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, final

from genloom.errors import BadInput, nearest
from genloom.serve.judged import Verdict, Verdicts
from genloom.serve.problems import Problem

if TYPE_CHECKING:
    from genloom.serve.known import Known
    from genloom.serve.settings import Settings

State = Literal["none", "passed", "overridden", "waiting"]
KEYS = ("require", "max", "min")
RATIO = "_ratio"  # of a measure to the same measure between two halves of held-out data


@final
@dataclass(frozen=True)
class Rules:
    """What a verdict must say.

    Args:
        passed: It must be a pass.
        most: Measure -> what its upper end may be.
        least: Measure -> what its lower end must be.
    """

    passed: bool
    most: Mapping[str, float]
    least: Mapping[str, float]

    @classmethod
    def read(cls, path: Path) -> Rules:
        """From a TOML file, `[gate] require = "pass"`, `max.NAME = x`, `min.NAME = x`.

        Raises:
            BadInput: It is no such file, or it asks for nothing.
        """
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise BadInput(f"--gate {path} cannot be read: {error}.") from error
        gate = table.pop("gate", None)
        if not isinstance(gate, dict) or table:
            raise BadInput(f"--gate {path}: one table is read, [gate].")
        for name in gate:
            if name not in KEYS:
                raise BadInput(f"--gate {path}: [gate] has no {name!r}{nearest(name, KEYS)}")
        if gate.get("require", "pass") != "pass":
            raise BadInput(f'--gate {path}: require = {gate["require"]!r}: it can only be "pass".')
        most, least = (_bounds(path, name, gate.get(name, {})) for name in ("max", "min"))
        if not gate.get("require") and not most and not least:
            raise BadInput(f'--gate {path} asks for nothing: write require = "pass" or a bound.')
        return cls("require" in gate, most, least)

    def objections(self, verdict: Verdict | None) -> list[str]:
        """Why a model with this verdict does not pass, one line each; empty where it does."""
        if verdict is None:
            return ["it has no verdict of these weights"]
        found = []
        if self.passed and verdict.passed is None:
            found.append("its card has measures, but no verdict tells whether it passed")
        elif self.passed and not verdict.passed:
            found.append(f"its verdict is no pass: {'; '.join(verdict.failures) or 'no reason'}")
        for name, bound in self.most.items():
            found += _beyond(verdict, name, "high", bound)
        for name, bound in self.least.items():
            found += _beyond(verdict, name, "low", bound)
        return found


def _bounds(path: Path, key: str, given: Any) -> dict[str, float]:
    if not isinstance(given, dict):
        raise BadInput(f"--gate {path}: write {key}.MEASURE = NUMBER.")
    for name, bound in given.items():
        if type(bound) not in (int, float) or bound != bound:
            raise BadInput(f"--gate {path}: {key}.{name} = {bound!r} is not a number.")
    return {name: float(bound) for name, bound in given.items()}


def _beyond(verdict: Verdict, name: str, end: Literal["low", "high"], bound: float) -> list[str]:
    """The objection where this end of a measure's interval lies beyond the bound."""
    base = name.removesuffix(RATIO)
    estimate = verdict.estimates.get(name) or verdict.estimates.get(base)
    if estimate is None:
        known = [*verdict.estimates, *(each + RATIO for each in verdict.estimates)]
        return [f"its verdict has no measure {name!r}{nearest(name, known)}"]
    scale = 1.0
    if name not in verdict.estimates:
        scale = estimate.get("floor") or 0.0
        if scale <= 0:
            return [f"{base} has no floor above 0, so it has no ratio to it"]
    value, reached = estimate["value"] / scale, estimate[end] / scale
    if (reached <= bound) if end == "high" else (reached >= bound):
        return []
    word, side = ("at most", "upper") if end == "high" else ("at least", "lower")
    return [
        f"{name} is {value:.4g}, and the {side} end of its interval, {reached:.4g}, must be "
        f"{word} {bound:g}"
    ]


@dataclass(frozen=True)
class Standing:
    """How a model stood when it was used.

    Args:
        gate: "passed", "overridden", or "none" where there is no gate.
        report: SHA-256 of the verdict that was in force, or None.
    """

    gate: State
    report: str | None


@final
class Gate:
    """The gate of a server.

    Args:
        rules: None lets everything through.
        verdicts: Where verdicts are found.
        ungated: Models that are let through whatever their verdict says.
    """

    def __init__(
        self, rules: Rules | None, verdicts: Verdicts, ungated: frozenset[str] = frozenset()
    ):
        self.rules, self.verdicts, self.ungated = rules, verdicts, ungated

    @classmethod
    def of(cls, settings: Settings) -> Gate:
        """As a server's settings say.

        Raises:
            BadInput: The file has a mistake, or a model that is let through is not served.
        """
        for name in sorted(settings.ungated - set(settings.models)):
            raise BadInput(f"--ungated {name} is not served{nearest(name, settings.models)}")
        if settings.ungated and settings.gate is None:
            raise BadInput("--ungated needs a gate to pass by: --gate FILE.")
        rules = None if settings.gate is None else Rules.read(settings.gate)
        return cls(rules, Verdicts(settings.folder / "verdicts"), settings.ungated)

    def objections(self, known: Known) -> list[str]:
        """Why a model does not pass, one line each."""
        return [] if self.rules is None else self.rules.objections(self.verdicts.of(known))

    def state(self, known: Known) -> State:
        """Of a model, as its newest verdict says now."""
        if self.rules is None:
            return "none"
        if not self.objections(known):
            return "passed"
        return "overridden" if known.name in self.ungated else "waiting"

    def admit(self, known: Known) -> Standing:
        """How a model stands that is about to be used.

        Raises:
            Problem: 403, it has not passed.
        """
        state = self.state(known)
        if state == "waiting":
            why = "; ".join(self.objections(known))
            raise Problem(
                403,
                f"the model {known.name!r} has not passed this server's gate: {why}. Evaluate it "
                'first: POST /v1/jobs {"kind": "evaluate", "body": {"model": "NAME"}}.',
                code="gate_not_passed",
                param="model",
            )
        verdict = self.verdicts.of(known)
        return Standing(state, None if verdict is None else verdict.sha256)


def check_gate(gate: Gate, models: Iterable[Known]) -> None:
    """Let a server start only where each of its models passes; a line for each that does not.

    Raises:
        BadInput: One does not, and is not let through.
    """
    waiting = [known for known in models if gate.state(known) == "waiting"]
    for known in waiting:
        for line in gate.objections(known):
            print(f"genloom: {known.name} does not pass the gate: {line}.", file=sys.stderr)
    if waiting:
        names = ", ".join(known.name for known in waiting)
        raise BadInput(
            f"nothing is served, because of {names}. Judge it: genloom evaluate RUN; or serve it "
            "all the same: --ungated NAME."
        )
