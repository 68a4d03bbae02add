"""What a sweep found: a table and a picture over seeds, and the winner judged again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rher_pl.compare import table
from rher_pl.compare.curve import Curve
from rher_pl.compare.curves import find
from rher_pl.compare.groups import Group, make_groups
from rher_pl.compare.picture import draw
from rher_pl.errors import one_line
from rher_pl.sweep.place import Place, Trial
from rher_pl.sweep.runs import RUN_ID
from rher_pl.sweep.tuning import Outcome

MOST_GROUPS = 12
"""Most groups in table and picture: the best ones."""
FRESH_SEED = 7_000_000
"""Of the first episode that judges the winner; no training evaluates on seeds from here on."""
EPISODES = 100
REPORT = "results.json"
"""File in the sweep's folder."""


@dataclass(frozen=True)
class Variant:
    """The trials of the same options.

    Args:
        trials: one for each seed.
        group: their curves.
    """

    trials: tuple[Trial, ...]
    group: Group


def variants(place: Place, outcomes: Sequence[Outcome]) -> list[Variant]:
    """Complete trainings by their options, with their curves; the best first."""
    members: dict[tuple[tuple[str, str], ...], list[Trial]] = {}
    for found in outcomes:
        if not found.failed and found.evaluations >= place.epochs:
            key = tuple(sorted(found.trial.options.items()))
            members.setdefault(key, []).append(found.trial)
    curves = [curve(place, trial) for trials in members.values() for trial in trials]
    groups = make_groups(curves)
    pairs = [Variant(tuple(trials), group) for trials, group in zip(members.values(), groups)]
    return sorted(pairs, key=lambda pair: -pair.group.last_five)


def curve(place: Place, trial: Trial) -> Curve:
    """The curve of a trial in the store, with the options of the sweep alone as its config."""
    (found,) = find([run_of(place, trial)], place.tracking_uri, "success")
    return replace(found, config=dict(trial.options), seed=trial.seed)


def run_of(place: Place, trial: Trial) -> str:
    """Id of a trial's run."""
    return (place.of(trial) / RUN_ID).read_text().strip()


def judge_again(place: Place, winner: Variant) -> dict[str, Any]:
    """Success of the winner's last policies on fresh episodes.

    The figures by which it was chosen are biased: chance made them high.
    """
    from rher_pl.deploy.measure import measure
    from rher_pl.deploy.trained import load_policy

    shares = []
    for trial in winner.trials:
        path = place.of(trial) / "checkpoints" / run_of(place, trial) / "last.ckpt"
        figures = measure(load_policy(path), EPISODES, FRESH_SEED)
        *_, whole = figures["subtasks"].values()
        shares.append(whole["all"]["success"])
    return {
        "options": dict(winner.trials[0].options),
        "seeds": [trial.seed for trial in winner.trials],
        "chosen_on": winner.group.last_five,
        "fresh_success": shares,
        "fresh_episodes": EPISODES,
        "first_episode_seed": FRESH_SEED,
    }


def show(place: Place, outcomes: Sequence[Outcome]) -> tuple[list[Variant], tuple[Path, ...]]:
    """Print table and winner, and draw; returns the variants and the files that were written."""
    found = variants(place, outcomes)
    for each in outcomes:
        if each.failed:
            print(one_line(f"failed: {each.trial.label}: {each.failed}"))
    pruned = sum(not o.failed and o.evaluations < place.epochs for o in outcomes)
    if pruned:
        print(f"{pruned} of {len(outcomes)} trials were stopped early")
    if not found:
        return [], ()
    best = [variant.group for variant in found[:MOST_GROUPS]]
    folder = Path(place.folder)
    picture, report = folder / "comparison.png", folder / REPORT
    draw(best, with_published=False).savefig(picture)
    table.show(best, False, picture)
    judged = judge_again(place, found[0])
    shares = judged["fresh_success"]
    print(
        f"winner: {describe(judged['options'])}: success {judged['chosen_on']:.3f} in the "
        f"evaluations that chose it; its final policies on {EPISODES} fresh episodes: "
        f"mean {sum(shares) / len(shares):.3f}, "
        f"worst seed {min(shares):.3f}"
    )
    trials = [
        {
            "trial": each.trial.label,
            "run_id": run_of(place, each.trial),
            "evaluations": each.evaluations,
            "failed": each.failed,
        }
        for each in outcomes
    ]
    content = {"winner": judged, "trials": trials, **table.as_plain(best, False)}
    report.write_text(json.dumps(content, indent=2) + "\n")
    return found, (picture, report)


def describe(options: dict[str, str]) -> str:
    """Such as ``model.gamma=0.95``."""
    return " ".join(f"{name}={value}" for name, value in options.items()) or "the config as it is"


def confirming(winner: Variant, seeds: Sequence[int]) -> list[Trial]:
    """Trials of the winner's options with seeds that did not choose it."""
    return [Trial(winner.trials[0].options, seed) for seed in seeds]


def show_confirmed(place: Place, outcomes: Sequence[Outcome]) -> None:
    """Print, and add to the report, what the winner does with other seeds."""
    report = Path(place.folder) / REPORT
    for variant in variants(place, outcomes):
        group, seeds = variant.group, [trial.seed for trial in variant.trials]
        print(
            f"trained again with {len(seeds)} fresh seeds: {group.last_five:.3f}, "
            f"worst seed {group.worst.last_five:.3f}"
        )
        found = {"last_five": group.last_five, "worst_seed": group.worst.last_five}
        content = json.loads(report.read_text()) | {"confirmed": {"seeds": seeds, **found}}
        report.write_text(json.dumps(content, indent=2) + "\n")
