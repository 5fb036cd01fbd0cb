"""How plain text is read: by letters, by bytes, by pieces that are learnt, or as a folder says."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from genloom.data import molecules
from genloom.data.metadata import decode_text
from genloom.data.split import digest
from genloom.errors import BadInput
from genloom.lexicon import Bytes, Lexicon, Pieces, learn_pieces, told_of

USUAL_PIECES = 1024
LETTERS, BYTES, LEARNT = "letters", "bytes", "bpe"
RULES, CARD = "tokenizer.json", "card.json"


def named_by(reads: str) -> str:
    """What a fingerprint says of how texts are read: a name, or the hash of a tokenizer."""
    if reads in molecules.FORMS:
        return f"{reads} {molecules.VERSION}"
    if reads in (LETTERS, BYTES, LEARNT):
        return reads
    native = _native(reads)
    said = _rules(reads) if native is None else json.dumps(told_of(native))
    return digest(said.encode()).hex()


def check_talks(talks: str | None, reads: str | None) -> None:
    """Raises BadInput for a form of talks where no tokenizer of a checkpoint writes them."""
    if talks is not None and _native(str(reads), talks) is None:
        raise BadInput(
            f"talks = {talks!r} is a form for checkpoints of others: set data.tokenizer to the "
            "folder of one, or leave it out."
        )


def read_by(
    reads: str,
    texts: Iterable[str],
    vocab: int | None,
    talks: str | None,
    marks: tuple[str, ...] = (),
) -> Lexicon:
    """How texts become numbers, unless by letters.

    Args:
        reads: "bytes", "bpe", or a folder with a tokenizer.json; a checkpoint (see `hub.causal`)
            brings its own marks, and a run its whole lexicon.
        texts: Those that a BPE is learnt from; else they are not looked at.
        vocab: Pieces of a BPE that is learnt.
        talks: How talks are written for a checkpoint; None: as its tokenizer is made for.
        marks: See `Lexicon`.

    Raises:
        BadInput: There is no such tokenizer.
    """
    if reads == BYTES:
        return Bytes(marks=marks)
    if reads == LEARNT:
        return Pieces(learn_pieces(texts, vocab or USUAL_PIECES), marks=marks)
    return _native(reads, talks) or Pieces(_rules(reads), marks=marks)


def _native(folder: str, talks: str | None = None) -> Lexicon | None:
    """The lexicon of a checkpoint, or of a run or model of ours; None of any other folder."""
    from genloom import artifact

    path = Path(folder).expanduser()
    if artifact.is_checkpoint(path):
        from genloom.hub import causal

        return causal.lexicon(path, talks)
    trained = any((path / card).is_file() for card in (CARD, f"model/{CARD}"))
    return artifact.lexicon_of(path) if trained and talks is None else None


def _rules(folder: str) -> str:
    """The tokenizer of a folder.

    Raises:
        BadInput: It has none.
    """
    path = Path(folder).expanduser() / RULES
    if not path.is_file():
        raise BadInput(
            f"data.tokenizer = {folder!r} is neither {LETTERS}, {BYTES}, {LEARNT} nor one of "
            f"{', '.join(molecules.FORMS)}, nor a run, nor a folder with a {RULES}."
        )
    return decode_text(path.read_bytes(), RULES)
