"""The trained model that another one begins with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genloom.errors import BadInput
from genloom.nets import lora

if TYPE_CHECKING:
    from genloom.models.autoregressive import Autoregressive


def take(source: str, model: Autoregressive) -> None:
    """Put the weights of a base into a model.

    Args:
        source: A run, its model folder, its name, or a checkpoint.
        model: Which is filled in place.

    Raises:
        BadInput: It reads other tokens, or has another net.
    """
    found = read(source, model)
    theirs, ours = found.net.state_dict(), model.net.state_dict()
    if (name := lora.fill(model.net, theirs)) is None:
        return
    shapes = [tuple(w[name].shape) if name in w else () for w in (theirs, ours)]
    longer = (found.length, model.length) in zip(*shapes) and found.length != model.length
    cure = (
        f"Set data.length = {found.length}, as the base has it."
        if longer
        else "Leave model.net out, or set it to what the recipe.toml of the base has there."
    )
    raise BadInput(
        f"{source} has another net than this model: its {name} has the shape {shapes[0]}, "
        f"not {shapes[1]}. {cure}"
    )


def read(source: str, model: Autoregressive) -> Autoregressive:
    """A base with its differences, where it has any, in its weights.

    Raises:
        BadInput: It is of another family, or reads other tokens than the model.
    """
    from genloom import artifact

    found = artifact.load(source, device="cpu").model
    if not isinstance(found, type(model)):
        raise BadInput(f"{source} is a {type(found).__name__}: a base is autoregressive.")
    theirs, ours = ((m.vocab, list(m.conditions)) for m in (found, model))
    if theirs != ours:
        raise BadInput(
            f"{source} reads {theirs[0]} tokens given {theirs[1]}, the data are {ours[0]} given "
            f"{ours[1]}. Set data.tokenizer to that of the base."
        )
    lora.merge(found.net)
    return found
