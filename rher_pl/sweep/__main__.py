"""Seeds and options on Ray: ``python -m rher_pl.sweep --config push --seeds 0..4``."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rher_pl.cli import exit_status
from rher_pl.cli.command import run_command
from rher_pl.errors import say

if TYPE_CHECKING:
    from rher_pl.sweep.place import Place
    from rher_pl.sweep.request import Request
    from rher_pl.sweep.results import Variant
    from rher_pl.sweep.tuning import Outcome


def sweep_command(argv: Sequence[str]) -> int:
    if {"-h", "--help"} & {*argv}:
        from rher_pl.sweep.request import make_parser

        make_parser().parse_args(["--help"])

    from rher_pl.cluster.environment import prepare_environment
    from rher_pl.cluster.joining import joined, require_packages

    require_packages("a sweep", ["ray", "optuna"] if "--search" in argv else ["ray"])
    prepare_environment(address_of(argv))

    from rher_pl.cli.quiet import quiet
    from rher_pl.sweep.request import read_request

    quiet()
    request, dry = read_request(argv)
    if dry:
        return tell(request)
    with joined(request.address, request.jobs, request.imports):
        return run(request)


def address_of(argv: Sequence[str]) -> str | None:
    """What ``--address`` says, found before the parser is imported."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--address", nargs="?")  # one without a value is refused later, in one line
    address: str | None = parser.parse_known_args(list(argv))[0].address
    return address


def tell(request: Request) -> int:
    """Print the trials, and about how long they would take."""
    from rher_pl.cluster.joining import joined
    from rher_pl.sweep.estimate import probe

    count = request.trials or len(request.listed)
    for trial in request.listed if not request.space else ():
        print(trial.label)
    for name, found in request.space.items():
        print(f"{name}: {found.kind}({', '.join(found.values)})")
    jobs = request.jobs
    if request.address is not None:
        with joined(request.address, request.jobs, request.imports):
            import ray

            jobs = int(ray.cluster_resources().get("GPU" if request.gpus else "CPU", 1))
    every = int(request.settings["data"]["eval_every_env_steps"])
    each = probe(request.settings, request.imports).training(request.epochs, every)
    rounds = -(-count // jobs)
    print(
        f"{count} trials with {request.epochs} evaluations each: about "
        f"{each / 60:.1f} min a trial on a core like this one, {rounds * each / 60:.0f} min for "
        f"all, {min(jobs, count)} at a time"
    )
    return exit_status.SUCCESS


def run(request: Request) -> int:
    """Train the trials that are not complete yet, and show the results."""
    from rher_pl.sweep import results
    from rher_pl.sweep.runs import end_parent
    from rher_pl.sweep.sharing import check_machines
    from rher_pl.sweep.tuning import Interrupted, run_list

    request.folder.mkdir(parents=True, exist_ok=True)
    if request.address is not None:
        check_machines(request.folder, request.tracking_uri, request.gpus)
    place, interrupted = begin(request), Interrupted()
    try:
        with interrupted.listening():
            outcomes = train(request, place)
            found: list[Variant] = []
            files: tuple[Path, ...] = ()
            if not interrupted.received:
                found, files = results.show(place, outcomes)
            if found and request.confirm and not interrupted.received:
                trials = results.confirming(found[0], request.confirm)
                again = run_list(place, trials, request.gpus)
                if not interrupted.received:
                    results.show_confirmed(place, again)
                    outcomes += again
    except KeyboardInterrupt:
        interrupted.received = interrupted.received or signal.SIGINT
    if interrupted.received:
        say(f"stopped by {signal.Signals(interrupted.received).name}: the same command continues")
        end_parent(place, "KILLED")
        return exit_status.SIGNAL + interrupted.received
    failed = [each for each in outcomes if each.failed]
    end_parent(place, "FAILED" if failed else "FINISHED", files)
    return exit_status.FAULT if failed else exit_status.SUCCESS


def begin(request: Request) -> Place:
    """Folder, experiment and parent run: those of an earlier start of this sweep, or new ones."""
    from rher_pl.sweep.place import Place, read_state, require_same, write_state
    from rher_pl.sweep.runs import begin_parent

    before = read_state(request.folder)
    if before:
        require_same(before, request.state, request.folder)
    artifacts = request.folder.parents[1] / "artifacts"
    parent = begin_parent(request.tracking_uri, request.name, artifacts, before.get("parent"))
    write_state(request.folder, request.state | {"parent": parent})
    return Place(
        folder=str(request.folder),
        tracking_uri=request.tracking_uri,
        experiment=request.name,
        parent=parent,
        imports=request.imports,
        epochs=request.epochs,
    )


def train(request: Request, place: Place) -> list[Outcome]:
    """Train the trials; complete ones are kept as they are."""
    from rher_pl.sweep.tuning import run_list, run_search

    if request.space:
        (seed,) = request.seeds
        return run_search(place, request.space, seed, request.trials, request.prune, request.gpus)
    return run_list(place, request.listed, request.gpus)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; see ``--help``."""
    return run_command(sweep_command, argv)


if __name__ == "__main__":
    sys.exit(main())
