"""Recipes: flat data in TOML that name a data set, a codec, a model and how to train it.

`use` names a component of the catalog, every other key is one of its keyword arguments, and an
inner table with `use` becomes a `functools.partial`. No inheritance, no interpolation, no
expressions. TOML knows no null: "none" is the value None where an option may be None.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import torch

from genloom import catalog, toml
from genloom.components import (
    Table,
    based,
    build,
    checked,
    completed,
    family,
    fresh,
    use_of,
    with_net,
)
from genloom.components import accepted as accepted
from genloom.core import Codec, Generative, Interval, Items, options
from genloom.errors import BadInput, nearest
from genloom.options import TrainOptions
from genloom.settings import BUDGETS as BUDGETS
from genloom.settings import Settings as Settings
from genloom.settings import override as override

if TYPE_CHECKING:
    from genloom.data import Dataset

SECTIONS = ("data", "codec", "model", "train")


@dataclass(frozen=True)
class Plan:
    """A recipe made real: what `train` needs.

    Args:
        recipe: As resolved: every value that holds is in it, the defaults too.
        dataset: Opened, decoded and split.
        codec: Between its items and the model's space.
        model: With fresh weights that depend on train.seed alone.
        options: Of the training run.
    """

    recipe: Table
    dataset: Dataset
    codec: Codec
    model: Generative
    options: TrainOptions

    @property
    def name(self) -> str:
        """What a progress line and a run folder are called."""
        return f"{self.dataset.name}-{self.recipe['model']['use']}".replace(":", "-")


def load_recipe(path: str | Path) -> Table:
    """Read a recipe file.

    Raises:
        BadInput: There is no such file, or it is not TOML.
    """
    path = Path(path)
    if not path.is_file():
        raise BadInput(f"there is no recipe {path}. `genloom train --help` shows how to name one.")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} is not TOML: {error}.") from error


def resolve(recipe: Mapping[str, Any], *, allow_code: bool = False) -> Plan:
    """Open the data, choose the codec, build the model and merge the train options.

    The train options are the defaults, then what the family recommends, then the recipe's.

    Raises:
        BadInput: Whatever in the recipe does not fit, in one line.
    """
    tables = sections(recipe)
    known, data = options(open_data), tables["data"]
    source = data.pop("source", None)
    if not isinstance(source, str):
        raise BadInput("the recipe names no data: give data.source, or --data PATH.")
    chosen = checked("data", known, data)
    model_table = based(tables["model"])
    target = catalog.find(use_of(model_table), "model", allow_code=allow_code)
    dataset: Dataset = open_data(source, **chosen)
    codec_table = tables["codec"] or choose_codec(family(target), dataset)
    codec = cast(Codec, build(codec_table, dataset.items, kind="codec", allow_code=allow_code))
    codec.check()
    seed = merged({}, tables["train"]).seed
    model = fresh(model_table, codec, dataset.items, seed, allow_code=allow_code)
    train = merged(model.recommended, tables["train"])
    full: Table = {
        "data": {"source": source, **{n: chosen.get(n, o.default) for n, o in known.items()}},
        "codec": {
            **completed(codec_table, allow_code=allow_code),
            **getattr(codec, "pins", {}),  # of another artifact that it is made of
        },
        "model": completed(
            with_net(model_table, codec.space, allow_code=allow_code), allow_code=allow_code
        ),
        "train": recorded(train),
    }
    return Plan(_without_none(full), dataset, codec, model, train)


def open_data(
    source: str,
    *,
    size: Annotated[int | None, Interval(ge=1)] = None,
    channels: Annotated[int | None, Interval(ge=1, le=3)] = None,
    length: Annotated[int | None, Interval(ge=1)] = None,
    valid: Annotated[float, Interval(ge=0, le=1)] = 0.1,
    test: Annotated[float, Interval(ge=0, le=1)] = 0.1,
    seed: int = 0,
    flip: bool = False,
    shift: Annotated[int, Interval(ge=0)] = 0,
    cutout: Annotated[float, Interval(ge=0, le=1)] = 0.0,
    transpose: Annotated[int, Interval(ge=0, le=12)] = 0,
    captions: bool = False,
    caption_column: str | None = None,
    text_column: str | None = None,
    document: Literal["line", "paragraph", "file"] | None = None,
    tokenizer: str | None = None,
    vocab: int | None = None,
    talks: Literal["chatml", "llama3", "marks", "zephyr", "plain"] | None = None,
    given: Literal["none", "grey", "small2", "small4", "masked", "paired", "unpaired"] = "none",
) -> Any:
    """The [data] table: `data.open_dataset` less its cache, which is the machine's own affair."""
    from genloom import data

    return data.open_dataset(
        source,
        size=size,
        channels=channels,
        length=length,
        valid=valid,
        test=test,
        seed=seed,
        flip=flip,
        shift=shift,
        cutout=cutout,
        transpose=transpose,
        captions=captions,
        caption_column=caption_column,
        text_column=text_column,
        document=document,
        tokenizer=tokenizer,
        vocab=vocab,
        talks=talks,
        given=given,
    )


