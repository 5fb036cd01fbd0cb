"""The form that texts were asked to have: a given one, or that of whatever the lexicon writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

from genloom.decoding import grammars
from genloom.decoding.constraints import Constraint
from genloom.errors import BadInput
from genloom.lexicon import Lexicon
from genloom.molecules.grammar import Smiles, selfies
from genloom.music.grammar import Events
from genloom.words import Words

FORM, VALID = "form", "valid"  # the kind and the source of a lexicon's own grammar
OWN: Mapping[str, Callable[[Sequence[str]], Constraint]] = {
    "events": Events,
    "selfies": selfies,
    "smiles": Smiles,
}
"""Name in `words.FORMS` -> the grammar of its words."""


def form_of(lexicon: Lexicon, kind: str, source: str) -> Constraint:
    """The form of texts, made once.

    Args:
        lexicon: Of the model.
        kind: FORM, or one of `grammars.KINDS`.
        source: A regular expression or a schema, see `grammars.Grammar`; of a "form" "valid": what
            the lexicon writes is a score or a molecule.

    Raises:
        BadInput: It is no such thing, or suits no such lexicon.
    """
    if kind != FORM:
        return grammars.grammar(lexicon, kind, source)
    if source != VALID:
        raise BadInput(f"a form is {VALID!r}, not {source[:40]!r}.")
    return own(lexicon)


@lru_cache(maxsize=16)
def own(lexicon: Lexicon) -> Constraint:
    """The grammar of a lexicon's own texts.

    Raises:
        BadInput: It has none.
    """
    if not isinstance(lexicon, Words):
        raise BadInput(
            "these texts have no grammar of their own, as music and molecules do: ask for a "
            "regular expression or a JSON schema."
        )
    return OWN[lexicon.form](lexicon.words)
