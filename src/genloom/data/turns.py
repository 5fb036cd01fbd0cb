"""Rows of tables as documents: which columns hold the text, and the turns that a row makes.

A row with `messages` has turns, one with `prompt` and `completion` has two, one with `text` and the
like is plain text. One with `chosen` and `rejected` is a pair of documents that differ in their
last answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from genloom.errors import BadInput, nearest
from genloom.lexicon import ASKED, ROLES, Turns

_TEXT = ("text", "content", "document", "sentence", "smiles", "paragraphs")
_PAIR = (("prompt", "completion"), ("question", "answer"), ("source", "target"))
CHOICE = ("chosen", "rejected")
_PROMPT = ("question", "instruction")  # where there is no column prompt
_UNCLEAR = ("input", "context", "history", "source")  # a prompt, a part of one, or none


def chosen_columns(row: Mapping[str, Any], columns: tuple[str, ...], name: str) -> tuple[str, ...]:
    """Where the text of a table lies.

    Args:
        row: One of it; its names alone count.
        columns: What somebody asked for: one, two of a prompt and its completion, `CHOICE`, three
            of a prompt, the chosen and the rejected answer, or four, what the system says before
            them. Empty: those that are called so.
        name: Of the table.

    Raises:
        BadInput: There are no such columns, or it is unclear which of them is the prompt of a pair.
    """
    if missing := [column for column in columns if column not in row]:
        raise BadInput(f"{name} has no column {missing[0]!r}{nearest(missing[0], row)}")
    if len(columns) > 4:
        raise BadInput(
            f"{name}: text is one column, a prompt and its completion, or a prompt with a chosen "
            f"and a rejected answer, and what the system says before them: {columns}."
        )
    if columns:
        return columns
    if "messages" in row:
        return ("messages",)
    for pair in _PAIR:
        if all(column in row for column in pair):
            return pair
    named = {**{column.lower(): column for column in row}, **{column: column for column in row}}
    for column in (*_TEXT, *(row if len(row) == 1 else ())):
        if column in named:
            return (named[column],)
    if any(column in row for column in CHOICE):
        return (*_asking(row, name), *CHOICE)
    raise BadInput(
        f"{name} has no column of text ({', '.join(map(str, row))}). Name it: data.text_column."
        f"{_unnamed(row)} Tables of mixed columns are not modelled yet; rows of numbers alone go "
        "as floats x (N, D) of an .npz."
    )


def _unnamed(row: Mapping[str, Any]) -> str:
    """What to say where names of columns are numbers, which cells are as a rule."""
    numbers = [name for name in map(str, row) if re.fullmatch(r" *[-+]?\d*\.?\d+ *", name)]
    return f" The first line is read as the names of columns, {numbers[0]} too." if numbers else ""


def _asking(row: Mapping[str, Any], name: str) -> list[str]:
    """The columns before those of a choice: of the prompt, and of the system where it speaks."""
    asked = ["prompt"] if "prompt" in row else [c for c in (*_PROMPT, *_UNCLEAR) if c in row]
    system = [column for column in ROLES[:1] if column in row]
    if len(asked) > 1 or not {*asked}.isdisjoint(_UNCLEAR) or len(system) > len(asked):
        told = ", ".join((*system, *asked))
        raise BadInput(
            f"{name} has {told} beside chosen and rejected: which of them is the prompt? Name the "
            'columns: data.text_column = "PROMPT,chosen,rejected", or "chosen,rejected" alone.'
        )
    return [*system, *asked]


def turns_of(row: Mapping[str, Any], columns: tuple[str, ...]) -> Turns:
    """The document of a row.

    Raises:
        ValueError: It is none, and why.
    """
    if columns == ("messages",):
        return _messages(row.get("messages"))
    texts = [_string(row.get(column), column) for column in columns]
    return tuple(zip(ROLES[1:], texts)) if len(texts) == 2 else (("", texts[0]),)


def is_pair(columns: tuple[str, ...]) -> bool:
    """Whether columns are those of a chosen and a rejected answer."""
    return columns == CHOICE or len(columns) > 2


def pair_of(row: Mapping[str, Any], columns: tuple[str, ...]) -> tuple[Turns, Turns]:
    """The chosen and the rejected document of a row: one prompt, and two answers to it.

    A cell is a text or a list of messages. Without a column of prompts the two talks share all
    but their last turn, or the answers are plain text; with one, an answer may repeat it, with or
    without what the system says first.

    Raises:
        ValueError: It is no such pair, and why.
    """
    *asked, _, _ = columns
    if not asked and "prompt" in row:
        raise ValueError(f"it has a prompt: name the columns prompt, {', '.join(columns)}")
    prompt = _prompt(row, asked)
    chosen, rejected = (_answered(prompt, row, column) for column in columns[-2:])
    if chosen[:-1] != rejected[:-1]:
        raise ValueError(f"the prompts of {' and '.join(columns[-2:])} differ")
    if chosen[-1][0] != rejected[-1][0]:
        raise ValueError(f"one of {' and '.join(columns[-2:])} is a text, the other a message")
    if chosen == rejected:
        raise ValueError(f"{' and '.join(columns[-2:])} are the same")
    return chosen, rejected


def _prompt(row: Mapping[str, Any], columns: Sequence[str]) -> Turns:
    """The turns of a prompt; of a system that says nothing, or says it there already, none."""
    if not columns:
        return ()
    *before, column = columns
    turns = _told(row, column, ROLES[1])
    if turns[0][0] == ROLES[0]:
        return turns
    said = [_string(row[name], name) for name in before if row.get(name)]
    return (*((ROLES[0], text) for text in said if text.strip()), *turns)


def _answered(prompt: Turns, row: Mapping[str, Any], column: str) -> Turns:
    """The prompt and the answer of a column, which is the last turn."""
    found = _told(row, column, ASKED if prompt else "")
    role, text = found[-1]
    if role not in ("", ASKED):
        raise ValueError(f"{column} ends with the {role}, not with the {ASKED}")
    if not text.strip():
        raise ValueError(f"{column} holds no text")
    if len(found) == 1:
        return (*prompt, *found)
    if prompt and prompt[0][0] == ROLES[0] != found[0][0]:
        found = (prompt[0], *found)
    if prompt and found[: len(prompt)] != prompt:
        raise ValueError(f"{column} does not begin with the prompt")
    return found


def _told(row: Mapping[str, Any], column: str, role: str) -> Turns:
    """The turns of a cell: those of its messages, or a text that one of this role says."""
    cell = row.get(column)
    if cell is None:
        raise ValueError(f"there is no {column}")
    if isinstance(cell, list):
        return _messages(cell, column)
    return ((role, _string(cell, column)),)


def _messages(found: Any, column: str = "messages") -> Turns:
    if not isinstance(found, list) or not found:
        raise ValueError(f"{column} is no list of {{role, content}}")
    turns = []
    for one in found:
        role, text = (one.get("role"), one.get("content")) if isinstance(one, dict) else (None, "")
        if role not in ROLES:
            raise ValueError(f"role {str(role)[:40]!r} is none of {', '.join(ROLES)}")
        turns.append((role, _string(text, "content")))
    return tuple(turns)


def _string(value: Any, column: str) -> str:
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return "\n".join(value)
    if not isinstance(value, str):
        raise ValueError(f"{column} is {type(value).__name__}, not text")
    return value.replace("\r\n", "\n").replace("\r", "\n")
