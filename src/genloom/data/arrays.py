"""Data sets that are arrays in a file: IDX (MNIST), CIFAR's binary records, NumPy's .npz."""

from __future__ import annotations

import gzip
import lzma
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genloom.data.decode import MAX_PIXELS
from genloom.data.findings import BROKEN, Damaged, Finding, one_line
from genloom.data.source import PART_NAMES, Entry, Source
from genloom.data.trees import check_ratio, inspect_zip, open_zip

CIFAR10 = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
_CIFAR_ROWS = {3073: 1, 3074: 2}  # bytes of a record -> bytes of its labels
_IMAGE_KEYS = ("x", "images", "image", "data", "imgs", "arr_0")
_LABEL_KEYS = ("y", "labels", "label", "targets", "target", "arr_1")


@dataclass
class Block:
    """Items of one file and one part: values (N, ...) and perhaps labels (N,)."""

    name: str
    values: np.ndarray
    labels: np.ndarray | None = None
    part: str = ""


def inflate(path: Path) -> bytes:
    """The content of a file, unpacked if it is gzip or xz.

    Raises:
        Damaged: It is cut short, corrupt, or unpacks to far more than its size.
    """
    with path.open("rb") as file:
        magic = file.read(6)
    opener = {b"\x1f\x8b": gzip.open, b"\xfd7": lzma.open}.get(magic[:2], open)
    content, packed = bytearray(), path.stat().st_size
    try:
        with opener(path, "rb") as stream:
            while chunk := stream.read(2**20):
                content += chunk
                if opener is not open:
                    check_ratio(path.name, len(content), packed)
    except EOFError:
        raise Damaged(path.name, "truncated", f"after {len(content)} bytes") from None
    except (zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise Damaged(path.name, "corrupt", str(error)) from None
    if not content:
        raise Damaged(path.name, "empty", "0 bytes")
    return bytes(content)


def parse_idx(data: bytes, name: str) -> np.ndarray:
    """An array of unsigned bytes: 00 00 08 ndim, sizes as big-endian uint32, values."""
    if len(data) < 4 or data[:2] != b"\0\0" or not 1 <= data[3] <= 4:
        raise Damaged(name, "corrupt", f"IDX starts with 00 00 08 ndim, not {data[:4].hex(' ')}")
    if data[2] != 8:
        raise Damaged(name, "unsupported", f"IDX type {data[2]:#04x}; 0x08 (unsigned byte) is read")
    start = 4 + 4 * data[3]
    if len(data) < start:
        raise Damaged(name, "truncated", "within the header")
    shape = struct.unpack(f">{data[3]}I", data[4:start])
    count = int(np.prod(shape, dtype=object))
    if count != len(data) - start:
        raise Damaged(name, "lying_header", f"{count} values announced, {len(data) - start} there")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def idx_source(images: Sequence[Path], labels: Sequence[Path]) -> Source:
    """IDX files; each file of labels goes with the file of pictures of like name."""
    blocks = []
    for path in images:
        values = parse_idx(inflate(path), path.name)
        if values.ndim != 3:
            raise Damaged(path.name, "unsupported", f"{values.ndim} axes; pictures have 3")
        mates = [other for other in labels if other.name == label_name(path.name)]
        y = parse_idx(inflate(mates[0]), mates[0].name) if mates else None
        blocks.append(Block(path.name, values, y, _part(path.name)))
    return _source("IDX", blocks)


def label_name(images: str) -> str:
    """`train-images-idx3-ubyte.gz` -> `train-labels-idx1-ubyte.gz`."""
    return images.replace("images", "labels").replace("idx3", "idx1")


def cifar_source(paths: Sequence[Path]) -> Source:
    """CIFAR-10 (3,073 bytes a record) or CIFAR-100 (3,074: coarse label, fine label)."""
    blocks, classes = [], CIFAR10
    for path in paths:
        data = inflate(path)
        sizes = [size for size in _CIFAR_ROWS if len(data) % size == 0]
        if not sizes:
            raise Damaged(path.name, "row_size", f"{len(data)} bytes, no multiple of 3073 or 3074")
        rows = np.frombuffer(data, np.uint8).reshape(-1, sizes[0])
        used = _CIFAR_ROWS[sizes[0]]
        values = rows[:, used:].reshape(-1, 3, 32, 32)
        y = rows[:, used - 1].astype(np.int64)
        if used == 2 or y.max() > 9:
            classes = tuple(f"{i:02d}" for i in range(100))
        blocks.append(Block(path.name, values, y, _part(path.name)))
    return _source("CIFAR binary", blocks, classes)


def npz_source(paths: Sequence[Path]) -> Source:
    """NumPy archives with x (and y), or with x_train, y_train, x_test, y_test and the like."""
    blocks: list[Block] = []
    names: tuple[str, ...] = ()
    for path in paths:
        arrays = _load_npz(path)
        for key in ("classes", "class_names", "label_names"):
            if key in arrays:
                names = tuple(str(name) for name in arrays.pop(key).ravel())
        blocks += _npz_blocks(arrays, path.name, _part(path.name) if len(paths) > 1 else "")
    return _source("npz", blocks, names)


def _load_npz(path: Path) -> dict[str, np.ndarray]:
    with open_zip(path) as file:
        inspect_zip(file, path)
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {key: np.asarray(archive[key]) for key in archive.files}
    except ValueError as error:
        pickled = "pickle" in str(error).lower()
        raise Damaged(path.name, "pickle" if pickled else "corrupt", one_line(error)) from None
    except BROKEN as error:
        raise Damaged(path.name, "corrupt", one_line(error)) from None


def _npz_blocks(arrays: dict[str, np.ndarray], name: str, part: str) -> list[Block]:
    """Match arrays to parts and roles by their names: `x_test`, `test_images`, `images` ..."""
    roles: dict[tuple[str, str], np.ndarray] = {}
    for key, array in arrays.items():
        words = [word for word in key.lower().replace("-", "_").split("_") if word]
        parts = [PART_NAMES[word] for word in words if word in PART_NAMES]
        rest = "_".join(word for word in words if word not in PART_NAMES)
        role = "x" if rest in _IMAGE_KEYS else "y" if rest in _LABEL_KEYS else ""
        if role:
            roles[(parts or [part])[0], role] = array
    blocks = [
        Block(f"{name}:{part}" if part else name, values, roles.get((part, "y")), part)
        for (part, role), values in roles.items()
        if role == "x"
    ]
    if not blocks:
        found = ", ".join(arrays)[:80] or "nothing"
        raise Damaged(name, "missing_column", f"x, images or x_train is needed; there is {found}")
    return blocks


def _part(name: str) -> str:
    """The part that a file name speaks of, or ""."""
    words = name.lower().replace("-", "_").replace(".", "_").split("_")
    return next((PART_NAMES[word] for word in words if word in PART_NAMES), "")


def _source(form: str, blocks: list[Block], names: tuple[str, ...] = ()) -> Source:
    points = all(b.values.ndim == 2 and b.values.dtype.kind == "f" for b in blocks)
    for block in blocks:
        block.values = _as_points(block) if points else _as_images(block)
        if block.labels is not None:
            block.labels = block.labels.reshape(-1)
            if len(block.labels) != len(block.values):
                reason = f"{len(block.labels)} labels for {len(block.values)} items"
                raise Damaged(block.name, "label_count", reason)
    parts = {block.part for block in blocks}
    if len(parts) == 1 or parts <= {"", "train"}:  # one file, whatever it is called: no parts
        for block in blocks:
            block.part = ""
    classes = _name_classes(blocks, names)

    def entries(findings: list[Finding]) -> Iterator[Entry]:
        for block in blocks:
            labels = block.labels if classes else None
            for i, value in enumerate(block.values):
                label = -1 if labels is None else int(labels[i])
                yield Entry(f"{block.name}[{i}]", value, label, "", block.part)

    return Source(form, "points" if points else "image", entries, classes=classes)


def _name_classes(blocks: list[Block], names: tuple[str, ...]) -> tuple[str, ...]:
    """Replace labels by indices into the sorted values, or into the names if those are given."""
    labelled = [block for block in blocks if block.labels is not None]
    if not labelled:
        return ()
    values = np.unique(np.concatenate([np.asarray(block.labels) for block in labelled]))
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise Damaged(labelled[0].name, "not_finite", "among the labels")
    if values.dtype.kind in "iu" and names and values[0] >= 0 and values[-1] < len(names):
        return names
    for block in labelled:
        block.labels = np.searchsorted(values, np.asarray(block.labels))
    return tuple(str(value) for value in values) if len(values) > 1 else ()


def _as_points(block: Block) -> np.ndarray:
    if not np.isfinite(block.values).all():
        raise Damaged(block.name, "not_finite", _where(~np.isfinite(block.values)))
    return block.values.astype(np.float32)


def _as_images(block: Block) -> np.ndarray:
    """(N, H, W), (N, H, W, C) or (N, C, H, W) of any usual type -> uint8 (N, C, H, W)."""
    x = block.values
    if x.ndim == 3:
        x = x[:, None]
    elif x.ndim == 4 and x.shape[-1] in (1, 3) and x.shape[1] not in (1, 3):
        x = x.transpose(0, 3, 1, 2)
    if x.ndim != 4 or x.shape[1] not in (1, 3) or 0 in x.shape:
        reason = (
            f"{x.dtype} of shape {block.values.shape}; pictures are (N, H, W), (N, H, W, C) or "
            "(N, C, H, W) with C 1 or 3, or floats (N, D) for points"
        )
        raise Damaged(block.name, "unsupported", reason)
    if x.shape[2] * x.shape[3] > MAX_PIXELS:
        raise Damaged(block.name, "too_many_pixels", f"{x.shape[3]}x{x.shape[2]}")
    return _as_bytes(x, block.name)


def _as_bytes(x: np.ndarray, name: str) -> np.ndarray:
    """Integers are 0 to 255 (or 16 bits), floats 0 to 1 or whole numbers 0 to 255."""
    if x.dtype == np.uint8:
        return x
    if x.dtype == bool:
        return x.astype(np.uint8) * 255
    if x.dtype.kind not in "iuf":
        raise Damaged(name, "unsupported", f"values of type {x.dtype}")
    if not np.isfinite(x).all():
        raise Damaged(name, "not_finite", _where(~np.isfinite(x)))
    low, high = x.min(), x.max()
    if x.dtype == np.uint16 and high > 255:
        return ((x.astype(np.int64) + 128) // 257).astype(np.uint8)
    if x.dtype.kind == "f" and low >= 0 and high <= 1:
        return np.round(x * 255).astype(np.uint8)
    if low < 0 or high > 255 or (x.dtype.kind == "f" and (x != np.round(x)).any()):
        reason = f"{x.dtype} from {low} to {high}; give 0..255, or floats from 0 to 1"
        raise Damaged(name, "out_of_range", reason)
    return x.astype(np.uint8)


def _where(mask: np.ndarray) -> str:
    first = tuple(int(i) for i in np.argwhere(mask)[0])
    return f"{int(mask.sum())} values, the first at {first}"
