"""Recipes: flat data in TOML that name a data set, a codec, a model and how to train it.

`use` names a component of the catalog, every other key is one of its keyword arguments, and an
inner table with `use` becomes a `functools.partial`. No inheritance, no interpolation, no
expressions. TOML knows no null: "none" is the value None where an option may be None.
"""

from __future__ import annotations

import functools
import inspect
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

import torch

from genloom import catalog, toml
from genloom.core import Codec, Generative, Interval, Items, Option, Space, options
from genloom.errors import BadInput, nearest
from genloom.nets.embed import ConditionGrid, ConditionSequence, way
from genloom.nets.text import FrozenRows
from genloom.options import TrainOptions

if TYPE_CHECKING:
    from genloom.data import Dataset

Table = dict[str, Any]
SECTIONS = ("data", "codec", "model", "train")
BUDGETS = ("steps", "images", "minutes")
GIVE = {  # how data get a condition
    "source": "--set data.given=paired (or unpaired, grey, small2, small4, masked).",
    "caption": "--set data.captions=true",
    "label": "put the files of each class into a folder of their own.",
}


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


def override(recipe: Table, settings: Iterable[str]) -> Table:
    """The recipe with `table.key=value` settings applied; a value that is not TOML is a string.

    Raises:
        BadInput: A setting without a table, a key or a value.
    """
    changed = _copy(recipe)
    for setting in settings:
        path, sign, text = setting.partition("=")
        *tables, key = path.strip().split(".")
        if not sign or not tables or not all((*tables, key)):
            raise BadInput(f"--set {setting} is not TABLE.KEY=VALUE, such as train.steps=100.")
        inner = changed
        for name in tables:
            value = inner.setdefault(name, {})
            if not isinstance(value, dict):
                raise BadInput(f"--set {setting}: {name!r} is a value, not a table.")
            inner = cast(Table, value)
        inner[key] = _parse(text.strip())
        if tables == ["train"] and key in BUDGETS:
            for other in BUDGETS:
                if other != key:
                    inner.pop(other, None)
    return changed


def _copy(table: Table) -> Table:
    return {k: _copy(cast(Table, v)) if isinstance(v, dict) else v for k, v in table.items()}


