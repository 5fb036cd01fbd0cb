"""Chromium for the studio's tests: opened at a size, in a colour scheme and a language."""

from __future__ import annotations

import json
import shutil
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

WATCH = """
window.violations = [];
addEventListener("securitypolicyviolation", (e) =>
  violations.push(`${e.violatedDirective} ${e.blockedURI}`));
"""


@contextmanager
def browsers(folder: Path, url: str):
    """A function that opens the studio; every page is closed afterwards."""
    webdriver = pytest.importorskip("selenium.webdriver")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("no Chromium: apt-get install chromium chromium-driver")
    opened: list[Any] = []

    def open_(
        width: int = 1280,
        height: int = 900,
        *,
        dark: bool = False,
        language: str = "en-US",
        script: str = "",
        view: str = "",
    ):
        options = webdriver.ChromeOptions()
        options.binary_location = chromium
        for word in (
            "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
            "--disable-background-networking", "--disable-component-update",
            f"--user-data-dir={folder / str(len(opened))}", f"--accept-lang={language}",
            f"--lang={language}",
        ):  # fmt: skip
            options.add_argument(word)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        page = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
        opened.append(page)
        resize(page, width, height)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        page.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH + script})
        page.get(f"{url}/{view}")
        until(page, "return document.querySelector('main h1, .signin')")
        return page

    try:
        yield open_
    finally:
        for page in opened:
            page.quit()


def resize(page: Any, width: int, height: int) -> None:
    """Another window; narrow ones are phones."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def until(page: Any, script: str, *given: Any, seconds: float = 20.0) -> Any:
    """The first truthy value of a script."""
    end = time.monotonic() + seconds
    while not (found := page.execute_script(script, *given)):
        assert time.monotonic() < end, f"never: {script}"
        time.sleep(0.05)
    return found


def press(page: Any, selector: str) -> None:
    """Click the first element of a selector, once it is there."""
    until(page, f"return document.querySelector({json.dumps(selector)})")
    page.execute_script("document.querySelector(arguments[0]).click()", selector)


def show(page: Any, view: str) -> None:
    """Go to a view and wait for it."""
    page.execute_script("location.hash = arguments[0]", f"#/{view}")
    name = view.partition("?")[0]
    until(
        page,
        f"return document.querySelector('nav a[aria-current]')?.hash === '#/{name}' && "
        "document.querySelector('main h1')",
    )


def complaints(page: Any) -> list[str]:
    """What a browser complains of: errors in the console, and breaches of the policy."""
    severe = [line["message"] for line in page.get_log("browser") if line["level"] != "INFO"]
    return severe + page.execute_script("return violations")
