"""Chromium for the tests that look at pages: found, or a reason to skip them.

``REQUIRE_BROWSER`` makes it a failure that it is missing, as ``make ui-check`` does.
``SCREENSHOTS`` names a folder for pictures.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
# Continuous integration often is root in a container, where the sandbox cannot start.
FLAGS = ("--no-sandbox", "--disable-gpu")


def missing(what: str) -> None:
    """Skip the test, or fail it, for want of something that is to be installed."""
    if os.environ.get("REQUIRE_BROWSER"):
        pytest.fail(f"{what} is missing: apt-get install chromium, pip install -e '.[ui,docs]'")
    pytest.skip(f"PAGES NOT CHECKED: {what} is missing; see `make ui-check`")


@contextmanager
def browser() -> Iterator[Any]:
    """Playwright's handle on a browser, in which pages are made."""
    if BROWSER is None:
        missing("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("playwright")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=BROWSER, args=FLAGS)
        yield started
        started.close()


def picture(page: Any, name: str) -> None:
    """Keep what a page looks like, if that is asked for."""
    if folder := os.environ.get("SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=f"{folder}/{name}.png")
