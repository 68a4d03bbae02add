"""The recorded jobs as a table."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import Any

from rich.table import Table

NAMES = {
    "ours": "rher_pl",
    "td3": "stable-baselines3, TD3 + HER",
    "sac": "stable-baselines3, SAC + HER",
}
FLOOR = "floor of ours: physics and products"
CAPTION = (
    "Seconds until the success was confirmed; ended: until the command had written its results. "
    "A contestant with jobs that are not done takes more than the seconds shown (>; if only ours "
    "are not done: <; if neither are: ?)."
)


def make_table(results: Mapping[str, Any]) -> Table:
    """A row for each contestant that is recorded; of several seeds, medians."""
    table = Table(title="from the command to a confirmed success")
    headings = ("jobs done", "seconds", "ended", "env steps", "updates", "last three", "over ours")
    table.add_column("what")
    for heading in headings:
        table.add_column(heading, justify="right")
    ours = seconds_of(results["ours"]) if "ours" in results else None
    complete = "ours" in results and all_done(results["ours"])
    for name, title in NAMES.items():
        if name in results:
            beside = None if name == "ours" else ours
            table.add_row(title, *_row(results[name], beside, complete))
    if "floor" in results and ours is not None:
        least = floor_seconds(results)
        table.add_row(FLOOR, "", f"{least:,.1f}", *[""] * 4, f"{least / ours:.2f}")
    table.caption = CAPTION
    return table


def seconds_of(contestant: Mapping[str, Any]) -> float:
    """From the command until the success was confirmed, or until the job was too long."""
    return median(job["curve"][-1]["seconds"] for job in contestant["jobs"])


def floor_seconds(results: Mapping[str, Any]) -> float:
    """What the env steps and updates of ours take at the floor."""
    floor, ends = results["floor"], [job["curve"][-1] for job in results["ours"]["jobs"]]
    return median(
        end["env_steps"] / floor["env_steps"] + end["updates"] / floor["updates"] for end in ends
    )


def all_done(contestant: Mapping[str, Any]) -> bool:
    return all(job["done"] for job in contestant["jobs"])


def _row(contestant: Mapping[str, Any], ours: float | None, ours_done: bool) -> tuple[str, ...]:
    jobs, seconds = contestant["jobs"], seconds_of(contestant)
    ends = [job["curve"][-1] for job in jobs]
    done = sum(job["done"] for job in jobs)
    last = [evaluation["success"] for job in jobs for evaluation in job["curve"][-3:]]
    bound = {(True, True): "", (False, True): "> ", (True, False): "< ", (False, False): "? "}
    sign = bound[all_done(contestant), ours_done]
    over = "" if ours is None else f"{sign}{seconds / ours:,.1f}"
    return (
        f"{done} of {len(jobs)}",
        f"{seconds:,.1f}",
        f"{median(job['seconds'] for job in jobs):,.1f}",
        f"{median(end['env_steps'] for end in ends):,.0f}",
        f"{median(end['updates'] for end in ends):,.0f}",
        f"{sum(last) / len(last):.2f}",
        over,
    )
