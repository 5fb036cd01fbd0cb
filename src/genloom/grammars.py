"""Texts that match a regular expression or a JSON schema, by llguidance.

llguidance (Moskal et al., Microsoft, MIT licence) says which tokens may come next, from derivatives
of regular expressions and an Earley parser, in microseconds and without a table of states. What it
does not say is how far away an end is. So each state here carries a way to one: the cheap way that
most forms have, by the tokens that close things first, or else one that a search in breadth finds.
Both are sound and neither is complete: a token is refused where no way was found.
"""

from __future__ import annotations

import json
from collections.abc import Set
from functools import lru_cache
from typing import Any, NamedTuple, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genloom.constraints import too_short
from genloom.errors import BadInput, need
from genloom.lexicon import Lexicon
from genloom.spelling import spelling

KINDS = ("regex", "json_schema")
LONGEST = 2**16  # characters of a regular expression or a schema
LAYERS, WIDTH, TRIED = 128, 4, 128  # of a search: its depth, states of a depth, tokens of a state
CLOSING = b'"}]0123456789'  # what ends a JSON text soon: first of all a string
LATE = b"{[,:"  # what makes it longer
NEVER = b" \t\n\r\\"  # what may come for ever


@final
class Reader:
    """A matcher that goes forth and back: unlike a copy, it keeps what it has worked out.

    `useful` are tokens that were on ways to an end; a search looks at them first.

    Args:
        matcher: At the beginning of a text.
    """

    def __init__(self, matcher: Any):
        self.matcher, self.tokens = matcher, ()
        self.useful: frozenset[int] = frozenset()

    def at(self, tokens: tuple[int, ...]) -> Any:
        """The matcher, after these tokens; each of them may come after those before it."""
        known = len(self.tokens)
        while self.tokens[:known] != tokens[:known]:
            known -= 1
        self.matcher.rollback(len(self.tokens) - known)
        self.matcher.consume_tokens(list(tokens[known:]))
        assert not self.matcher.is_error(), self.matcher.get_error()
        self.tokens = tokens
        return self.matcher


class State(NamedTuple):
    """What has been read, and tokens that lead from there to an end."""

    reader: Reader
    tokens: tuple[int, ...]
    closing: tuple[int, ...]

    @property
    def matcher(self) -> Any:
        """There."""
        return self.reader.at(self.tokens)


@final
class Grammar:
    """A `Constraint` over the tokens of a lexicon.

    Args:
        lexicon: Of the model.
        kind: One of `KINDS`.
        source: A regular expression of Rust's syntax, which the whole text matches, or a schema.

    Raises:
        BadInput: It is no such thing, holds what llguidance has not, or suits no such lexicon.
    """

    def __init__(self, lexicon: Lexicon, kind: str, source: str):
        if kind not in KINDS:
            raise BadInput(f"a form is one of {', '.join(KINDS)}, not {kind!r}.")
        if len(source) > LONGEST:
            raise BadInput(f"a form has at most {LONGEST} characters, not {len(source)}.")
        tokenizer, spelled = _tokenizer(lexicon)
        self.vocab = lexicon.vocab
        self.soonest = np.array(sorted(range(self.vocab), key=lambda i: _lateness(spelled[i])))
        self.all = frozenset(range(self.vocab))
        self.single = np.array([len(one) == 1 for one in spelled])
        self.first = _matcher(tokenizer, kind, source)

    def start(self, left: int) -> State:
        """See `Constraint`."""
        reader = Reader(self.first.deep_copy())
        closing = self._closing(reader, (), left)
        if closing is None:
            raise BadInput(too_short(left))
        return State(reader, (), closing)

    def allowed(self, state: State, left: int) -> Tensor:
        """See `Constraint`."""
        return torch.from_numpy(self._mask(state.matcher).astype(bool))

    def advance(self, state: State, token: int, left: int) -> State | None:
        """See `Constraint`."""
        tokens = *state.tokens, token
        if state.closing[:1] == (token,):
            return State(state.reader, tokens, state.closing[1:])
        closing = self._rest(state.reader, tokens, state.closing[-left:] if left else ())
        if closing is None:
            closing = self._closing(state.reader, tokens, left)
        return None if closing is None else State(state.reader, tokens, closing)

    def nearest(self, state: State) -> int | None:
        """See `Constraint`."""
        return state.closing[0] if state.closing else None

    def complete(self, state: State) -> bool:
        """See `Constraint`."""
        return state.matcher.is_accepting()

    def _mask(self, matcher: Any) -> NDArray[np.uint8]:
        """Which tokens may come next, 0 or more, (V,)."""
        return np.frombuffer(matcher.compute_logit_bias(), np.uint8)[: self.vocab]

    def _closing(
        self, reader: Reader, tokens: tuple[int, ...], left: int
    ) -> tuple[int, ...] | None:
        """At most `left` tokens that lead to an end; None where no such way was found."""
        found = self._straight(reader, tokens, left)
        if found is None:
            found = self._searched(reader, tokens, left, reader.useful)
        if found is None:
            found = self._searched(reader, tokens, left, self.all)
        reader.useful = reader.useful | set(found or ())
        return found

    def _rest(
        self, reader: Reader, tokens: tuple[int, ...], known: tuple[int, ...]
    ) -> tuple[int, ...] | None:
        """The last of the tokens that were a way to an end before: often they still are one."""
        for first in range(len(known), -1, -1):
            rest = known[first:]
            fits = reader.at(tokens).validate_tokens(list(rest)) == len(rest)
            if fits and reader.at((*tokens, *rest)).is_accepting():
                return rest
        return None

    def _straight(
        self, reader: Reader, tokens: tuple[int, ...], left: int
    ) -> tuple[int, ...] | None:
        """Always by the token that ends a JSON text soonest."""
        first = len(tokens)
        while not (matcher := reader.at(tokens)).is_accepting():
            mask = self._mask(matcher)[self.soonest]
            if len(tokens) == first + left or not mask.any():
                return None
            tokens = *tokens, int(self.soonest[mask.argmax()])
        return tokens[first:]

    def _searched(
        self, reader: Reader, tokens: tuple[int, ...], left: int, known: Set[int]
    ) -> tuple[int, ...] | None:
        """In breadth, by known tokens; of states that allow the same ones one is looked at."""
        layer, first = [tokens], len(tokens)
        for _ in range(min(left, LAYERS)):
            found: dict[bytes, tuple[int, ...]] = {}
            for path in layer:
                matcher = reader.at(path)
                for token in self._tried(matcher, known):
                    matcher.consume_token(token)
                    ended, may = matcher.is_accepting(), matcher.compute_bitmask()
                    matcher.rollback(1)
                    if ended:
                        return *path[first:], token
                    found.setdefault(may, (*path, token))
            layer = list(found.values())[:WIDTH]
        return None

    def _tried(self, matcher: Any, known: Set[int]) -> list[int]:
        """Some of the tokens that may come next: where there are many, single bytes first."""
        mask = self._mask(matcher)
        if known is not self.all:
            return [token for token in sorted(known) if mask[token]]
        tokens = np.flatnonzero(mask)
        if len(tokens) > TRIED:
            tokens = tokens[np.argsort(~self.single[tokens], kind="stable")][:TRIED]
        return tokens.tolist()


