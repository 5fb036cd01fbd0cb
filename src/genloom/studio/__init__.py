"""The studio: a static web page that speaks only to the HTTP API.

`page/index.html` is served at /, every other file of `page/` under /studio/.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent / "page"
