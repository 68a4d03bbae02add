"""How the pages, pictures and videos of tasks are called."""

from __future__ import annotations

import re


def page_name(task: str) -> str:
    """Such as ``pick_and_place`` for FetchPickAndPlace-v4: that of its config, if it has one."""
    words = re.findall(r"[A-Z][a-z]+", task.partition("-")[0].removeprefix("Fetch"))
    return "_".join(words).lower()
