"""Names of the pages, pictures and videos of tasks."""

from __future__ import annotations

import re


def page_name(task: str) -> str:
    """Such as ``pick_and_place`` for FetchPickAndPlace-v4: the name of its config, if any."""
    words = re.findall(r"[A-Z][a-z]+", task.partition("-")[0].removeprefix("Fetch"))
    return "_".join(words).lower()
