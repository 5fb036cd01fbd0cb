"""Pictures in tables: Parquet files, folders of Hugging Face `datasets`, and names on its hub."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from genloom.data.decode import decode
from genloom.data.findings import Damaged, Finding, one_line
from genloom.data.source import PART_NAMES, Entry, Source
from genloom.errors import BadInput, need

_IMAGE = ("image", "img", "images", "picture", "pixel_values")
_LABEL = ("label", "labels", "class", "target", "fine_label")
_CAPTION = ("text", "caption", "prompt", "description")


def parquet_source(paths: Sequence[Path]) -> Source:
    """Parquet files with a column of encoded pictures, as `datasets` writes them."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError:
        raise need("pyarrow", "hf", "Reading Parquet") from None

    def rows(path: Path, columns: list[str]) -> Iterator[dict[str, Any]]:
        try:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(256, columns=columns):
                    yield from batch.to_pylist()
        except (pa.ArrowException, OSError) as error:
            raise Damaged(path.name, "bad_parquet", one_line(error)) from None

    try:
        schema = pq.read_schema(paths[0])
    except (pa.ArrowException, OSError) as error:
        raise Damaged(paths[0].name, "bad_parquet", one_line(error)) from None
    image, label, caption = _columns(schema.names, paths[0].name)
    names = _declared_classes(schema.metadata or {}, label)
    chosen = [name for name in (image, label, caption) if name]
    classes = names
    if label and not names:
        classes = _seen_classes(row[label] for path in paths for row in rows(path, [label]))

    def entries(findings: list[Finding]) -> Iterator[Entry]:
        parts = {path: _part(path.stem) for path in paths}
        official = "test" in parts.values() or "valid" in parts.values()
        for path in paths:
            table = _entries(path.name, rows(path, chosen), (image, label, caption), classes)
            yield from table(parts[path] if official and len(paths) > 1 else "", findings)

    return Source("Parquet", "image", entries, classes=classes)


def dataset_source(path: Path) -> Source:
    """A folder that `datasets.Dataset.save_to_disk` wrote."""
    datasets = _datasets()
    try:
        loaded = datasets.load_from_disk(str(path))
    except (OSError, ValueError, KeyError) as error:
        raise Damaged(path.name, "corrupt", one_line(error)) from None
    return _of_datasets("datasets folder", loaded, path.name)


def hub_source(name: str) -> tuple[Source, str]:
    """`owner/name` or `owner/name:config`, fetched by `datasets`; and what names its content."""
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
    return _of_datasets("hub", loaded, name), json.dumps(prints, sort_keys=True)


def _datasets() -> Any:
    try:
        import datasets
    except ModuleNotFoundError:
        raise need("datasets", "hf", "Reading a Hugging Face data set") from None
    return datasets


def _of_datasets(form: str, loaded: Any, name: str) -> Source:
    """From a Dataset or a DatasetDict; pictures stay encoded, our own rules decode them."""
    datasets = _datasets()
    splits = dict(loaded) if isinstance(loaded, datasets.DatasetDict) else {"": loaded}
    first = next(iter(splits.values()))
    image, label, caption = _columns(first.column_names, name)
    if isinstance(first.features[image], datasets.Image):
        encoded = datasets.Image(decode=False)
        splits = {part: data.cast_column(image, encoded) for part, data in splits.items()}
    feature: Any = first.features[label] if label else None
    if isinstance(feature, datasets.ClassLabel):
        classes = tuple(feature.names or ())
    else:
        classes = _seen_classes(v for data in splits.values() if label for v in data[label])
    parts = {part: PART_NAMES.get(part.lower(), "") for part in splits}
    official = len(set(parts.values())) > 1

    def entries(findings: list[Finding]) -> Iterator[Entry]:
        for part, data in splits.items():
            table = _entries(part or name, iter(data), (image, label, caption), classes)
            yield from table(parts[part] if official else "", findings)

    return Source(form, "image", entries, classes=classes)


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


def _columns(names: Sequence[str], where: str) -> tuple[str, str | None, str | None]:
    found = [next((n for n in wanted if n in names), None) for wanted in (_IMAGE, _LABEL, _CAPTION)]
    image, label, caption = found
    if image is None:
        reason = f"one of {', '.join(_IMAGE)} is needed; there is {', '.join(names)[:80]}"
        raise Damaged(where, "missing_column", reason)
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


def _part(stem: str) -> str:
    return PART_NAMES.get(stem.lower().replace("_", "-").split("-")[0], "")
