"""What a text may say, token by token, so that all of it has a form that was asked for.

A constraint looks ahead: it allows a token only where what follows can still come to an end within
the tokens that are left. So a text has its form even where it is as long as it may be.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, final

import torch
import torch.nn.functional as F
from torch import Tensor

from genloom.errors import BadInput

REFUSED = 8  # draws of one token that are refused, before the nearest end decides
BOUNDLESS = 2**40  # tokens that are left where nobody counts
WRONG_START = "no text of the form that is asked for begins as the prompt does."


class Constraint(Protocol):
    """A form of texts. Its states are values: none of its methods changes one.

    The end of a document is no token of the form; it may come where the text is `complete`.
    """

    def start(self, left: int, given: Sequence[int] = ()) -> Any:
        """The state before the first token.

        Args:
            left: Tokens that may be drawn.
            given: Those before them, of which a form of what is drawn alone knows nothing.

        Raises:
            BadInput: No text of at most `left` tokens has the form, as far as is known, or none
                begins as it is given.
        """
        ...

    def allowed(self, state: Any, left: int) -> Tensor:
        """Which tokens may come next, bool (at most V,), where `left` of at least 1 are left.

        On the CPU; the last tokens of the vocabulary, marks, may be missing: they may not come.
        """
        ...

    def advance(self, state: Any, token: int, left: int) -> Any | None:
        """The state after an allowed token; None: no end is known within the `left` after it."""
        ...

    def nearest(self, state: Any) -> int | None:
        """A token on the way to an end that is known; None where the text is complete."""
        ...

    def complete(self, state: Any) -> bool:
        """Whether the text may end here."""
        ...


@final
class Automaton:
    """A deterministic finite automaton over tokens, such as a lexicon's own grammar; exact.

    Args:
        table: The state after each state and token, integers (S, V); -1 where it may not come. The
            first state is 0.
        final: In which states a text may end, bool (S,).
    """

    def __init__(self, table: Tensor, final: Tensor):
        self.table, self.final = table.long(), final
        need = torch.where(final, 0.0, torch.inf)
        while True:  # the shortest ways to an end; each round finds those of one token more
            found = torch.minimum(need, 1 + self._after(need).amin(1))
            if torch.equal(found, need):
                break
            need = found
        self.need = self._after(need)  # tokens to an end, after each token: (S, V)
        self.least = need  # from each state: (S,)

    def _after(self, need: Tensor) -> Tensor:
        return torch.cat([need, need.new_tensor([torch.inf])])[self.table]  # -1 is the last one

    def start(self, left: int, given: Sequence[int] = ()) -> int:
        """See `Constraint`."""
        state = 0
        for token in given:
            state = int(self.table[state, token]) if token < self.table.shape[1] else -1
            if state < 0:
                raise BadInput(WRONG_START)
        if self.least[state] > left:
            raise BadInput(too_short(left))
        return state

    def allowed(self, state: int, left: int) -> Tensor:
        """See `Constraint`."""
        return self.need[state] < left

    def advance(self, state: int, token: int, left: int) -> int | None:
        """See `Constraint`."""
        return int(self.table[state, token]) if self.need[state, token] <= left else None

    def nearest(self, state: int) -> int | None:
        """See `Constraint`."""
        return None if self.final[state] else int(self.need[state].argmin())

    def complete(self, state: int) -> bool:
        """See `Constraint`."""
        return bool(self.final[state])


def too_short(left: int) -> str:
    """The message where a form takes more tokens than there are."""
    return (
        f"no text of the form that is asked for was found within the {left} tokens that are left: "
        "allow more tokens, or a form that the model's tokens can write."
    )


@final
class Strict:
    """A text under a constraint, as it is drawn.

    Args:
        constraint: Its form.
        left: Tokens that it may still draw.
        vocab: Tokens that there are, V.
        end: The token that closes a document; -1 where there is none.
        given: Tokens that it begins with.

    Raises:
        BadInput: See `Constraint.start`.
    """

    def __init__(
        self, constraint: Constraint, left: int, vocab: int, end: int, given: Sequence[int] = ()
    ):
        self.constraint, self.left, self.vocab, self.end = constraint, left, vocab, end
        self.state = constraint.start(left, given)
        self.over = False

    @property
    def closed(self) -> bool:
        """Whether the text has its form, and none that is longer begins with it."""
        more = self.constraint.allowed(self.state, BOUNDLESS)
        return self.constraint.complete(self.state) and not bool(more.any())

    def allowed(self) -> Tensor | None:
        """Which tokens may come next, bool (V,); None where the text is over, and then it is so."""
        if self.left < 1:
            self.over = True
        if self.over:
            return None
        found = self.constraint.allowed(self.state, self.left)
        found = F.pad(found, (0, self.vocab - len(found)))
        if self.end >= 0:
            found[self.end] = self.constraint.complete(self.state)
        self.over = not bool(found.any())
        return None if self.over else found

    def take(self, token: int, again: Callable[[int], int | None]) -> int | None:
        """Go on with a token that is allowed, or with another one where no end is known after it.

        Args:
            token: As it was drawn.
            again: Draws once more, without a token that was refused; None if there is no other.

        Returns:
            The token; None where there is none any more, and the text is over.
        """
        next: int | None = token
        for _ in range(REFUSED):
            if next is None or self._took(next):
                break
            next = again(next)
        else:
            next = None
        if next is None:
            next = self.constraint.nearest(self.state)
            self.over = next is None or not self._took(next)
        return next

    def _took(self, token: int) -> bool:
        self.over = token == self.end
        if self.over:
            return True
        state = self.constraint.advance(self.state, token, self.left - 1)
        if state is not None:
            self.state, self.left = state, self.left - 1
        return state is not None
