"""Components: {use = "name", key = value, ...} in a recipe -> the object of the catalog."""

# pyright: strict
from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, cast, get_args, get_origin, get_type_hints

import torch

from genloom import catalog
from genloom.core import Codec, Generative, Items, Option, Space, options
from genloom.errors import BadInput, nearest
from genloom.nets.embed import ConditionGrid, ConditionSequence, way
from genloom.nets.text import FrozenRows

Table = dict[str, Any]
GIVE = {  # how data get a condition
    "source": "--set data.given=paired (or unpaired, grey, small2, small4, masked).",
    "caption": "--set data.captions=true",
    "label": "put the files of each class into a folder of their own.",
}


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
    known = accepted(catalog.find(use_of(table), allow_code=allow_code))
    full: Table = {"use": table["use"]}
    for name, option in known.items():
        value = table.get(name, option.default)
        if isinstance(value, Mapping):
            full[name] = completed(cast(Table, value), allow_code=allow_code)
        elif name in table or _is_data(value):
            full[name] = value
    return {k: v for k, v in full.items() if v is not None}


def based(table: Mapping[str, Any]) -> Table:
    """A model's table with the net of the trained model that it begins with, unless it names one.

    Raises:
        BadInput: There is no such model, or it has no net.
    """
    base, own = table.get("base", "none"), table.get("net", {})
    if base == "none" or not _unnamed(own):
        return dict(table)
    from genloom.artifact import recipe_of

    net = recipe_of(base)["model"].get("net")
    if net is None:
        raise BadInput(f"{base} names no net that a model could begin with.")
    return {**table, "net": {**net, **own}}


def _unnamed(net: Any) -> bool:
    """Whether it is options of a net, or none, and not which net it is."""
    return isinstance(net, Mapping) and "use" not in net


def check_base(table: Mapping[str, Any], items: Items) -> None:
    """Refuse a model's base that reads other tokens than the data have, as many as they may be.

    Raises:
        BadInput: A number stands for one text there and for another here.
    """
    base, ours = table.get("base", "none"), items.lexicon
    if base == "none" or ours is None:
        return
    from genloom.artifact import lexicon_of

    theirs = lexicon_of(base)
    if theirs is None or theirs == ours:
        return
    both = range(min(theirs.letters, ours.letters))
    if any(theirs.decode([i]) != ours.decode([i]) for i in both):
        raise BadInput(f"{base} reads other tokens; set data.tokenizer to that of the base.")


def with_net(table: Mapping[str, Any], space: Space, *, allow_code: bool = False) -> Table:
    """A model's table that names its net, also where it left the choice to the family.

    Options of a net that is not named are those of the family's choice.
    """
    target = catalog.find(use_of(table), "model", allow_code=allow_code)
    model, own = family(target), table.get("net", "none")
    made = model.usual_net(space) if issubclass(model, Generative) else None
    if made is None or "net" not in accepted(target) or not (own == "none" or _unnamed(own)):
        return dict(table)
    function, chosen = cast(Any, made), cast(Table, {})
    if isinstance(made, functools.partial):
        function, chosen = made.func, made.keywords
    changed = {} if own == "none" else cast(Table, own)
    return {**table, "net": {"use": catalog.name_of(function), **chosen, **changed}}


def _is_data(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(_is_data(v) for v in cast(tuple[Any, ...], value))
    return isinstance(value, bool | int | float | str)


def use_of(table: Mapping[str, Any]) -> str:
    """The name of the component that a table asks for.

    Raises:
        BadInput: It names none.
    """
    name = table.get("use")
    if not isinstance(name, str):
        raise BadInput(f'{dict(table)} names no component: add use = "NAME".')
    return name


def _prepared(
    table: Mapping[str, Any], kind: catalog.Kind | None, allow_code: bool
) -> tuple[Any, Table]:
    target = catalog.find(use_of(table), kind, allow_code=allow_code)
    plain = {k: v for k, v in table.items() if k != "use" and not isinstance(v, Mapping)}
    inner = {k: cast(Table, v) for k, v in table.items() if isinstance(v, Mapping)}
    known = accepted(target)
    fields = checked(table["use"], known, plain)
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


def checked(owner: str, known: Mapping[str, Option], given: Mapping[str, Any]) -> Table:
    """The given values in their declared types.

    Args:
        owner: As errors call it.
        known: The options that there are.
        given: Values by name.

    Raises:
        BadInput: A name that is not known, or a value that does not fit.
    """
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


def fresh(
    table: Mapping[str, Any], codec: Codec, items: Items, seed: int, *, allow_code: bool = False
) -> Generative:
    """The model with weights that depend on the seed alone; torch's own stream stays as it was.

    Raises:
        BadInput: A condition that the family needs does not come with the items, or one comes
            that nothing in the model reads.
    """
    _check_needs(table, items, allow_code)
    if "net" in table and _unnamed(table["net"]):
        table = with_net(table, codec.space, allow_code=allow_code)
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
    model = family(catalog.find(use_of(table), "model", allow_code=allow_code))
    for name in cast(tuple[str, ...], getattr(model, "needs", ())):
        if name not in items.conditions:
            raise BadInput(
                f"{table['use']} needs the condition {name!r}, and these data come without it: "
                f"{GIVE.get(name, 'choose other data.')}"
            )
