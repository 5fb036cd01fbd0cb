"""Write items as files that other programs open, with what they say of themselves."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from PIL import Image, PngImagePlugin
from torch import Tensor

from genloom.errors import BadInput


def to_picture(item: Tensor) -> Image.Image:
    """uint8 (1, H, W) or (3, H, W) -> grey or RGB."""
    array = item.cpu().numpy()
    return Image.fromarray(array[0] if len(array) == 1 else array.transpose(1, 2, 0))


def write_png(image: Image.Image, path: Path, metadata: Mapping) -> None:
    """A PNG whose text chunks are the metadata; values other than strings as JSON."""
    chunks = PngImagePlugin.PngInfo()
    for key, value in metadata.items():
        chunks.add_itxt(str(key), _plain(value))
    image.save(path, format="PNG", pnginfo=chunks)


def write_beside(path: Path, metadata: Mapping) -> None:
    """`sample.txt.json` beside `sample.txt`; nothing for no metadata."""
    if metadata:
        beside = path.with_name(path.name + ".json")
        beside.write_text(json.dumps(dict(metadata), ensure_ascii=False, indent=1), "utf-8")


def each(
    items: Tensor,
    paths: Sequence[Path],
    metadata: Sequence[Mapping],
    endings: tuple[str, ...],
    write: Callable[[Tensor, Path, Mapping], None],
) -> None:
    """Call write(item, path, metadata) for each, after a look at the names.

    Raises:
        BadInput: A path with another ending.
    """
    assert len(items) == len(paths) == len(metadata), (len(items), len(paths), len(metadata))
    for path in paths:
        if path.suffix.lower() not in endings:
            raise BadInput(f"{path} must end in {' or '.join(endings)}.")
    for item, path, told in zip(items, paths, metadata, strict=True):
        write(item, path, told)


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
