"""What a sweep is asked to do, checked before anything is spent."""

from __future__ import annotations

import argparse
import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rher_pl.cli.command import Parser, positive
from rher_pl.cli.resolving import resolve
from rher_pl.errors import require
from rher_pl.own_modules import OWN
from rher_pl.paths import check_writable, require_name, require_plain
from rher_pl.sweep.place import Trial, common_settings
from rher_pl.sweep.ranges import Range, parse_grid, parse_search, parse_seeds
from rher_pl.tracking.store import absolute_uri, named_by, store_of
from rher_pl.tracking.uri import check_tracking_uri

DESCRIPTION = """\
Train over seeds and options on Ray Tune: each trial is an ordinary `fit` on a core, or a GPU, of
its own. Options of `fit`, such as --data.num_envs 8, hold for all trials. After a stop, the same
command continues where the sweep was.

Trials of a grid give the same weights as single runs, bit for bit. A search need not give the same
trials twice: what Optuna proposes depends on which trials have ended."""
EXAMPLES = """\
examples:
  python -m rher_pl.sweep --config push --seeds 0..4 --grid model.gamma=0.95,0.98
  python -m rher_pl.sweep --config push --search 'model.learning_rate=log(1e-4,1e-2)' \\
      --trials 40 --prune --confirm 1..5
"""
DECIDED = {
    "seed_everything": "use --seeds",
    "ckpt_path": "use --name",
    "recorder": "use --name, --folder and --tracking_uri",
    "video": "leave it out, a sweep makes no videos",
    "until": "leave it out, every trial trains for all its epochs",
}
"""What a sweep sets itself, options or whole sections, and what to do instead."""


@dataclass(frozen=True)
class Request:
    """A sweep.

    Args:
        settings: that all trials have in common, by section.
        seeds: one training each, for every combination of ``grid``.
        grid: values by option.
        space: ranges by option, of a search.
        trials: how many a search has; 0 without one.
        prune: whether poor trials are stopped early.
        confirm: seeds with which the winner is trained once more.
        name, folder: of the sweep; the folder is absolute.
        tracking_uri: of the MLflow store.
        imports: modules of the user's own.
        address: of a Ray head, None for this machine alone.
        jobs: trials at a time on this machine.
    """

    settings: dict[str, dict[str, Any]]
    seeds: tuple[int, ...]
    grid: Mapping[str, tuple[str, ...]]
    space: Mapping[str, Range]
    trials: int
    prune: bool
    confirm: tuple[int, ...]
    name: str
    folder: Path
    tracking_uri: str
    imports: tuple[str, ...]
    address: str | None
    jobs: int

    @property
    def epochs(self) -> int:
        return int(self.settings["trainer"]["max_epochs"])

    @property
    def gpus(self) -> int:
        """GPUs of each trial."""
        return int(self.settings["trainer"].get("accelerator") in ("gpu", "cuda"))

    @property
    def listed(self) -> list[Trial]:
        """Every combination with every seed, one combination after the other."""
        combinations = [dict(zip(self.grid, v)) for v in itertools.product(*self.grid.values())]
        return [Trial(options, seed) for options in combinations for seed in self.seeds]

    @property
    def state(self) -> dict[str, Any]:
        """What must stay the same for the sweep to go on."""
        space = {name: [found.kind, *found.values] for name, found in self.space.items()}
        return {"settings": self.settings, "search": space, "trials": self.trials}


def make_parser() -> Parser:
    parser = Parser("rher_pl.sweep", DESCRIPTION, EXAMPLES)
    add = parser.add_argument
    add("--config", required=True, help="YAML file, or the name of a shipped config, as for fit")
    add("--seeds", default="0", help="such as 0..4 or 0,3,7 (0)")
    several: dict[str, Any] = {"nargs": "+", "action": "extend", "default": []}
    add("--grid", metavar="OPTION=VALUES", help="such as model.gamma=0.95,0.98", **several)
    add("--search", metavar="OPTION=RANGE", help="log(a,b), uniform(a,b), int(a,b), a,b", **several)
    add("--trials", type=positive, default=20, help="trials of a search (20)")
    add("--prune", action="store_true", help="a search stops poor trials early")
    add("--confirm", metavar="SEEDS", help="train the winner once more with these seeds")
    add("--address", help="Ray head, such as auto or <host>:6379 (this machine alone)")
    add(
        "--jobs",
        type=positive,
        default=os.cpu_count() or 1,
        help="trials at a time on this machine (all cores)",
    )
    add("--name", help="name of sweep, folder and experiment (from config and options)")
    add("--folder", default="mlruns", help="output folder (mlruns)")
    add("--tracking_uri", metavar="URI", help="MLflow store (sqlite:///<folder>/mlflow.db)")
    add(
        *("--dry_run", "--dry-run"),
        action="store_true",
        help="list the trials, train three iterations, and estimate the time of all",
    )
    return parser


