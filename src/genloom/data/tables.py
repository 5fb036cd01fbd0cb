"""Pictures or documents in tables: Parquet, folders of `datasets`, and names on its hub.

A table with a column of pictures holds these, unless columns of text are named; any other holds
documents.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from genloom.data.arrow import Shard, arrow_documents
from genloom.data.decode import decode
from genloom.data.findings import Damaged, Finding, one_line
from genloom.data.source import PART_NAMES, Entry, Source
from genloom.errors import BadInput, need

_IMAGE = ("image", "img", "images", "picture", "pixel_values")
_LABEL = ("label", "labels", "class", "target", "fine_label")
_CAPTION = ("text", "caption", "prompt", "description")


def parquet_source(paths: Sequence[Path], texts: tuple[str, ...] = ()) -> Source:
    """Parquet files with a column of encoded pictures, as `datasets` writes them, or of text.

    Args:
        paths: The files.
        texts: Columns of text; see `documents.row_documents`.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError:
        raise need("pyarrow", "hf", "Reading Parquet") from None

    def batches(path: Path, columns: list[str]) -> Iterator[Any]:
        try:
            with pq.ParquetFile(path) as file:
                yield from file.iter_batches(256, columns=columns)
        except (pa.ArrowException, OSError) as error:
            raise Damaged(path.name, "bad_parquet", one_line(error)) from None

    def rows(path: Path, columns: list[str]) -> Iterator[dict[str, Any]]:
        for batch in batches(path, columns):
            yield from batch.to_pylist()

    def schema_of(path: Path) -> Any:
        try:
            return pq.read_schema(path)
        except (pa.ArrowException, OSError) as error:
            raise Damaged(path.name, "bad_parquet", one_line(error)) from None

    schema = schema_of(paths[0])
    parts = _parts(paths)
    if texts or not has_pictures(schema.names):
        shards = [
            Shard(path.name, parts[path], schema_of(path).names, partial(batches, path))
            for path in paths
        ]
        return _documents("Parquet of text", shards, texts)
    image, label, caption = _columns(schema.names)
    names = _declared_classes(schema.metadata or {}, label)
    chosen = [name for name in (image, label, caption) if name]
    classes = names
    if label and not names:
        classes = _seen_classes(row[label] for path in paths for row in rows(path, [label]))

    def entries(findings: list[Finding]) -> Iterator[Entry]:
        for path in paths:
            table = _entries(path.name, rows(path, chosen), (image, label, caption), classes)
            yield from table(parts[path], findings)

    return Source("Parquet", "image", entries, classes=classes)


def dataset_source(path: Path, texts: tuple[str, ...] = ()) -> Source:
    """A folder that `datasets.Dataset.save_to_disk` wrote; `texts` as in `parquet_source`."""
    datasets = _datasets()
    try:
        loaded = datasets.load_from_disk(str(path))
    except (OSError, ValueError, KeyError) as error:
        raise Damaged(path.name, "corrupt", one_line(error)) from None
    return _of_datasets("datasets folder", loaded, path.name, texts)


def hub_source(name: str, texts: tuple[str, ...] = ()) -> tuple[Source, str]:
    """`owner/name` or `owner/name:config`, fetched by `datasets`; and what names its content.

    Args:
        name: On the hub.
        texts: As in `parquet_source`.
    """
    datasets = _datasets()
    repository, _, config = name.partition(":")
    try:
        loaded = datasets.load_dataset(repository, config or None)
    except (OSError, ValueError) as error:  # not found, no network, no such config
        reason = one_line(error)
        raise BadInput(
            f"hub:{name} cannot be loaded: {reason}. Download it and give its path."
        ) from None
    prints = {part: data._fingerprint for part, data in loaded.items()}
    return _of_datasets("hub", loaded, name, texts), json.dumps(prints, sort_keys=True)


def _datasets() -> Any:
    try:
        import datasets
    except ModuleNotFoundError:
        raise need("datasets", "hf", "Reading a Hugging Face data set") from None
    return datasets


