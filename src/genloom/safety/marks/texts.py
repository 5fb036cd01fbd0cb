"""Which of several models' marks a text carries: their lexicons are tried one after the other."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

from genloom.errors import BadInput
from genloom.lexicon import Lexicon
from genloom.safety.marks.keyed import Score
from genloom.safety.marks.tokens import FPR, Green, detect

CONTEXT = 3  # characters that choose the green ones: 100 % of 200 texts of 200 were found


def tester(secret: bytes, lexicons: Collection[Lexicon | None]) -> Callable[[str], Score]:
    """A test of texts for the mark of a secret, for `verify.Keys`.

    Characters that a model does not know are left out before its test. The p-value and the rate of
    false finds hold for all tests together (Bonferroni).

    Args:
        secret: Of the installation.
        lexicons: Of the models, None for those of no texts; without any no text can be tested.
    """
    mark = Green(secret, context=CONTEXT)
    known = sorted({one for one in lexicons if one is not None}, key=repr)

    def test(text: str) -> Score:
        if not known:
            raise BadInput("no model of texts is known whose lexicon could be tried.")
        found = []
        for lexicon in known:
            tokens = lexicon.encode(lexicon.known(text))
            found.append(detect(tokens, mark, lexicon.vocab, fpr=FPR / len(known)))
        best = min(found, key=lambda score: score.p_value)
        return replace(best, p_value=min(1.0, best.p_value * len(known)))

    return test
