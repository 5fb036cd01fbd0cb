"""The ways in which a word may be disguised, each undone in a view of its own.

A view changes the folded text, and marks where. A match in it counts only where it covers such a
change, so that a view adds nothing to plain text: "till" is not "tiil" because i and l are one
letter to whoever writes 1 for both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby

from genloom.safety.policy.confusables import LEET as LEET_LETTERS
from genloom.safety.policy.folding import JOIN, LEET, LOOKS, REPEAT, UNSPACED, Folded, fold

_LETTER = r"[^\W_]"
_BETWEEN = r"(?: |_{1,3}| ?[^\w\s]{1,3} ?)"  # b a d, b_a_d, b.a.d, b - a - d
_SPELLED = re.compile(
    rf"(?<!{_LETTER}){_LETTER}"
    rf"(?:(?:{_BETWEEN}{_LETTER}(?!{_LETTER})){{2,}}|(?: {{2,4}}{_LETTER}(?!{_LETTER})){{2,}})"
)
# inside a word; no apostrophe (he'll is not hell), nothing that ends a phrase
_INSIDE = re.compile(
    rf"(?<={_LETTER})(?:_|[^\w\s,;:?!()\[\]{{}}\"'\u2018\u2019\u3001\u3002]){{1,3}}(?={_LETTER})"
)
_ENDS = re.compile(r"[!|+]+(?![\w@$!|+])")  # signs that end a word are no letters of it
_UNSPACED_GAP = re.compile(
    rf"(?<=[{UNSPACED}])[\s_*.~|/+\-\u00b7\u2022\u30fb]{{1,3}}(?=[{UNSPACED}])"
)


@dataclass(frozen=True)
class View:
    """A view of a text.

    Args:
        name: "plain", "looks", "leet", "spelled", "inside", "stretched", or two of them.
        folded: The text in it.
        need: Flags that a match must cover.
        shortest: Letters that a match must have.
        anywhere: Letters from which a match may lie within a longer run of spelled letters.
    """

    name: str
    folded: Folded
    need: int = 0
    shortest: int = 1
    anywhere: int | None = None


def views(text: str, *, leet: bool, spaced: bool) -> Iterator[View]:
    """All views in which something was changed, and the plain one."""
    yield View("plain", _collapsed(fold(text)))
    looks = fold(text, looks=True)
    made = [View("looks", _collapsed(looks), LOOKS)]
    bases = [("", looks, 0)]
    if leet:
        bases.append(("leet ", _leet(looks), LEET))
        made.append(View("leet", _collapsed(bases[1][1]), LEET))
    for name, base, need in bases if spaced else []:
        spelled = _collapsed(_without(base, _inner_gaps(base.text)))
        inside = _without(base, (m.span() for m in _INSIDE.finditer(base.text)))
        together = _without(base, (m.span() for m in _UNSPACED_GAP.finditer(base.text)))
        made.append(View(f"{name}spelled", spelled, need | JOIN, anywhere=5))
        made.append(View(f"{name}inside", _collapsed(inside), need | JOIN, shortest=4))
        made.append(View(f"{name}together", _collapsed(together), need | JOIN, shortest=2))
    if spaced:
        made.append(View("stretched", _squeezed(_collapsed(looks)), REPEAT))
    for view in made:
        if view.need & ~_all(view.folded.flags) == 0:
            yield view


def key_of(view: str) -> Callable[[str], str]:
    """What a listed word looks like in the view of that name."""
    if view == "plain":
        return lambda word: _collapsed(fold(word)).text.strip()
    steps: list[Callable[[Folded], Folded]] = [_collapsed]
    if "leet" in view:
        steps.append(_leet)
    if view.endswith(("spelled", "inside", "together")):
        steps.append(lambda f: _without(f, (m.span() for m in re.finditer(r"[\W_]+", f.text))))
    if view == "stretched":
        steps.append(_squeezed)

    def key(word: str) -> str:
        folded = fold(word, looks=True)
        for step in steps:
            folded = step(folded)
        return folded.text.strip()

    return key


def _all(flags: list[int]) -> int:
    found = 0
    for flag in set(flags):
        found |= flag
    return found


def _leet(f: Folded) -> Folded:
    """Digits and signs as letters; i becomes l, because 1 and ! may stand for either."""
    ends = {i for m in _ENDS.finditer(f.text) for i in range(*m.span())}
    letters, added = [], []
    for i, c in enumerate(f.text):
        letter = None if i in ends else LEET_LETTERS.get(c)
        added.append(LEET if letter else 0)
        letters.append((letter or c).replace("i", "l"))
    return f.pick("".join(letters), list(range(len(letters))), added)


def _inner_gaps(text: str) -> Iterator[tuple[int, int]]:
    """The gaps between letters that stand alone."""
    for run in _SPELLED.finditer(text):
        for gap in re.finditer(r"[\W_]+", run.group()):
            yield run.start() + gap.start(), run.start() + gap.end()


def _without(f: Folded, gaps: Iterator[tuple[int, int]]) -> Folded:
    """Gaps left out; the letter after a gap is marked JOIN."""
    out = set()
    after = set()
    for start, end in gaps:
        out.update(range(start, end))
        after.add(end)
    rows = [i for i in range(len(f.text)) if i not in out]
    return f.pick("".join(f.text[i] for i in rows), rows, [JOIN * (i in after) for i in rows])


def _collapsed(f: Folded) -> Folded:
    """One space for several."""
    rows = [i for i, c in enumerate(f.text) if c != " " or (i and f.text[i - 1] != " ")]
    return f.pick("".join(f.text[i] for i in rows), rows, [0] * len(rows))


def _squeezed(f: Folded) -> Folded:
    """One letter for several equal ones; three or more are marked REPEAT."""
    rows, added = [], []
    for _, run in groupby(range(len(f.text)), key=lambda i: f.text[i]):
        places = list(run)
        rows.append(places[0])
        added.append(REPEAT if len(places) > 2 and f.text[places[0]].isalpha() else 0)
    return f.pick("".join(f.text[i] for i in rows), rows, added)
