"""Screenshots of a page in headless Chromium: phone and desktop widths, light and dark.

    python scripts/screenshot.py runs/demo/report.html --out shots

writes shots/report-390-light.png, -390-dark, -1280-light and -1280-dark, each of the whole page.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

WIDTHS = (390, 1280)
SCHEMES = ("light", "dark")
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
TALLEST = 15000  # pixels; a longer page is cut


def browser() -> str | None:
    """The path of an installed Chromium, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def run(page: Path, *arguments: str, width: int, height: int = 900, dark: bool = False) -> str:
    """Open a page without a network and give what Chromium prints.

    Chromium makes no window narrower than 500 pixels, so a narrow page is laid out in a frame.
    """
    program = browser()
    if program is None:
        sys.exit("no Chromium here. On Debian: apt-get install chromium")
    with tempfile.TemporaryDirectory() as profile:
        outer = page
        if width < 500:
            outer = Path(profile) / "frame.html"
            outer.write_text(
                "<!doctype html><meta charset=utf-8><style>body{margin:0}iframe{border:0;"
                f"width:{width}px;height:{height}px;color-scheme:light dark}}</style>"
                f'<meta name=color-scheme content="light dark"><iframe src="{page.as_uri()}">'
                "</iframe>"
            )
        command = [
            program,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--disable-background-networking",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            f"--user-data-dir={profile}/profile",
            f"--window-size={width},{height}",
            *(["--blink-settings=preferredColorScheme=0"] if dark else []),
            *arguments,
            outer.as_uri(),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout + done.stderr


def height_of(page: Path, width: int) -> int:
    """How tall a page is at a width: measured by a script in a copy of it."""
    script = (
        "<script>onload=()=>{document.title='h='+document.documentElement.scrollHeight}</script>"
    )
    text = page.read_text(encoding="utf-8")
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "page.html"
        copy.write_text(text + script, encoding="utf-8")
        if width < 500:
            inner = f"<style>body{{width:{width}px}}</style>"
            copy.write_text(text.replace("</head>", inner + "</head>") + script, encoding="utf-8")
        found = re.search(r"<title>h=(\d+)", run(copy, "--dump-dom", width=max(width, 500)))
    return min(int(found.group(1)) + 40, TALLEST) if found else 3000


def shoot(page: Path, picture: Path, *, width: int, dark: bool, height: int) -> None:
    """One screenshot of a page, as tall as asked."""
    picture = picture.resolve()
    run(page, f"--screenshot={picture}", width=width, height=height, dark=dark)
    if width < 500:
        from PIL import Image

        with Image.open(picture) as whole:
            cut = whole.crop((0, 0, width, whole.height))
        cut.save(picture)


def main() -> None:
    """Take the four pictures."""
    parser = argparse.ArgumentParser(description="Screenshots of a page in headless Chromium.")
    parser.add_argument("page", type=Path)
    parser.add_argument("--out", type=Path, default=Path("shots"))
    given = parser.parse_args()
    page = given.page.resolve()
    given.out.mkdir(parents=True, exist_ok=True)
    for width in WIDTHS:
        height = height_of(page, width)
        for scheme in SCHEMES:
            picture = given.out / f"{page.stem}-{width}-{scheme}.png"
            shoot(page, picture, width=width, dark=scheme == "dark", height=height)
            print(picture)


if __name__ == "__main__":
    main()