def _parse(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def accepted(target: Callable[..., Any]) -> dict[str, Option]:
    """The options of a class or function; a preset's `**options` are those of what it returns."""
    if isinstance(target, type):
        return options(cast(Any, target).__init__)
    found = options(target)
    kinds = [p.kind for p in inspect.signature(target).parameters.values()]
    if inspect.Parameter.VAR_KEYWORD in kinds:
        found = {**options(family(target).__init__), **found}
    return found


def family(target: Callable[..., Any]) -> type:
    """The class that a component is, or that a preset returns."""
    if isinstance(target, type):
        return target
    returned = get_type_hints(target).get("return")
    return returned if isinstance(returned, type) else object


def build(
    table: Mapping[str, Any],
    *args: Any,
    kind: catalog.Kind | None = None,
    allow_code: bool = False,
) -> Any:
    """{use = "name", key = value, ...} -> name(*args, key=value, ...).

    Raises:
        BadInput: An unknown component, an unknown key, or a value that does not fit.
    """
    target, fields = _prepared(table, kind, allow_code)
    return target(*args, **fields)


def completed(table: Mapping[str, Any], *, allow_code: bool = False) -> Table:
    """A component's table with the default of every option that it does not name."""
    known = accepted(catalog.find(_use(table), allow_code=allow_code))
    full: Table = {"use": table["use"]}
    for name, option in known.items():
        value = table.get(name, option.default)
        if isinstance(value, Mapping):
            full[name] = completed(cast(Table, value), allow_code=allow_code)
        elif name in table or _is_data(value):
            full[name] = value
    return {k: v for k, v in full.items() if v is not None}


def with_net(table: Mapping[str, Any], space: Space, *, allow_code: bool = False) -> Table:
    """A model's table that names its net, also where it left the choice to the family."""
    target = catalog.find(_use(table), "model", allow_code=allow_code)
    model = family(target)
    made = model.usual_net(space) if issubclass(model, Generative) else None
    if made is None or table.get("net", "none") != "none" or "net" not in accepted(target):
        return dict(table)
    function, chosen = cast(Any, made), cast(Table, {})
    if isinstance(made, functools.partial):
        function, chosen = made.func, made.keywords
    return {**table, "net": {"use": catalog.name_of(function), **chosen}}


def _is_data(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(_is_data(v) for v in cast(tuple[Any, ...], value))
    return isinstance(value, bool | int | float | str)


def _use(table: Mapping[str, Any]) -> str:
    name = table.get("use")
    if not isinstance(name, str):
        raise BadInput(f'{dict(table)} names no component: add use = "NAME".')
    return name


def _prepared(
    table: Mapping[str, Any], kind: catalog.Kind | None, allow_code: bool
) -> tuple[Any, Table]:
    target = catalog.find(_use(table), kind, allow_code=allow_code)
    plain = {k: v for k, v in table.items() if k != "use" and not isinstance(v, Mapping)}
    inner = {k: cast(Table, v) for k, v in table.items() if isinstance(v, Mapping)}
    known = accepted(target)
    fields = _checked(table["use"], known, plain)
    for key, value in inner.items():
        option = _known(table["use"], key, known)
        part, settings = _prepared(value, None, allow_code)
        _check_fit(table["use"], option, value["use"], part)
        fields[key] = functools.partial(part, **settings)
    return target, fields


def _check_fit(owner: str, option: Option, use: str, part: Any) -> None:
    """Refuse a net that is called with other arguments than this model gives it."""
    wanted = _called_with(option.type)
    if wanted is None or wanted == _takes(part):
        return
    fitting = [name for name in catalog.names("net") if wanted == _takes(catalog.find(name))]
    raise BadInput(f"{owner}.{option.name} cannot be {use!r}{nearest(use, fitting)}")


def _called_with(hint: Any) -> list[Any] | None:
    arguments = get_args(hint)
    return cast(list[Any], arguments[0]) if arguments and isinstance(arguments[0], list) else None


def _takes(target: Any) -> list[Any]:
    """The types of the arguments that come by position."""
    function = target.__init__ if isinstance(target, type) else target
    hints = get_type_hints(function)
    parameters = inspect.signature(function).parameters.values()
    positional = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    return [hints[name] for name in positional if name != "self"]


def _known(owner: str, key: str, known: Mapping[str, Option]) -> Option:
    if key not in known:
        raise BadInput(f"{owner} takes no {key!r}{nearest(key, known)}")
    return known[key]


def _checked(owner: str, known: Mapping[str, Option], given: Mapping[str, Any]) -> Table:
    """The given values in their declared types."""
    return {key: _value(owner, _known(owner, key, known), value) for key, value in given.items()}


def _value(owner: str, option: Option, value: Any) -> Any:
    if option.optional and (value is None or value == "none"):
        return None
    if get_origin(option.type) is tuple and isinstance(value, list | tuple):
        kind = get_args(option.type)[0]
        return tuple(
            Option(option.name, kind, None, option.bounds).check(v) for v in cast(list[Any], value)
        )
    if not _is_data(value):
        raise BadInput(f"{owner}: {option.name} = {value!r} is not {option.type.__name__}.")
    try:
        return option.check(value)
    except BadInput as error:
        raise BadInput(f"{owner}: {error}") from error


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
    chosen = _checked("data", known, data)
    model_table = tables["model"]
    target = catalog.find(_use(model_table), "model", allow_code=allow_code)
    dataset: Dataset = open_data(source, **chosen)
    codec_table = tables["codec"] or choose_codec(family(target), dataset)
    codec = cast(Codec, build(codec_table, dataset.items, kind="codec", allow_code=allow_code))
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
    captions: bool = False,
    caption_column: str | None = None,
    tokenizer: str | None = None,
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
        captions=captions,
        caption_column=caption_column,
        tokenizer=tokenizer,
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


def fresh(
    table: Mapping[str, Any], codec: Codec, items: Items, seed: int, *, allow_code: bool = False
) -> Generative:
    """The model with weights that depend on the seed alone; torch's own stream stays as it was.

    Raises:
        BadInput: A condition that the family needs does not come with the items, or one comes
            that nothing in the model reads.
    """
    _check_needs(table, items, allow_code)
    with torch.random.fork_rng(devices=[]):  # pyright: ignore[reportUnknownMemberType]
        torch.manual_seed(seed)  # pyright: ignore[reportUnknownMemberType]
        model = cast(
            Generative,
            build(table, codec.space, items.conditions, kind="model", allow_code=allow_code),
        )
    if not allow_code:  # other people's nets may read conditions in a way of their own
        _check_heard(table, model)
    _check_pieces(model, items)
    return model


def _check_pieces(model: Generative, items: Items) -> None:
    """Refuse a trained text encoder that would read the numbers of another tokenizer."""
    for part in model.modules():
        if isinstance(part, FrozenRows):
            own = part.encoder.tokenizer
            if getattr(items.caption, "sha256", None) != own:
                raise BadInput(
                    f"captions are read in another way than {part.encoder.folder} reads them. Set "
                    f"data.tokenizer to that folder, whose tokenizer has the hash {own[:12]}."
                )


def _check_heard(table: Mapping[str, Any], model: Generative) -> None:
    """Refuse a caption or a source that the model would ignore without a word."""
    heard = set(model.needs)
    for part in model.modules():
        if isinstance(part, ConditionSequence):
            heard |= set(part.lengths)
        elif isinstance(part, ConditionGrid):
            heard |= set(part.shapes)
    for name, space in model.conditions.items():
        if way(space) != "vector" and name not in heard:
            raise BadInput(
                f"{table['use']} with this net would ignore the {name}. Choose a net that reads it "
                f"(unet, dit, or transformer for captions), or take data without one."
            )


def _check_needs(table: Mapping[str, Any], items: Items, allow_code: bool) -> None:
    """Refuse data without a condition that the family makes no sense without."""
    model = family(catalog.find(_use(table), "model", allow_code=allow_code))
    for name in cast(tuple[str, ...], getattr(model, "needs", ())):
        if name not in items.conditions:
            raise BadInput(
                f"{table['use']} needs the condition {name!r}, and these data come without it: "
                f"{GIVE.get(name, 'choose other data.')}"
            )


def merged(recommended: Mapping[str, Any], given: Mapping[str, Any]) -> TrainOptions:
    """Defaults, then what the family recommends, then what is given; one budget survives."""
    known = options(TrainOptions)
    base = _checked("recommended", known, dict(recommended))
    chosen = _checked("train", known, dict(given))
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


def model_of(recipe: Mapping[str, Any], items: Items) -> tuple[Codec, Generative]:
    """The codec and the model of a stored recipe, without its data; the closed catalog only."""
    tables = sections(recipe)
    codec = cast(Codec, build(tables["codec"], items, kind="codec"))
    return codec, fresh(tables["model"], codec, items, 0)
