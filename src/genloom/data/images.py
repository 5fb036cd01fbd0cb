"""A folder of pictures, or a zip archive of one: labels, captions and parts from names and tables.

- Subfolders are classes, if there are two or more and most pictures lie in them. The others, beside
  them, have no label.
- `train/`, `valid/` and `test/` at the top are the official parts.
- `metadata.jsonl`, `captions.csv` and the like give labels and captions; then subfolders are no
  classes where the tables name labels. `1.txt` beside `1.png` is its caption.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from genloom.data.decode import ENDINGS, RAW, decode, foreign, looks_like_image
from genloom.data.findings import Damaged, Finding
from genloom.data.metadata import NAMES, decode_text, read_tables
from genloom.data.source import PART_NAMES, Entry, Source
from genloom.data.trees import Folder, Tree, open_tree
from genloom.errors import BadInput

_PLAIN = (".txt", ".csv", ".jsonl")
_ARRAYS = (".npz", ".zip", ".parquet", ".bin", ".gz", ".xz", "-ubyte")
VERSION = 2  # of how names of pictures are read, for the fingerprint of data that it changes
Inspect = Callable[[Path], Finding]


@dataclass
class Layout:
    """What the names in a tree say.

    Args:
        images: Names of the pictures, sorted.
        labels: Name -> class.
        captions: Name -> text.
        parts: Name -> "train", "valid" or "test"; empty where there are none.
        beside: Pictures that lie beside folders of classes or parts.
        loose: Folders that are no classes, as most pictures lie beside them.
        foreign: Photos that are not read.
        strays: Files that are neither pictures nor about pictures.
        ignored: How many files were passed over: read-me, licence, thumbnails and the like.
    """

    images: list[str]
    labels: dict[str, str] = field(default_factory=dict)
    captions: dict[str, str] = field(default_factory=dict)
    parts: dict[str, str] = field(default_factory=dict)
    beside: list[str] = field(default_factory=list)
    loose: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    strays: list[str] = field(default_factory=list)
    ignored: int = 0

    @property
    def classes(self) -> tuple[str, ...]:
        """Sorted; none where there is only one."""
        names = sorted(set(self.labels.values()))
        return tuple(names) if len(names) > 1 else ()


def image_names(tree: Tree) -> list[str]:
    """The pictures in a tree, by their ending or else by their first bytes."""
    return [name for name in tree.names if _is_image(tree, name)]


def _is_image(tree: Tree, name: str) -> bool:
    ending = PurePosixPath(name).suffix.lower()
    if ending in ENDINGS:
        return True
    if ending in (*_PLAIN, *_ARRAYS, ".md", ".json") or foreign(name):
        return False
    return looks_like_image(tree.head(name, 16))


def lay_out(tree: Tree, findings: list[Finding], columns: tuple[str, ...] = ()) -> Layout:
    """Read names and tables, no picture; columns are those of captions that are asked for."""
    images = image_names(tree)
    layout = Layout(images)
    known = set(images)
    texts = {name for name in tree.names if name.endswith(".txt")}
    captions = {image: str(PurePosixPath(image).with_suffix(".txt")) for image in images}
    for name in tree.names:
        if name in known or PurePosixPath(name).name in NAMES:
            continue
        if foreign(name):
            layout.foreign.append(name)
        elif name.lower().endswith((*_PLAIN, *_ARRAYS)) and name not in captions.values():
            layout.strays.append(name)
        else:
            layout.ignored += 1
    _read_names(layout)
    for image, row in read_tables(tree, images, findings, columns=columns).items():
        if row.label is not None:
            layout.labels[image] = row.label
        layout.captions[image] = row.caption
    for image, text in captions.items():
        if text in texts:
            try:
                layout.captions[image] = decode_text(tree.read(text), text).strip()
            except Damaged as damaged:
                findings.append(damaged.finding)
    return layout


def _read_names(layout: Layout) -> None:
    """Parts and classes from the folders that the pictures lie in."""
    paths = {name: PurePosixPath(name).parent.parts for name in layout.images}
    while paths := _within(layout, paths):
        if len({folders[0] for folders in paths.values()}) > 1:
            break
        paths = {name: folders[1:] for name, folders in paths.items()}
    top = {folders[0].lower() for folders in paths.values()}
    if (
        len(top) > 1
        and "train" in {PART_NAMES.get(name) for name in top}
        and top <= set(PART_NAMES)
    ):
        layout.parts = {name: PART_NAMES[path[0].lower()] for name, path in paths.items()}
        paths = _within(layout, {name: folders[1:] for name, folders in paths.items()})
    layout.labels = {name: folders[0] for name, folders in paths.items()}


def _within(layout: Layout, paths: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Those of the paths that lead into folders; none of them where no more than half do."""
    within = {name: folders for name, folders in paths.items() if folders}
    if 2 * len(within) <= len(paths):
        layout.loose += sorted({folders[0] for folders in within.values()})
        return {}
    layout.beside += [name for name in paths if name not in within]
    return within


