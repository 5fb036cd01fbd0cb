"""Open a data set: from its pack if there is one, else decode it and pack it first."""

from __future__ import annotations

import os
from pathlib import Path

from genloom.data import cache as store
from genloom.data.augment import Augment
from genloom.data.builtin import BUILTIN, VERSIONS
from genloom.data.captions import reread
from genloom.data.dataset import Dataset, map_pack
from genloom.data.find import files_of, find, locate
from genloom.data.pack import ImportOptions, write_pack
from genloom.data.pairs import pair_source
from genloom.data.source import Source
from genloom.data.tables import hub_source
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
    captions: bool = False,
    caption_column: str | None = None,
    tokenizer: str | None = None,
    given: str = "none",
    cache: str | os.PathLike[str] | None = None,
) -> Dataset:
    """Open a data set, packed and split; the first time it is decoded, every file of it.

    Args:
        source: "digits", "glyphs", "factors", "moons", "rings", "gaussians", a path, or
            "hub:owner/name".
        size: Resize and crop pictures to size x size; None keeps them.
        channels: 1 makes pictures grey, 3 RGB; None keeps them.
        length: Characters of one item of text; 128 if not given.
        valid: Share of the validation part, where the files have none.
        test: Share of the test part, where the files have none.
        seed: Of the split.
        flip: Augmentation: mirror half of the pictures of a training batch.
        shift: Augmentation: move pictures by up to so many pixels.
        cutout: Augmentation: hide a square of this share of the side.
        captions: Texts that describe the items are a condition.
        caption_column: Of the table that holds them; several by commas, of which one is drawn at
            each visit, say "name_en,name_zh". None: the one that is called like a caption.
        tokenizer: A folder with tokenizer.json, whose word pieces captions are read by; None: they
            are read by letters.
        given: The picture that a model makes the item from: see `given.SOURCES`; "paired" and
            "unpaired" are for two folders, see `data.pairs`.
        cache: Folder for packs; else GENLOOM_CACHE, else ~/.cache/genloom.

    Raises:
        BadInput: No such data, or it cannot be used as asked for.
    """
    if tokenizer and not captions:
        raise BadInput("data.tokenizer reads captions: set data.captions=true, or leave it out.")
    augment = Augment(flip, shift, cutout)
    pairs = given if given != "none" and not kind_of(given).derived else None
    options = ImportOptions(size, channels, length, valid, test, seed, pairs, caption_column)
    folder = store.root(cache)
    ready: Source | None = None
    if str(source).startswith("hub:"):
        name = str(source)
        ready, content = hub_source(name.removeprefix("hub:"))
    elif str(source) in BUILTIN:
        name, content = str(source), f"{source} {VERSIONS[str(source)]}"
    else:
        path = locate(source)
        name = path.resolve().name
        base = path if path.is_dir() else path.parent
        content = store.hash_files(files_of(path), base, folder)
    fingerprint = store.key(content, options.named())
    pack = folder / "packs" / fingerprint
    if store.read_description(pack) is None:
        _remove(pack)
        reader = ready or _reader(source, options)
        store.write_aside(pack, lambda aside: write_pack(reader, name, options, aside))
    dataset = map_pack(pack, fingerprint, augment, captions=captions, given=given)
    if augment and dataset.items.kind != "image":
        raise BadInput(f"flip, shift and cutout are for images; {name} is {dataset.items.kind}.")
    return reread(dataset, tokenizer) if tokenizer else dataset


def _reader(source: str | os.PathLike[str], options: ImportOptions) -> Source:
    if options.pairs is None:
        return find(source, options.columns)
    if str(source) in BUILTIN:
        raise BadInput(f"{source} holds no pairs: given = {options.pairs!r} needs two folders.")
    return pair_source(locate(source), options.pairs == "paired", options.columns)


def _remove(pack: Path) -> None:
    """A pack that is damaged is made anew."""
    if pack.exists():
        for file in pack.iterdir():
            file.unlink()
        pack.rmdir()
