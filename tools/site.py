"""The documentation as a site: python -m tools.site; run by ``make site``.

The pages of the repository are copied with their folders, so that a link works here as it does
there; pages of the tasks and of the Python API are written from the code.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import rher_pl
from rher_pl.cli.command import Parser, run_command
from rher_pl.cli.quiet import quiet
from rher_pl.errors import require
from rher_pl.tasks import get_task
from tools import task_page
from tools.task_names import page_name

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "build" / "site"
COPIED = ("CHANGELOG.md", "docs/*.md", "docs/*.cpp", "docs/images/*", "docs/images/tasks/*.webp")
CURVES = "benchmarks/results/**/*.png"
GUIDE = "docs/README.md"
KINDS = ("autofunction", "autoclass", "autoexception")
"""Sphinx directives, in the order in which their names stand on the page."""


def write_source(folder: Path) -> None:
    """Write all that the generator reads."""
    shutil.rmtree(folder, ignore_errors=True)
    for pattern in (*COPIED, CURVES):
        for path in ROOT.glob(pattern):
            if path.is_file():
                copy(path, folder / path.relative_to(ROOT))
    for video in task_page.MEDIA.glob("*.mp4"):
        copy(video, folder / "_static" / video.name)
    copy(ROOT / "docs" / "site.css", folder / "_static" / "site.css")
    tasks = {name: get_task(name) for name in task_page.rows()}
    for name, task in tasks.items():
        write(folder / "docs" / "tasks" / f"{page_name(name)}.md", task_page.page(task))
    write(folder / "docs" / "tasks.md", linked(task_page.TASKS.read_text(), list(tasks)))
    write(folder / "docs" / "api.md", api())
    write(folder / "index.md", (ROOT / "README.md").read_text() + contents())


def contents() -> str:
    """What the side bar lists: the guide in its own order, then reference."""
    guide = re.findall(r"\]\((\w+\.md)\)", (ROOT / GUIDE).read_text())
    reference = ["docs/results.md", "docs/api.md", "CHANGELOG.md"]
    return toctree([GUIDE, *(f"docs/{page}" for page in guide)], "Guide") + toctree(
        reference, "Reference"
    )


def linked(text: str, names: Sequence[str]) -> str:
    """The page of all tasks, with links to the page of each."""
    pages = {name: f"tasks/{page_name(name)}.md" for name in names}
    for name, page in pages.items():
        cell = re.compile(rf"^\| (`(?:rher_pl/)?{re.escape(name)}`) \|", re.MULTILINE)
        text = cell.sub(rf"| [\1]({page}) |", text)
    return text + toctree(list(pages.values()))


def toctree(pages: Sequence[str], caption: str = "") -> str:
    """A hidden list, which puts pages in the side bar below the page that it is appended to."""
    options = [":hidden:", *([f":caption: {caption}"] if caption else [])]
    return "\n".join(["", "```{toctree}", *options, "", *pages, "```", ""])


def api() -> str:
    """A page of all public names; the generator fills in their docstrings."""
    parts = ["# Python API\n", "How to use it: [From Python](python_api.md).\n"]
    names = sorted(rher_pl.__all__, key=lambda name: KINDS.index(kind(name)))
    parts += [f"```{{eval-rst}}\n.. {kind(name)}:: rher_pl.{name}\n```\n" for name in names]
    return "\n".join(parts)


def kind(name: str) -> str:
    """The directive of Sphinx that documents a public name."""
    found = getattr(rher_pl, name)
    if not isinstance(found, type):
        return "autofunction"
    return "autoexception" if issubclass(found, Exception) else "autoclass"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def copy(path: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, to)


def body(arguments: Sequence[str]) -> int:
    """Build the site; exit status."""
    quiet()
    parser = Parser("tools.site", __doc__ or "")
    parser.add_argument("--out", type=Path, default=ROOT / "site", help="folder to write (site)")
    out = parser.parse_args(arguments).out
    require(
        importlib.util.find_spec("sphinx") is not None,
        "the site needs Python 3.11 or later and Sphinx: pip install -e '.[docs]'",
    )
    source, doctrees = SOURCE / "pages", SOURCE / "doctrees"
    write_source(source)
    options = ["-q", "-W", "--keep-going", "-E", "-c", str(ROOT / "docs"), "-d", str(doctrees)]
    build = [sys.executable, "-m", "sphinx", "-b", "html", *options, str(source), str(out)]
    return subprocess.run(build, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(run_command(body, None))