@lru_cache(maxsize=64)
def grammar(lexicon: Lexicon, kind: str, source: str) -> Grammar:
    """The same, made once; see `Grammar`."""
    return Grammar(lexicon, kind, source)


@lru_cache(maxsize=16)
def _tokenizer(lexicon: Lexicon) -> tuple[Any, list[bytes]]:
    """A lexicon as llguidance sees it, and the bytes of each token; a mark has none."""
    try:
        from llguidance import LLTokenizer, TokenizerWrapper
    except ImportError as error:
        raise need("llguidance", "grammar", "Texts of a given form") from error
    spelled = [*spelling(lexicon), *(b"" for _ in lexicon.marks)]
    told = _Told(lexicon, spelled)
    return LLTokenizer(TokenizerWrapper(told), n_vocab=len(told.tokens)), spelled


class _Told:
    """What llguidance asks of a tokenizer.

    It has all bytes as further tokens, for what the lexicon cannot write, and an end of its own.
    """

    bos_token_id = None

    def __init__(self, lexicon: Lexicon, spelled: list[bytes]):
        self.lexicon, self.eos_token_id = lexicon, len(spelled) + 256
        self.tokens = [*spelled, *(bytes([byte]) for byte in range(256)), b""]

    def __call__(self, text: str) -> list[int]:
        try:
            return self.lexicon.encode(text)
        except BadInput:
            return [self.eos_token_id - 256 + byte for byte in text.encode()]


def _matcher(tokenizer: Any, kind: str, source: str) -> Any:
    from llguidance import LLMatcher

    if kind == "json_schema":
        try:
            parsed = json.loads(source)
        except (ValueError, RecursionError) as error:
            raise BadInput(f"the schema is not JSON: {error}.") from None
        if not isinstance(parsed, dict):
            raise BadInput('a JSON schema is an object, such as {"type": "object"}.')
        made = LLMatcher.grammar_from_json_schema(source)
    else:
        made = LLMatcher.grammar_from_regex(source)
    matcher = LLMatcher(tokenizer, made, log_level=0)
    if matcher.is_error():
        what = "JSON schema" if kind == "json_schema" else "regular expression"
        raise BadInput(f"the {what} cannot be used: {_line(matcher.get_error())}.")
    return matcher


def _line(error: str) -> str:
    """Of llguidance's report the part that says what is wrong."""
    lines = [line.strip() for line in error.split("<")[0].splitlines()]
    named = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return (named or [line for line in lines if line] or ["it is too large"])[0].rstrip(".")


def _lateness(spelled: bytes) -> tuple[int, int]:
    """Where a token comes in the order of those that end a JSON text."""
    if len(spelled) == 1 and spelled in CLOSING:
        return CLOSING.index(spelled), 0
    rank = 3 if any(byte in NEVER or byte > 127 for byte in spelled) else 1
    return len(CLOSING) + max(rank, 2 * any(byte in LATE for byte in spelled)), -len(spelled)
