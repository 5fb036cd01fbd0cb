"""Codes of data are made under the same limits as samples."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from genloom.safety.policy import Decision, Outcome, Verdict
from genloom.serve.figures import Figures
from genloom.serve.making import Maker, software
from genloom.serve.problems import Problem
from genloom.serve.store import Keys, QuotaSpent, Store, TooFast


class Pool:
    """Encodes to zeros, and counts."""

    def __init__(self) -> None:
        self.asked = 0

    async def encode(self, model: str, items: torch.Tensor) -> torch.Tensor:
        self.asked += len(items)
        return torch.zeros(len(items), 2)


class Closed:
    """A gate that lets nobody through."""

    def admit(self, known: Any) -> None:
        raise Problem(403, "the model waits for a verdict.", code="gate_not_passed")


def maker(store: Store, gate: Any) -> tuple[Maker, Pool]:
    pool = Pool()
    rest: Any = SimpleNamespace()
    return Maker(pool, Keys(store, bytes(32)), rest, None, rest, gate, Figures()), pool  # pyright: ignore


def test_codes_count_as_samples(tmp_path):
    with Store(tmp_path / "store.db") as store:
        made, pool = maker(store, SimpleNamespace(admit=lambda known: None))
        key, _ = made.keys.make("ada", ["generate"], per_day=3)
        known: Any = SimpleNamespace(name="codes")
        asyncio.run(made.encode(key, known, torch.zeros(2, 1)))
        with pytest.raises(QuotaSpent):
            asyncio.run(made.encode(key, known, torch.zeros(2, 1)))
        assert pool.asked == 2


def test_a_model_that_waits_at_the_gate_gives_no_codes(tmp_path):
    with Store(tmp_path / "store.db") as store:
        made, pool = maker(store, Closed())
        key, _ = made.keys.make("ada", ["generate"])
        with pytest.raises(Problem, match="waits"):
            asyncio.run(made.encode(key, SimpleNamespace(name="codes"), torch.zeros(1, 1)))  # pyright: ignore
        assert pool.asked == 0


def test_records_name_the_libraries_that_made_a_file_and_no_others():
    def libraries(form: str, grammar: tuple[str, str] | None = None) -> set[str]:
        asked: Any = SimpleNamespace(form=form, grammar=grammar)
        return set(software({"genloom": "1", "seed": "3"}, asked)) - {"genloom", "torch"}

    assert libraries("txt") == libraries("png") == set()
    assert libraries("txt", ("regex", "a")) == {"llguidance"}
    assert libraries("txt", ("form", "valid")) == set()
    assert libraries("wav") == {"numpy"} and libraries("mid") == {"mido"}
    assert libraries("smi") == {"rdkit", "selfies"}


class Strict:
    """A policy that lets one prompt pass."""

    def inputs(self, text: str, model: str | None = None) -> Decision:
        passes = text == "a loom"
        return Decision() if passes else Decision((Outcome(Verdict.REFUSE, "not a loom"),))


def told(prompt: str, samples: int) -> Any:
    """A request as far as `Maker.admit` looks at it."""
    known = SimpleNamespace(name="pictures")
    return SimpleNamespace(known=known, told=prompt, seeds=tuple(range(samples)))


def test_a_prompt_that_is_refused_costs_a_request_and_no_samples(tmp_path):
    with Store(tmp_path / "store.db") as store:
        made, _ = maker(store, SimpleNamespace(admit=lambda known: None))
        made.policy = Strict()  # pyright: ignore
        key, _ = made.keys.make("ada", ["generate"], per_day=3, per_minute=2)
        with pytest.raises(Problem, match="not a loom") as caught:
            asyncio.run(made.admit(key, told("a bomb", 3)))
        assert caught.value.code == "content_policy_violation"
        asyncio.run(made.admit(key, told("a loom", 3)))
        with pytest.raises(TooFast):
            asyncio.run(made.admit(key, told("a bomb", 1)))