def _of_datasets(form: str, loaded: Any, name: str, texts: tuple[str, ...]) -> Source:
    """From a Dataset or a DatasetDict; pictures stay encoded, our own rules decode them."""
    datasets = _datasets()
    splits = dict(loaded) if isinstance(loaded, datasets.DatasetDict) else {"": loaded}
    first = next(iter(splits.values()))
    parts = {part: PART_NAMES.get(part.lower(), "") for part in splits}
    official = len(set(parts.values())) > 1
    if texts or not has_pictures(first.column_names):
        shards = [
            Shard(
                part or name,
                parts[part] if official else "",
                data.column_names,
                partial(_batches, data),
            )
            for part, data in splits.items()
        ]
        return _documents(f"{form} of text", shards, texts)
    image, label, caption = _columns(first.column_names)
    if isinstance(first.features[image], datasets.Image):
        encoded = datasets.Image(decode=False)
        splits = {part: data.cast_column(image, encoded) for part, data in splits.items()}
    feature: Any = first.features[label] if label else None
    if isinstance(feature, datasets.ClassLabel):
        classes = tuple(feature.names or ())
    else:
        classes = _seen_classes(v for data in splits.values() if label for v in data[label])

    def entries(findings: list[Finding]) -> Iterator[Entry]:
        for part, data in splits.items():
            table = _entries(part or name, iter(data), (image, label, caption), classes)
            yield from table(parts[part] if official else "", findings)

    return Source(form, "image", entries, classes=classes)


def _batches(data: Any, columns: list[str]) -> Iterator[Any]:
    """Of a Dataset, as it lies."""
    for table in data.select_columns(columns).with_format("arrow").iter(256):
        yield from table.to_batches()


def _documents(form: str, shards: Sequence[Shard], texts: tuple[str, ...]) -> Source:
    try:
        return arrow_documents(form, shards, texts)
    except BadInput as error:
        if texts:
            raise
        line = f"{error} Pictures would be in a column {' or '.join(_IMAGE)}."
        raise BadInput(line) from None


def has_pictures(names: Sequence[str]) -> bool:
    """Whether a table has a column of pictures."""
    return any(name in names for name in _IMAGE)


def _entries(
    name: str,
    rows: Iterable[dict[str, Any]],
    columns: tuple[str, str | None, str | None],
    classes: tuple[str, ...],
) -> Any:
    image, label, caption = columns
    index = {value: i for i, value in enumerate(classes)}

    def read(part: str, findings: list[Finding]) -> Iterator[Entry]:
        for i, row in enumerate(rows):
            place = f"{name}[{i}]"
            value = row[label] if label and classes else None
            text = str(row[caption] or "") if caption else ""
            try:
                pixels = decode(_encoded(row[image], place), place, findings)
            except Damaged as damaged:
                findings.append(damaged.finding)
                continue
            where = value if isinstance(value, int) and 0 <= value < len(classes) else None
            where = index.get(str(value), where if where is not None else -1)
            yield Entry(place, pixels, where, text, part)

    return read


def _encoded(cell: Any, place: str) -> bytes:
    data = cell.get("bytes") if isinstance(cell, dict) else cell
    if data is None and isinstance(cell, dict) and cell.get("path"):
        try:  # `datasets` stores only the path of local files, unless they were embedded
            return Path(cell["path"]).read_bytes()
        except OSError as error:
            raise Damaged(place, "missing_file", str(error)) from None
    if not isinstance(data, bytes):
        raise Damaged(place, "unsupported", f"a picture is bytes, not {type(cell).__name__}")
    return data


def _columns(names: Sequence[str]) -> tuple[str, str | None, str | None]:
    """Of pictures, labels and captions."""
    found = [next((n for n in wanted if n in names), None) for wanted in (_IMAGE, _LABEL, _CAPTION)]
    image, label, caption = found
    assert image is not None, names
    return image, label, caption


def _declared_classes(metadata: dict[bytes, bytes], label: str | None) -> tuple[str, ...]:
    """Class names as `datasets` keeps them in a Parquet file."""
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
        return tuple(str(name) for name in features[label]["names"])
    except (KeyError, TypeError, ValueError):
        return ()


def _seen_classes(values: Iterable[Any]) -> tuple[str, ...]:
    seen = {value for value in values if value is not None}
    order = sorted(seen, key=lambda v: (isinstance(v, str), v))
    return tuple(str(value) for value in order) if len(seen) > 1 else ()


def _parts(paths: Sequence[Path]) -> dict[Path, str]:
    """As the names of several files say, where one of them is held out."""
    parts = {path: _part(path.stem) for path in paths}
    official = len(paths) > 1 and not {"test", "valid"}.isdisjoint(parts.values())
    return parts if official else dict.fromkeys(paths, "")


def _part(stem: str) -> str:
    return PART_NAMES.get(stem.lower().replace("_", "-").split("-")[0], "")
