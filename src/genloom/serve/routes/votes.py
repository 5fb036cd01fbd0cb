"""Blind votes: which of two outputs is better, and which model is preferred."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel

from genloom.metrics.estimate import wilson
from genloom.serve.guard import allow
from genloom.serve.known import named
from genloom.serve.problems import Problem
from genloom.serve.services import services

router = APIRouter(prefix="/v1/votes")


class Vote(BaseModel, strict=True, extra="forbid"):
    """Two outputs, and which one is better; the voter need not know who made them."""

    left: str
    right: str
    choice: Literal["left", "right", "tie"]


@router.post("")
def add(request: Request, vote: Vote) -> dict[str, str]:
    """Note a vote; one on the same two outputs takes the place of the one before."""
    caller, parts = allow(request, "generate"), services(request)
    return {"id": parts.votes.add(caller.id, vote.left, vote.right, vote.choice)}


@router.get("")
def tally(request: Request, a: str, b: str) -> dict[str, Any]:
    """The caller's votes between two models, and the share of the first with its interval."""
    caller, parts = allow(request, "generate"), services(request)
    first, second = named(parts.models, a), named(parts.models, b)
    if first.hash == second.hash:
        raise Problem(400, f"a and b are the same model: {a[:100]!r}.", param="b")
    found = parts.votes.count(caller.id, first.hash, second.hash)
    decided = found.a_wins + found.b_wins
    low, high = wilson(found.a_wins, decided) if decided else (None, None)
    return {
        "a": first.name,
        "b": second.name,
        "votes": found.votes,
        "a_wins": found.a_wins,
        "b_wins": found.b_wins,
        "ties": found.ties,
        "preference": found.a_wins / decided if decided else None,
        "low": low,
        "high": high,
    }
