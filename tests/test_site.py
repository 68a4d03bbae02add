"""The site as a reader sees it: built from the docs, opened at two widths.

Needs Chromium and playwright as ``test_ui.py`` does, and Sphinx (``pip install -e .[ui,docs]``).
"""

from __future__ import annotations

import functools
import importlib.util
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from browser import BROWSER, browser, missing, picture

from tools.task_names import page_name
from tools.task_page import rows

pytestmark = [pytest.mark.ui, pytest.mark.timeout(900)]
ROOT = Path(__file__).parents[1]
WIDTHS = {"desk": (1280, 900), "phone": (390, 844)}
PAGES = ["index", "docs/tasks", "docs/results", "docs/api"]
PAGES += ["docs/configuration", "docs/python_api", "CHANGELOG"]
PAGES += [f"docs/tasks/{page_name(name)}" for name in rows()]
BROKEN = """images => images.filter(i => {
    i.loading = "eager";
    return !i.complete || i.naturalWidth === 0;
}).map(i => i.src)"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the built site."""
    if BROWSER is None:
        missing("chromium")
    if importlib.util.find_spec("sphinx") is None:
        missing("sphinx")
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "tools.site", "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    handler = functools.partial(Quiet, directory=str(out))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """A log of requests says nothing about the pages."""


@pytest.fixture(scope="module", params=WIDTHS)
def page(request: pytest.FixtureRequest) -> Iterator[Any]:
    width, height = WIDTHS[request.param]
    with browser() as chromium:
        made = chromium.new_page(viewport={"width": width, "height": height})
        made.set_default_timeout(60_000)
        yield made


@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_and_its_pictures_load(site: str, page: Any, name: str) -> None:
    page.goto(f"{site}/{name}.html", wait_until="load")
    width = page.viewport_size["width"]
    picture(page, f"site_{name.replace('/', '_')}_{width}")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("img").evaluate_all(BROKEN) == []


def test_the_page_of_push_has_its_video(site: str, page: Any) -> None:
    page.goto(f"{site}/docs/tasks/push.html")
    video = page.locator("video")
    video.wait_for()
    page.wait_for_function("document.querySelector('video').readyState >= 1")
    assert 5 <= video.evaluate("v => v.duration") <= 10
    box = video.bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= page.viewport_size["width"]


def test_search_finds_the_relay(site: str, page: Any) -> None:
    page.goto(f"{site}/search.html?q=relay")
    page.get_by_text("Search finished").wait_for()
    page.locator("ul.search").get_by_role("link", name="How it works").first.wait_for()
    picture(page, f"site_search_{page.viewport_size['width']}")
