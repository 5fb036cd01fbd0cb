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
from genloom.serve.services import MOST_FIELDS, check_fields, unknown_fields
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
        check_fields(dict.fromkeys(unread, 1), (*body.model_fields, *known))


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("sede", "seed"),
        ("seeed", "seed"),
        ("sed", "seed"),
        ("feed", "seed"),
        ("guidence", "options.guidance"),
        ("guidance", "options.guidance"),
    ],
)
def test_what_is_nearly_a_field_is_refused_with_both_names(wrong, meant):
    with pytest.raises(Problem, match=f"no '{wrong}'; did you mean '{meant}'") as caught:
        check_fields({"colour": 1, wrong: 2}, ["seed", "n"], ["guidance"])
    assert (caught.value.status, caught.value.param) == (400, wrong)


# vLLM, TGI, llama.cpp, Ollama, OpenRouter, text-generation-webui, diffusers.
FOREIGN = [
    "min_tokens",
    "max_new_tokens",
    "truncate",
    "repeat_penalty",
    "repetition_penalty_range",
    "min_keep",
    "main_gpu",
    "streaming",
    "truncation_side",
    "top_a",
    "models",
    "mode",
    "prompt_2",
    "negative_prompt_2",
    "best_of",
    "typical_p",
    "num_ctx",
    "num_predict",
    "tfs_z",
    "mirostat",
    "ignore_eos",
    "include_stop_str_in_output",
    "guided_json",
    "k",
    "min_p",
    "n_keep",
    "transforms",
    "route",
    "provider",
    "width",
    "height",
    "num_inference_steps",
]


def test_what_other_servers_read_goes_through():
    for body in (Chat, Completion, Drawn, Fields):
        read = {*body.model_fields, *WORDS}
        check_fields(dict.fromkeys(set(FOREIGN) - read, 1), read)
    check_fields({"sede": None}, ["seed"])
    check_fields({"m": 1, "no": 1, "tp": 1}, ["n", "on", "top"])


@pytest.mark.parametrize(("a", "b"), [("sede", "deed"), ("abcd", "badc"), ("seed", "seedling")])
def test_two_slips_are_another_name(a, b):
    check_fields({a: 1}, [b])


def test_the_header_of_what_is_ignored_ends_no_line():
    told = unknown_fields({"a\r\nX-Evil: 1": 1, "b\x7f\u4e00": 2})
    assert told == {"x-genloom-ignored": "a??X-Evil: 1, b??"}


def test_of_many_fields_the_first_are_looked_at_and_of_long_names_their_beginning():
    check_fields({f"a{i:06}": 0 for i in range(10**5)} | {"sede": 1}, ["seed"])
    check_fields({"s" * 10**6: 0}, ["seed"])
    few = {f"a{i:02}": 0 for i in range(MOST_FIELDS - 1)} | {"sede": 1}
    with pytest.raises(Problem):
        check_fields(few, ["seed"])
