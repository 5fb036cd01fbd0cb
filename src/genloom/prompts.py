"""The lexicon of a checkpoint of others: its own tokenizer, end, and form of a talk.

The forms are a closed table of what opens and closes a part; no template is ever run. A part of one
is a special token of the tokenizer, by its name, or else plain text.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, NamedTuple, final

from genloom.errors import BadInput, nearest
from genloom.lexicon import ASKED, END, ROLES, Lexicon, tokenizer_of


class Prompt(NamedTuple):
    """How a talk is written.

    Args:
        openings: Role -> what opens its parts.
        closing: What closes each part; empty: the next opening, or the end, does.
        tokens: Special tokens that the form cannot do without.
        said: What the chat template of a tokenizer holds, word by word, if it has this form.
    """

    openings: Mapping[str, tuple[str, ...]]
    closing: tuple[str, ...] = ()
    tokens: tuple[str, ...] = ()
    said: tuple[str, ...] = ()


PROMPTS: dict[str, Prompt] = {  # the first one that fits is taken
    "chatml": Prompt(
        {role: ("<|im_start|>", f"{role}\n") for role in ROLES},
        ("<|im_end|>", "\n"),
        ("<|im_start|>", "<|im_end|>"),
    ),
    "llama3": Prompt(
        {role: ("<|start_header_id|>", role, "<|end_header_id|>", "\n\n") for role in ROLES},
        ("<|eot_id|>",),
        ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    ),
    "marks": Prompt(  # as `hub.causal.save` writes the tokenizers of our own models
        {role: (f"<|{role}|>",) for role in ROLES},
        tokens=("<|system|>", "<|user|>", "<|assistant|>", "<|end|>"),
    ),
    "zephyr": Prompt(
        {role: (f"<|{role}|>\n",) for role in ROLES}, ("</s>", "\n"), ("</s>",), ("<|assistant|>",)
    ),
    "plain": Prompt({role: (f"\n{role.capitalize()}:\n",) for role in ROLES}),
}


def prompt_form(tokens: Collection[str], template: str = "") -> str:
    """The form that a tokenizer is made for, "plain" where it is made for none.

    Args:
        tokens: Its special tokens.
        template: Its chat template, as text.
    """
    return next(
        name
        for name, prompt in PROMPTS.items()
        if set(prompt.tokens) <= set(tokens) and all(word in template for word in prompt.said)
    )


def template(form: str, first: str) -> str:
    """A form in the language of transformers' chat templates: written for it, never run here.

    Args:
        form: A name in `PROMPTS`.
        first: Token before the talk.
    """
    prompt = PROMPTS[form]
    openings = {role: _said(*parts) for role, parts in prompt.openings.items()}
    one = "".join(
        f"{{% if message['role'] == '{role}' %}}{said}{{% endif %}}"
        for role, said in openings.items()
    )
    return (
        f"{_said(first)}{{% for message in messages %}}{one}{{{{ message['content'] }}}}"
        f"{_said(*prompt.closing)}{{% endfor %}}"
        f"{{% if add_generation_prompt %}}{openings[ASKED]}{{% endif %}}"
    )


@lru_cache(maxsize=2)
def _literal(rules: str) -> Any:
    """A tokenizer that reads texts whole, and in them nothing but text."""
    found = tokenizer_of(rules)
    found.no_padding()
    found.no_truncation()
    found.encode_special_tokens = True  # as the letters that they are written with
    return found


def _said(*parts: str) -> str:
    return f"{{{{ {json.dumps(''.join(parts))} }}}}"


@final
@dataclass(frozen=True)
class Native(Lexicon):
    """The pieces of a checkpoint's tokenizer, whose own special tokens close and open.

    No text can spell a special token: its letters are read as such.

    Args:
        rules: Its tokenizer.json, the text of the file.
        form: Of a talk, a name in `PROMPTS`.
        size: Numbers of the checkpoint, of which the tokenizer may leave the last ones unused.
        last: The number that closes a document.
        marks: See `Lexicon`; there are none but those of the tokenizer.

    Raises:
        BadInput: The form is unknown, or needs tokens that the tokenizer has not.
    """

    rules: str = field(repr=False)
    form: str
    size: int
    last: int

    def __post_init__(self) -> None:
        if self.form not in PROMPTS:
            raise BadInput(f"form = {self.form!r} is unknown{nearest(self.form, PROMPTS)}")
        if missing := sorted(set(PROMPTS[self.form].tokens) - set(self.special)):
            raise BadInput(f"the tokenizer has no {missing[0]}, which the form {self.form} needs.")

    @cached_property
    def _tokenizer(self) -> Any:
        return _literal(self.rules)

    @property
    def pieces(self) -> int:
        """Numbers that the tokenizer knows."""
        return self._tokenizer.get_vocab_size()

    @cached_property
    def special(self) -> dict[str, int]:
        """Special tokens by name."""
        added = self._tokenizer.get_added_tokens_decoder()
        return {token.content: i for i, token in added.items() if token.special}

    @property
    def letters(self) -> int:
        """See `Lexicon`: all of them."""
        return self.size

    @property
    def roles(self) -> tuple[str, ...]:
        """See `Lexicon`."""
        return ROLES

    @property
    def end(self) -> int | None:
        """See `Lexicon`."""
        return self.last

    def mark(self, name: str) -> int:
        """See `Lexicon`."""
        return self.last if name == END else -1

    def opening(self, role: str) -> list[int]:
        """See `Lexicon`."""
        return self._ids(PROMPTS[self.form].openings[role])

    @cached_property
    def closing(self) -> list[int]:
        """See `Lexicon`."""
        return self._ids(PROMPTS[self.form].closing)

    @cached_property
    def stops(self) -> tuple[tuple[int, ...], tuple[str, ...]]:
        """See `Lexicon`."""
        prompt = PROMPTS[self.form]
        firsts = {
            parts[0]: "".join(parts)
            for parts in (*prompt.openings.values(), prompt.closing)
            if parts
        }
        ids = {self.special[one] for one in firsts if one in self.special}
        texts = (whole for one, whole in firsts.items() if one not in self.special)
        return tuple(sorted(ids)), tuple(texts)

    def encode(self, text: str) -> list[int]:
        """See `Lexicon`."""
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def _text(self, ids: list[int]) -> str:
        return self._tokenizer.decode(ids, skip_special_tokens=False)

    def _ids(self, parts: tuple[str, ...]) -> list[int]:
        special = self.special
        known = ([special[part]] if part in special else self.encode(part) for part in parts)
        return [i for part in known for i in part]