def sections(recipe: Mapping[str, Any]) -> dict[str, Table]:
    """The tables of a recipe by name, empty where they are absent.

    Raises:
        BadInput: An unknown section, or one that is not a table.
    """
    for name, value in recipe.items():
        if name not in SECTIONS:
            raise BadInput(f"a recipe has no table {name!r}{nearest(name, SECTIONS)}")
        if not isinstance(value, Mapping):
            raise BadInput(f"{name} = {value!r} must be a table: [{name}], or {name} = {{ ... }}.")
    return {name: dict(cast(Table, recipe.get(name, {}))) for name in SECTIONS}


def merged(recommended: Mapping[str, Any], given: Mapping[str, Any]) -> TrainOptions:
    """Defaults, then what the family recommends, then what is given; one budget survives."""
    known = options(TrainOptions)
    base = checked("recommended", known, dict(recommended))
    chosen = checked("train", known, dict(given))
    if any(chosen.get(name) is not None for name in BUDGETS):
        base = {k: v for k, v in base.items() if k not in BUDGETS}
    return TrainOptions(**{**base, **chosen})


def recorded(train: TrainOptions) -> Table:
    """Every train option that holds; "none" where None is not the default."""
    found: Table = {}
    for name, option in options(TrainOptions).items():
        value = getattr(train, name)
        if value is not None:
            found[name] = value
        elif option.default is not None:
            found[name] = "none"
    return found


def changes(old: Table, new: Table) -> list[str]:
    """What differs between two resolved recipes, such as "train.steps (40, now 50)".

    What `old` does not name and `new` has at its default is an option that has come since.
    """
    return [
        change
        for section in SECTIONS
        for change in _changes(section, old.get(section, {}), new.get(section, {}))
    ]


def _changes(path: str, old: Table, new: Table) -> list[str]:
    known = {"data": options(open_data), "train": options(TrainOptions)}.get(path)
    if known is None:  # `new` is a plan's: what it names has been allowed
        known = accepted(catalog.find(use_of(new), allow_code=True))
    if old.get("use") != new.get("use"):
        return [f"{path}.use ({old.get('use')}, now {new.get('use')})"]
    found: list[str] = []
    for key in dict.fromkeys((*old, *new)):
        before, after = old.get(key), new.get(key)
        default = json.loads(json.dumps(known[key].default, default=str)) if key in known else None
        if before == after or (key not in old and after == default):
            continue
        if isinstance(before, dict) and isinstance(after, dict):
            found += _changes(f"{path}.{key}", cast(Table, before), cast(Table, after))
        else:
            found.append(f"{path}.{key} ({before}, now {after})")
    return found


def choose_codec(model: type, dataset: Dataset) -> Table:
    """The first codec of the catalog that reads the data and gives a space that the model allows.

    Raises:
        BadInput: There is none.
    """
    items = dataset.items
    allowed: tuple[type, ...] = getattr(model, "spaces", ())
    for name in catalog.names("codec"):
        codec = catalog.find(name, "codec")
        if items.kind not in codec.kinds:
            continue
        table: Table = {"use": name}
        if name == "pixels":
            table |= _grey_levels(dataset)
        space = build(table, items, kind="codec").space
        if isinstance(space, allowed):
            return table
    wanted = " or ".join(space.__name__ for space in allowed)
    hint = " `autoregressive` models text." if items.kind == "text" else ""
    if model.__module__.partition(".")[0] != __package__:
        hint = f" If {model.__name__} models more, name it: spaces = (Real, Tokens)."
    raise BadInput(
        f"{model.__name__} models {wanted}; no codec turns {items.kind} into that.{hint}"
    )


def _grey_levels(dataset: Dataset) -> Table:
    """Two levels for images that are almost black and white, 16 for tiny ones, else four.

    Almost: on average less than 1/20 of the range from the nearer of the two.
    """
    images = dataset.train.items[:512]
    nearer = torch.minimum(images, 255 - images)
    if bool(nearer.float().mean() < 255 / 20):
        return {"levels": 2}
    return {"levels": 16, "patch": 1} if images[0, 0].numel() <= 100 else {"levels": 4}


def _without_none(recipe: Table) -> Table:
    return {
        name: {k: v for k, v in cast(Table, table).items() if v is not None}
        for name, table in recipe.items()
    }


def dumps(recipe: Mapping[str, Any]) -> str:
    """A recipe as TOML text."""
    return toml.dumps(recipe)


def model_of(
    recipe: Mapping[str, Any], items: Items, *, allow_code: bool = False
) -> tuple[Codec, Generative]:
    """The codec and the model of a stored recipe, without its data.

    They are of the closed catalog only, unless whoever loads it allows other code.
    """
    tables = sections(recipe)
    codec = cast(Codec, build(tables["codec"], items, kind="codec", allow_code=allow_code))
    return codec, fresh(tables["model"], codec, items, 0, allow_code=allow_code)