def read_request(argv: Sequence[str]) -> tuple[Request, bool]:
    """The sweep that a command line asks for, and whether it is a dry run.

    Raises:
        ConfigError: for any mistake, before anything is started.
    """
    parser = make_parser()
    options, rest = parser.parse_known_args(argv)
    for word in rest:
        name = word.removeprefix("--").partition("=")[0]
        if word.startswith("--") and "." not in name and name not in DECIDED:
            parser.error(f"unrecognized arguments: {word}")
    seeds = parse_seeds(options.seeds)
    grid, space = parse_grid(options.grid), parse_search(options.search)
    confirm = parse_seeds(options.confirm) if options.confirm else ()
    check_choices(options, seeds, grid, space, confirm)
    common = ["--config", options.config, *rest]
    settings = check_options(common, rest, grid, space)
    name = options.name or "+".join([Path(options.config).stem, *sorted({*grid, *space})])
    folder = Path(options.folder).absolute() / "sweeps" / require_name(name, "--name")
    check_writable(options.folder, "--folder")
    require_plain(folder, "--folder")
    uri = store_of(options.folder, options.tracking_uri)
    check_tracking_uri(uri, named_by(options.tracking_uri, "--tracking_uri"))
    request = Request(
        settings=settings,
        seeds=seeds,
        grid=grid,
        space=space,
        trials=options.trials if space else 0,
        prune=options.prune,
        confirm=confirm,
        name=name,
        folder=folder,
        tracking_uri=absolute_uri(uri),
        imports=tuple(OWN),
        address=options.address,
        jobs=options.jobs,
    )
    return request, options.dry_run


def check_choices(
    options: argparse.Namespace,
    seeds: tuple[int, ...],
    grid: Mapping[str, Any],
    space: Mapping[str, Any],
    confirm: tuple[int, ...],
) -> None:
    """Refuse options that do not go together."""
    require(
        not (grid and space), "--grid and --search exclude each other: a search takes lists, too"
    )
    require(bool(space) or not options.prune, "--prune is for a search: add --search")
    require(
        not space or len(seeds) == 1,
        "--search compares options with one seed: give --seeds 0, and --confirm 1..5 to train the "
        "winner with others",
    )
    both = sorted({*seeds} & {*confirm})
    require(
        not both,
        f"--confirm {both[:5]} are among --seeds, which choose the winner: write other seeds",
    )


def check_options(
    common: Sequence[str],
    rest: Sequence[str],
    grid: Mapping[str, tuple[str, ...]],
    space: Mapping[str, Range],
) -> dict[str, dict[str, Any]]:
    """Check every option and value as ``fit`` itself does; returns the settings of all trials."""
    varied = {**grid, **{name: found.values for name, found in space.items()}}
    given = [w.removeprefix("--").partition("=")[0] for w in rest if w.startswith("--")]
    for name in [*varied, *given]:
        hint = DECIDED.get(name.partition(".")[0])
        require(hint is None, f"a sweep sets {name} itself: {hint}")
    twice = sorted({*given} & {*varied})
    require(not twice, f"{', '.join(twice)} is both varied and fixed: give it once")
    require(
        "trainer.max_epochs" not in varied, "all trials have the same length: leave out max_epochs"
    )
    resolved = resolve(common)
    for name, values in varied.items():
        for value in values:
            resolve([*common, f"--{name}={value}"])
    require(
        resolved["data"]["shards"] == 0 and "data.shards" not in varied,
        "data.shards takes cores beside those of its trial: leave it out of a sweep",
    )
    epochs = resolved["trainer"]["max_epochs"]
    require(
        isinstance(epochs, int) and epochs > 0,
        f"trainer.max_epochs is {epochs}: a sweep needs trainings of a fixed length, such as 16",
    )
    return common_settings(resolved)
