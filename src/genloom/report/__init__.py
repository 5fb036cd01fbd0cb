"""What a person reads: one self-contained HTML page per run or comparison, pictures first."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from genloom.report.reading import describe_run

__all__ = ["describe_run", "render"]

HERE = Path(__file__).parent


def render(content: Mapping[str, Any]) -> str:
    """The page of a verdict (`Verdict.as_dict`) or of a comparison (`Comparison.content`), as HTML.

    It loads nothing and runs no script; every string in it is escaped.

    Raises:
        BadInput: It is neither a verdict nor a comparison.
        MissingExtra: jinja2, which comes with torch, is not there.
    """
    from genloom.report.view import build

    return _template().render(page=build(content))


@cache
def _template() -> Any:
    try:
        from jinja2 import Environment, StrictUndefined
        from markupsafe import Markup
    except ImportError:
        from genloom.errors import need

        raise need("jinja2", "all", "the report") from None
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.globals["css"] = Markup((HERE / "page.css").read_text(encoding="utf-8"))
    return environment.from_string((HERE / "page.html").read_text(encoding="utf-8"))