def image_source(path: Path, inspect: Inspect, columns: tuple[str, ...] = ()) -> Source:
    """Pictures in a folder or a zip archive.

    Args:
        path: Of the folder or the archive.
        inspect: Says what is to be said of a file of another kind among the pictures.
        columns: Of the tables, for captions; empty: what is called like one.
    """
    early: list[Finding] = []
    with open_tree(path) as tree:
        layout = lay_out(tree, early, columns)
        empty = tree.empty
    index = {name: i for i, name in enumerate(layout.classes)}
    if not layout.images and layout.foreign:
        few = ", ".join(layout.foreign[:3])
        raise BadInput(
            f"{path.name} holds {len(layout.foreign)} photos ({few}) and none that is read: "
            f"the first is {foreign(layout.foreign[0])}."
        )
    if not layout.images:
        raise Damaged(path.name, "empty_folder", "pictures are known by their ending or content")

    def entries(findings: list[Finding]) -> Iterator[Entry]:
        findings += early
        findings += [Finding(name, "empty_folder", "no file in it") for name in empty]
        findings += [Finding(name, "unsupported", foreign(name)) for name in layout.foreign]
        findings += _beside(layout)
        with open_tree(path) as tree:
            for name in layout.images:
                try:
                    pixels = decode(tree.read(name), name, findings)
                except Damaged as damaged:
                    findings.append(damaged.finding)
                    continue
                yield Entry(
                    name,
                    pixels,
                    index.get(layout.labels.get(name, ""), -1),
                    layout.captions.get(name, ""),
                    layout.parts.get(name, ""),
                )
            findings += _strays(tree, layout.strays, inspect)

    form = "folder of images" if path.is_dir() else "zip of images"
    source = Source(form, "image", entries, classes=layout.classes, columns=columns)
    if layout.ignored:
        source.notes.append(f"{layout.ignored} files that are no data were passed over")
    if len(layout.loose) > 1:
        few = ", ".join(layout.loose[:3])
        source.notes.append(f"subfolders ({few}) are no classes: most pictures lie beside them")
    unlabelled = len(layout.images) - len(layout.labels)
    if layout.classes and unlabelled:
        source.notes.append(f"{unlabelled} pictures have no label; theirs counts as hidden")
    return source


def _beside(layout: Layout) -> Iterator[Finding]:
    """Pictures whose place tells no class, or no part, where that of others does."""
    for name in layout.beside:
        if layout.classes and name not in layout.labels:
            yield Finding(name, "no_folder", "it has no label", kept=True)
        elif layout.parts and name not in layout.parts:
            yield Finding(name, "no_folder", "it is of no official part", kept=True)


def rules(path: Path) -> dict[str, int]:
    """For the fingerprint: by what rules pictures are read, where others are read than before.

    "avif" where there are some and Pillow can; "pictures", the `VERSION`, where raw photos that are
    TIFF were read, and where folders told nothing because some pictures lay beside them.
    """
    if not (path.is_dir() or zipfile.is_zipfile(path)):
        return {}
    with open_tree(path) as tree:
        known = {PurePosixPath(name).suffix.lower() for name in tree.names} & ENDINGS
        if not known and any(name.lower().endswith((*_PLAIN, *_ARRAYS)) for name in tree.names):
            return {}  # these are read, and no picture
        anew = _was_read(tree) or (bool(known) and _told_nothing(tree))
    return ({"avif": 1} if ".avif" in known else {}) | ({"pictures": VERSION} if anew else {})


def _was_read(tree: Tree) -> bool:
    """Whether a raw photo would be taken for a picture by its bytes."""
    raw = (name for name in tree.names if PurePosixPath(name).suffix.lower() in RAW)
    return any(looks_like_image(tree.head(name, 16)) for name in raw)


def _told_nothing(tree: Tree) -> bool:
    """Whether folders tell parts or labels that they would not tell if all had to be in them."""
    layout = Layout(image_names(tree))
    _read_names(layout)
    if 0 < len(layout.parts) < len(layout.images):
        return True
    if len(layout.labels) == len(layout.images):
        return False
    rows = read_tables(tree, layout.images, [])
    told = {name: row.label for name, row in rows.items() if row.label is not None}
    untold = layout.labels.keys() - told.keys()
    layout.labels |= told
    return bool(layout.classes and untold)


def _strays(tree: Tree, names: list[str], inspect: Inspect) -> Iterator[Finding]:
    """Plain text must be UTF-8; data files of other kinds are read, to say what is wrong."""
    for name in names:
        try:
            if name.lower().endswith(_PLAIN):
                decode_text(tree.read(name), name)
            elif isinstance(tree, Folder):
                found = inspect(tree.root / name)
                yield Finding(name, found.code, found.reason)
        except Damaged as damaged:
            yield Finding(name, damaged.finding.code, damaged.finding.reason)
