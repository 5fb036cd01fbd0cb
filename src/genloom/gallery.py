"""Samples as files, each with the record that makes it again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError
from torch import Tensor

from genloom import sampling
from genloom.artifact import Artifact, Label
from genloom.codecs import grid
from genloom.codecs.files import write_png
from genloom.errors import BadInput

ENDINGS = {"image": ".png", "points": ".csv", "text": ".txt"}


def write(
    artifact: Artifact,
    n: int,
    folder: str | Path,
    *,
    seed: int = 0,
    label: Label = None,
    batch: int = 64,
    with_grid: bool = True,
    **options: Any,
) -> tuple[list[Path], Tensor]:
    """Draw n samples into a folder: NNNNNN.png (named by seed) and grid.png; files and items.

    Args:
        artifact: To draw from.
        n: How many.
        folder: Made if it is not there.
        seed: Of the first; the files are named by their seeds.
        label: See `Artifact.condition`.
        batch: How many at a time.
        with_grid: Write one picture of all, where the items are pictures or points.
        options: Those of the family.
    """
    items = artifact.sample(n, seed=seed, label=label, batch=batch, **options)
    records = artifact.records(n, seed=seed, label=label, batch=batch, **options)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    ending = ENDINGS[artifact.items.kind]
    paths = [folder / f"{seed + i:06d}{ending}" for i in range(n)]
    artifact.codec.write(items, paths, records)
    if with_grid and n > 1:
        picture = grid(items, artifact.items)
        if picture is not None:
            paths.append(folder / "grid.png")
            about = {**records[0], "seed": f"{seed} to {seed + n - 1}", "label": str(label)}
            write_png(picture, paths[-1], about)
    return paths, items


def record_of(path: str | Path) -> dict[str, str]:
    """The record inside a PNG file that `write` made.

    Raises:
        BadInput: It is no such file.
    """
    try:
        with Image.open(path) as picture:
            record = {str(k): v for k, v in picture.info.items() if isinstance(v, str)}
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise BadInput(f"{path} is not a picture: {error}.") from error
    missing = [key for key in ("model", "seed", "options", "batch") if key not in record]
    if missing:
        raise BadInput(f"{path} holds no record of genloom: {', '.join(missing)} is not in it.")
    if not record["seed"].isdecimal():
        raise BadInput(f"{path} shows many samples. Name the file of one.")
    return record


def again(artifact: Artifact, record: Mapping[str, str]) -> Tensor:
    """The item of a record, drawn again in a batch of the same size: (1, *items.shape).

    Raises:
        BadInput: The record is of another model.
    """
    if record["model"] != artifact.hash:
        raise BadInput(
            f"the record is of model {record['model'][:12]}, not of {artifact.hash[:12]} "
            f"({artifact.path})."
        )
    rows, seed = int(record["batch"]), int(record["seed"])
    label = record.get("label") or None
    cond = artifact.condition([seed], None if label is None else int(label))
    full = {name: value.expand(rows, *value.shape[1:]) for name, value in cond.items()}
    options = json.loads(record["options"])
    *_, last = sampling.stream(artifact.model, [seed] * rows, full, **options)
    return artifact.codec.decode(last[:1].cpu())
