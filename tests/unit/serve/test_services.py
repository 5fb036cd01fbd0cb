"""Fields that nobody reads: refused where they are nearly one that is read, else let through."""

from __future__ import annotations

from typing import Any

import pytest
from openai.types import completion_create_params, image_edit_params, image_generate_params
from openai.types.chat import completion_create_params as chat_params
from pydantic import BaseModel

from genloom.catalog import CATALOG, find
from genloom.components import family
from genloom.core import options
from genloom.models.autoregressive import Autoregressive
from genloom.serve.problems import Problem
from genloom.serve.routes.edits import Fields
from genloom.serve.routes.images import Drawn
from genloom.serve.services import MOST_FIELDS, check_fields
from genloom.serve.wished import Chat, Completion

WORDS = options(Autoregressive.sample_steps)


def sent(params: Any) -> set[str]:
    """The fields of a request of OpenAI's."""
    return {name for one in params.__mro__ for name in getattr(one, "__annotations__", {})}


@pytest.mark.parametrize(
    ("params", "body"),
    [
        (chat_params.CompletionCreateParamsBase, Chat),
        (completion_create_params.CompletionCreateParamsBase, Completion),
        (image_generate_params.ImageGenerateParamsBase, Drawn),
        (image_edit_params.ImageEditParamsBase, Fields),
    ],
)
def test_no_field_of_openais_is_refused_whatever_the_model_takes(
    params: Any, body: type[BaseModel]
):
    unread = sent(params) - set(body.model_fields) - set(WORDS)
    assert "user" in unread and len(sent(params)) > 15
    text = body in (Chat, Completion)
    families = [name for name, entry in CATALOG.items() if entry.kind == "model"]
    for name in ["autoregressive"] if text else families:
        known = options(family(find(name, "model")).sample_steps)
        check_fields(dict.fromkeys(unread), (*body.model_fields, *known))


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [("sede", "seed"), ("guidence", "options.guidance"), ("guidance", "options.guidance")],
)
def test_what_is_nearly_a_field_is_refused_with_both_names(wrong, meant):
    with pytest.raises(Problem, match=f"no '{wrong}'; did you mean '{meant}'") as caught:
        check_fields({"colour": 1, wrong: 2}, ["seed", "n"], ["guidance"])
    assert (caught.value.status, caught.value.param) == (400, wrong)


def test_of_many_fields_the_first_are_looked_at_and_of_long_names_their_beginning():
    check_fields({f"a{i:06}": 0 for i in range(10**5)} | {"sede": 1}, ["seed"])
    check_fields({"s" * 10**6: 0}, ["seed"])
    few = {f"a{i:02}": 0 for i in range(MOST_FIELDS - 1)} | {"sede": 1}
    with pytest.raises(Problem):
        check_fields(few, ["seed"])
