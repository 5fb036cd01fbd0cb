"""Open a data set: from its pack if there is one, else decode it and pack it first."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from genloom.core import Items
from genloom.data import cache as store
from genloom.data import images, music
from genloom.data.augment import Augment
from genloom.data.builtin import BUILTIN, VERSIONS
from genloom.data.captions import reread
from genloom.data.dataset import Dataset, map_pack
from genloom.data.documents import Unit
from genloom.data.find import files_of, find, locate
from genloom.data.molecules import molecules, usual_form
from genloom.data.pack import ImportOptions, write_pack
from genloom.data.pairs import pair_source
from genloom.data.reading import named_by
from genloom.data.shelving import LONGEST
from genloom.data.source import Source
from genloom.data.tables import hub_source
from genloom.data.transpose import Transpose
from genloom.errors import BadInput
from genloom.given import kind_of


def open_dataset(
    source: str | os.PathLike[str],
    *,
    size: int | None = None,
    channels: int | None = None,
    length: int | None = None,
    valid: float = 0.1,
    test: float = 0.1,
    seed: int = 0,
    flip: bool = False,
    shift: int = 0,
    cutout: float = 0.0,
    transpose: int = 0,
    captions: bool = False,
    caption_column: str | None = None,
    text_column: str | None = None,
    document: Unit | None = None,
    tokenizer: str | None = None,
    vocab: int | None = None,
    talks: str | None = None,
    given: str = "none",
    cache: str | os.PathLike[str] | None = None,
) -> Dataset:
    """Open a data set, packed and split; the first time it is decoded, every file of it.

    Args:
        source: "digits", "glyphs", "factors", "moons", "rings", "gaussians", a path, or
            "hub:owner/name".
        size: Resize and crop pictures to size x size; None keeps them.
        channels: 1 makes pictures grey, 3 RGB; None keeps them.
        length: Tokens of one item of a running text, which are its characters unless a tokenizer
            says more; 128 if not given. Of documents: as many as the longest needs, up to 512, if
            not given.
        valid: Share of the validation part, where the files have none.
        test: Share of the test part, where the files have none.
        seed: Of the split.
        flip: Augmentation: mirror half of the pictures of a training batch.
        shift: Augmentation: move pictures by up to so many pixels.
        cutout: Augmentation: hide a square of this share of the side.
        transpose: Augmentation: move pieces of music by up to so many keys.
        captions: Texts that describe the items are a condition.
        caption_column: Of the table that holds them; several by commas, of which one is drawn at
            each visit, say "name_en,name_zh". None: the one that is called like a caption.
        text_column: Of a table that holds text: one column, or two, such as "prompt,completion", of
            a question and its answer. None: those that are called so, or "messages".
        document: What a document of text files is: "line", "paragraph" or "file". None: one file
            is one running text, and where there are several each is a document.
        tokenizer: How texts, or else captions, are read: by "letters", by "bytes", by "bpe", which
            is learnt from the training part, or by the tokenizer.json of a folder; documents as
            molecules, by "smiles" or "selfies", see `data.molecules`. None: by letters; files *.smi
            and columns called smiles, by "smiles".
        vocab: Pieces of a "bpe"; 1,024 if not given.
        talks: How talks are written for the tokenizer of a checkpoint, a name in `prompts.PROMPTS`.
            None: as that is made for.
        given: The picture that a model makes the item from: see `given.SOURCES`; "paired" and
            "unpaired" are for two folders, see `data.pairs`.
        cache: Folder for packs; else GENLOOM_CACHE, else ~/.cache/genloom.

    Raises:
        BadInput: No such data, or it cannot be used as asked for.
    """
    augment = Augment(flip, shift, cutout)
    options = import_options(
        size=size,
        channels=channels,
        length=length,
        valid=valid,
        test=test,
        seed=seed,
        captions=captions,
        caption_column=caption_column,
        text_column=text_column,
        document=document,
        tokenizer=tokenizer,
        vocab=vocab,
        talks=talks,
        given=given,
    )
    folder = store.root(cache)
    ready: Source | None = None
    rules: dict[str, int] = {}  # that the files are read by, where they have changed
    if str(source).startswith("hub:"):
        name = str(source)
        ready, content = hub_source(name.removeprefix("hub:"), options.wanted.texts)
    elif str(source) in BUILTIN:
        name, content = str(source), f"{source} {VERSIONS[str(source)]}"
    else:
        path = locate(source)
        name = path.resolve().name
        base = path if path.is_dir() else path.parent
        files = files_of(path)
        content = store.hash_files(files, base, folder)
        rules = {"music": music.VERSION} if music.holds_midi(files) else {}
        rules |= images.rules(path)
        options = options if captions else usual(source, options)
    named = options.named() | rules
    if options.tokenizer:  # what it says, not where it lies
        named["tokenizer"] = named_by(options.tokenizer)
    fingerprint = store.key(content, named)
    pack = folder / "packs" / fingerprint
    if store.read_description(pack) is None:
        _remove(pack)
        reader = reader_of(source, options, ready)
        store.write_aside(pack, lambda aside: write_pack(reader, name, options, aside))
    dataset = map_pack(pack, fingerprint, augment, captions=captions, given=given)
    changed = augmentation(dataset.items, name, augment, transpose)
    dataset = replace(dataset, augment=changed)
    return reread(dataset, tokenizer) if tokenizer and captions else dataset


def import_options(
    *, given: str = "none", captions: bool = False, tokenizer: str | None = None, **others: Any
) -> ImportOptions:
    """How files become items.

    Args:
        given: As for `open_dataset`.
        captions: As for `open_dataset`.
        tokenizer: As for `open_dataset`: of captions where there are any, else of the items.
        others: Fields of `ImportOptions`.

    Raises:
        BadInput: There is no such source.
    """
    pairs = None if given == "none" or kind_of(given).derived else given
    return ImportOptions(pairs=pairs, tokenizer=None if captions else tokenizer, **others)


def augmentation(
    items: Items, name: str, augment: Augment, transpose: int
) -> Callable[[Tensor], Tensor]:
    """What is done to the items of every training batch.

    Raises:
        BadInput: It cannot be done to these.
    """
    if augment and items.kind != "image":
        raise BadInput(f"flip, shift and cutout are for images; {name} is {items.kind}.")
    return Transpose(items.lexicon, transpose) if transpose else augment


def usual(source: str | os.PathLike[str], options: ImportOptions) -> ImportOptions:
    """The same, with the tokenizer that a path speaks for where none is named."""
    if options.tokenizer or options.pairs:
        return options
    return replace(options, tokenizer=usual_form(locate(source), options.wanted.texts))


def reader_of(
    source: str | os.PathLike[str], options: ImportOptions, ready: Source | None = None
) -> Source:
    """Who reads a source; `ready` where that is known but for the rules of molecules."""
    reader = ready or _reader(source, options)
    return molecules(reader, options.tokenizer, options.length or LONGEST)


def _reader(source: str | os.PathLike[str], options: ImportOptions) -> Source:
    if options.pairs is None:
        return find(source, options.wanted)
    if str(source) in BUILTIN:
        raise BadInput(f"{source} holds no pairs: given = {options.pairs!r} needs two folders.")
    return pair_source(locate(source), options.pairs == "paired", options.wanted.captions)


def _remove(pack: Path) -> None:
    """A pack that is damaged is made anew."""
    if pack.exists():
        for file in pack.iterdir():
            file.unlink()
        pack.rmdir()
