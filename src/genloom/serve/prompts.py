"""What samples begin with, or should show: checked, and counted against what a model holds."""

from __future__ import annotations

from genloom.errors import BadInput
from genloom.lexicon import is_text
from genloom.serve.known import Known
from genloom.serve.problems import Problem
from genloom.serve.settings import Limits

TOO_LONG = "context_length_exceeded"  # as OpenAI names it


def caption_of(known: Known, text: str, limits: Limits) -> str:
    """The text, where the model reads captions; else none.

    Raises:
        Problem: It is too long, or the model knows nothing of it.
    """
    return _caption(known, text, limits, "prompt")


def negative_of(known: Known, text: str | None, limits: Limits) -> str:
    """The caption that guidance leads away from; none for none.

    Raises:
        Problem: It is too long, the model knows nothing of it, or takes none.
    """
    if not text:
        return ""
    if not known.guided:
        why = f"{known.name} is led by no captions: leave negative_prompt out."
        raise Problem(400, why, param="negative_prompt", code="unsupported_parameter")
    return _caption(known, text, limits, "negative_prompt")


def _caption(known: Known, text: str, limits: Limits, param: str) -> str:
    if len(text) > limits.prompt:
        raise Problem(400, f"a prompt has at most {limits.prompt} characters.", param=param)
    if known.items.caption is None:
        return ""
    try:
        known.items.caption.unread(text.strip())
    except BadInput as error:
        why = f"{param}: {error}"
        raise Problem(400, why, param=param, code="unknown_character") from None
    return text.strip()


def prompt_of(known: Known, text: str, limits: Limits) -> tuple[int, ...]:
    """The tokens of a text.

    Raises:
        Problem: The model goes on from no text, or does not know a character.
    """
    if len(text) > limits.prompt:
        raise Problem(400, f"a prompt has at most {limits.prompt} characters.", param="prompt")
    if not text:
        return ()
    if not is_text(text):
        why = "a prompt is no text where it holds a surrogate, which is half a character."
        raise Problem(400, why, param="prompt", code="unknown_character")
    if not known.tokens:
        raise Problem(400, f"{known.name} does not go on from a prompt.", param="prompt")
    assert known.items.lexicon is not None
    try:
        return tuple(known.items.lexicon.encode(text))
    except BadInput as error:
        raise Problem(400, str(error), param="prompt", code="unknown_character") from None


def room_after(
    known: Known,
    given: int,
    most: int | None,
    *,
    param: str,
    named: str = "max_tokens",
    least: int = 1,
    hint: str = "",
) -> int:
    """How many tokens can be drawn after a prompt.

    Args:
        known: A model that draws token by token.
        given: Tokens of the prompt.
        most: Tokens to draw, if that was said.
        param: The field that holds the prompt.
        named: The field that holds `most`.
        least: That may be said.
        hint: What else the caller can do about a prompt that is too long.

    Raises:
        Problem: The prompt leaves no room, or less than was asked for. Nothing of it is cut here.
    """
    length = known.items.shape[0]
    room = length - given
    holds = f"This model's maximum context length is {length} tokens"
    if room < 1:
        long = f"{holds}; the prompt has {given}. Give at most {length - 1}.{hint}"
        raise Problem(400, long, param=param, code=TOO_LONG)
    if most is not None and not least <= most <= room:
        why = f"{named} = {most}: it must be {least} to {room}. {holds}; the prompt has {given}."
        if most <= room:
            raise Problem(400, why, param=named, code="invalid_value")
        raise Problem(400, why + hint, param=named, code=TOO_LONG)
    return room
