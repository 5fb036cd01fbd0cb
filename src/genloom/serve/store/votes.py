"""Votes: which of two outputs somebody finds better, kept with the models that made them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import final

from sqlalchemy import Connection, RowMapping, delete, func, insert, select

from genloom.errors import BadInput
from genloom.serve.store.database import Store
from genloom.serve.store.errors import Held
from genloom.serve.store.ids import fresh
from genloom.serve.store.rows import owned
from genloom.serve.store.tables import records, votes

CHOICES = ("left", "right", "tie")


@dataclass(frozen=True)
class Tally:
    """The votes of one owner between two models.

    Args:
        a_wins: Votes for the first model.
        b_wins: Votes for the second.
        ties: Votes for neither.
    """

    a_wins: int
    b_wins: int
    ties: int

    @property
    def votes(self) -> int:
        """All of them."""
        return self.a_wins + self.b_wins + self.ties


@final
class Votes:
    """The votes of a store."""

    def __init__(self, store: Store):
        self.store = store

    def add(self, owner: str, left: str, right: str, choice: str) -> str:
        """Note a vote between two of the owner's outputs; its id.

        A second vote on the same two takes the place of the first, whichever was left.

        Args:
            owner: Who votes.
            left: Id of an output.
            right: Of another, by another model.
            choice: One of `CHOICES`.

        Raises:
            NotFound: There is no such output, or it is another's.
            Held: It may not be seen, so nobody can have compared it.
            BadInput: An unknown choice, or both are by one model.
        """
        if choice not in CHOICES:
            raise BadInput(f"choice = {choice[:40]!r}: it is {', '.join(CHOICES)}.")
        with self.store.writing(lock="votes") as connection:
            models = {one: _model(connection, owner, one) for one in (left, right)}
            if len(set(models.values())) < 2:
                raise BadInput("both outputs are by the same model: nothing would be compared.")
            first, second = sorted(models)
            winner = {"left": left, "right": right}.get(choice)
            values = {
                "id": fresh(),
                "owner": owner,
                "created": self.store.clock(),
                "first": first,
                "second": second,
                "first_model": models[first],
                "second_model": models[second],
                "winner": {first: "first", second: "second"}.get(winner or "", "tie"),
            }
            same = (votes.c.owner == owner, votes.c.first == first, votes.c.second == second)
            connection.execute(delete(votes).where(*same))
            connection.execute(insert(votes).values(values))
        return values["id"]

    def count(self, owner: str, a: str, b: str) -> Tally:
        """An owner's votes between the models with the weights' hashes a and b."""
        there, back = self._winners(owner, a, b), self._winners(owner, b, a)
        return Tally(
            there["first"] + back["second"],
            there["second"] + back["first"],
            there["tie"] + back["tie"],
        )

    def _winners(self, owner: str, first: str, second: str) -> Counter[str]:
        between = (
            votes.c.owner == owner,
            votes.c.first_model == first,
            votes.c.second_model == second,
        )
        query = select(votes.c.winner, func.count()).where(*between).group_by(votes.c.winner)
        with self.store.reading() as connection:
            return Counter({winner: count for winner, count in connection.execute(query)})


def _model(connection: Connection, owner: str, output: str) -> str:
    """The hash of the model that made an output which the owner has seen."""
    row: RowMapping = owned(connection, records, owner, output)
    if row["state"] not in ("free", "approved"):
        raise Held(f"the output {output} is {row['state']}: it cannot be compared.")
    return row["model"]
