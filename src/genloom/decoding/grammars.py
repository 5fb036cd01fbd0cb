"""Texts that match a regular expression or a JSON schema, by llguidance.

llguidance (Moskal et al., Microsoft, MIT licence) says which tokens may come next, from derivatives
of regular expressions and an Earley parser, in microseconds and without a table of states. What it
does not say is how far away an end is. So each state here carries a way to one: the cheap way that
most forms have, by the tokens that close things first, or else one that a search in breadth finds.
Both are sound and neither is complete: a token is refused where no way was found.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Sequence, Set
from functools import lru_cache
from typing import Any, NamedTuple, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genloom.decoding.constraints import too_short
from genloom.decoding.spelling import spelling
from genloom.errors import BadInput, MissingExtra, need
from genloom.lexicon import Lexicon, is_text

KINDS = ("regex", "json_schema")
LONGEST = 2**16  # characters of a regular expression or a schema
LAYERS, WIDTH, TRIED = 128, 4, 128  # of a search: its depth, states of a depth, tokens of a state
EFFORT = 2**15  # states that all searches of one text look at, after its beginning
ENDS = 4  # of a known way to an end: so many tokens are left out, or kept alone
FUEL, STATES = 200_000, 50_000  # of llguidance, which fails beyond them
CLOSING = b'"}]0123456789'  # what ends a JSON text soon: first of all a string
LATE = b"{[,:"  # what makes it longer
NEVER = b" \t\n\r\\"  # what may come for ever


@final
class Reader:
    """A matcher that goes forth and back: unlike a copy, it keeps what it has worked out.

    A matcher that fails, because a form takes too much work, fails from then on.

    Args:
        matcher: At the beginning of a text.
        useful: Tokens that were on ways to an end; a search looks at them first.
        effort: States that searches may still look at.
    """

    def __init__(self, matcher: Any, useful: frozenset[int] = frozenset(), effort: float = EFFORT):
        self.matcher, self.useful, self.effort = matcher, useful, effort
        self.tokens: tuple[int, ...] = ()

    def at(self, tokens: tuple[int, ...]) -> Any:
        """The matcher, after these tokens; each of them may come after those before it.

        Raises:
            BadInput: It has failed.
        """
        sizes, old = range(1, min(len(self.tokens), len(tokens)) + 1), self.tokens
        known = bisect_left(sizes, True, key=lambda size: old[:size] != tokens[:size])
        self.matcher.rollback(len(old) - known)
        self.matcher.consume_tokens(list(tokens[known:]))
        self.tokens = tokens
        return self.checked()

    def checked(self) -> Any:
        """The matcher where it is; raises as `at`."""
        if self.matcher.is_error():
            raise BadInput(f"the form takes too much work: {_line(self.matcher.get_error())}.")
        return self.matcher

    def mask(self, tokens: tuple[int, ...]) -> NDArray[np.uint8]:
        """Which tokens may come after these, 0 or more; raises as `at`."""
        found = np.frombuffer(self.at(tokens).compute_logit_bias(), np.uint8)
        self.checked()
        return found


class State(NamedTuple):
    """What has been read, and tokens that lead from there to an end."""

    reader: Reader
    tokens: tuple[int, ...]
    closing: tuple[int, ...]


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
        if not is_text(source):
            raise BadInput("the form is no text: it holds a surrogate, which is half a character.")
        tokenizer, spelled = _tokenizer(lexicon)
        self.vocab = lexicon.vocab
        self.soonest = np.array(sorted(range(self.vocab), key=lambda i: _lateness(spelled[i])))
        self.all = frozenset(range(self.vocab))
        self.single = np.array([len(one) == 1 for one in spelled])
        self.first = _matcher(tokenizer, kind, source)
        self.ways: dict[int, tuple[int, ...] | BadInput] = {}  # tokens left -> from the beginning

    def start(self, left: int, given: Sequence[int] = ()) -> State:
        """See `Constraint`; the way to an end is searched once. What is given has no form."""
        if left not in self.ways:
            self.ways[left] = self._way(left)
        way = self.ways[left]
        if isinstance(way, BadInput):
            raise BadInput(str(way))
        return State(Reader(self.first.deep_copy(), frozenset(way)), (), way)

    def _way(self, left: int) -> tuple[int, ...] | BadInput:
        try:
            reader = Reader(self.first.deep_copy(), effort=np.inf)
            way = self._closing(reader, (), left)
        except BadInput as error:
            return error
        return BadInput(too_short(left)) if way is None else way

    def allowed(self, state: State, left: int) -> Tensor:
        """See `Constraint`; where the matcher has failed, the known way to an end alone."""
        try:
            found = state.reader.mask(state.tokens)[: self.vocab].astype(bool)
        except BadInput:
            found = np.zeros(self.vocab, bool)
            found[list(state.closing[:1])] = True
        return torch.from_numpy(found)

    def advance(self, state: State, token: int, left: int) -> State | None:
        """See `Constraint`."""
        tokens = *state.tokens, token
        if state.closing[:1] == (token,):
            return State(state.reader, tokens, state.closing[1:])
        try:
            closing = self._rest(state.reader, tokens, state.closing[-left:] if left else ())
            if closing is None:
                closing = self._closing(state.reader, tokens, left)
        except BadInput:
            return None
        return None if closing is None else State(state.reader, tokens, closing)

    def nearest(self, state: State) -> int | None:
        """See `Constraint`."""
        return state.closing[0] if state.closing else None

    def complete(self, state: State) -> bool:
        """See `Constraint`."""
        try:
            return state.reader.at(state.tokens).is_accepting()
        except BadInput:
            return not state.closing

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
        """Of the tokens that were a way to an end before, a few or nearly all: often still one."""
        n = len(known)
        for size in (*range(min(ENDS, n + 1)), *range(max(ENDS, n + 1 - ENDS), n + 1)):
            rest = known[n - size :]
            fits = reader.at(tokens).validate_tokens(list(rest)) == len(rest)
            if fits and reader.at((*tokens, *rest)).is_accepting():
                return rest
        return None

    def _straight(
        self, reader: Reader, tokens: tuple[int, ...], left: int
    ) -> tuple[int, ...] | None:
        """Always by the token that ends a JSON text soonest."""
        first = len(tokens)
        while not reader.at(tokens).is_accepting():
            mask = reader.mask(tokens)[self.soonest]
            reader.effort -= 1
            if len(tokens) == first + left or reader.effort < 0 or not mask.any():
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
                for token in self._tried(reader.mask(path), known):
                    reader.effort -= 1
                    if reader.effort < 0:
                        return None
                    matcher.consume_token(token)
                    ended, may = matcher.is_accepting(), matcher.compute_bitmask()
                    reader.checked().rollback(1)
                    if ended:
                        return *path[first:], token
                    found.setdefault(may, (*path, token))
            layer = list(found.values())[:WIDTH]
        return None

    def _tried(self, mask: NDArray[np.uint8], known: Set[int]) -> list[int]:
        """Some of the tokens that may come next: where there are many, single bytes first."""
        if known is not self.all:
            return [token for token in sorted(known) if mask[token]]
        tokens = np.flatnonzero(mask[: self.vocab])
        if len(tokens) > TRIED:
            tokens = tokens[np.argsort(~self.single[tokens], kind="stable")][:TRIED]
        return tokens.tolist()


def grammar(lexicon: Lexicon, kind: str, source: str) -> Grammar:
    """The same, made or refused once; see `Grammar`."""
    found = _made(lexicon, kind, source)
    if isinstance(found, BadInput):
        raise BadInput(str(found))
    return found


@lru_cache(maxsize=64)
def _made(lexicon: Lexicon, kind: str, source: str) -> Grammar | BadInput:
    try:
        return Grammar(lexicon, kind, source)
    except MissingExtra:
        raise
    except BadInput as error:
        return error


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
    from llguidance import LLMatcher, LLParserLimits

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
    limits = LLParserLimits(initial_lexer_fuel=FUEL, max_lexer_states=STATES)
    matcher = LLMatcher(tokenizer, made, log_level=0, limits=limits)
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
