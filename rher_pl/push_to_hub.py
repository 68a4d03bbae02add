"""Share a policy: ``python -m rher_pl.push_to_hub --run RUN_ID --repo user/name``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rher_pl.cli import exit_status
from rher_pl.cli.command import Parser, positive, run_command
from rher_pl.cli.policy_options import add_policy_options, add_view_option, chosen_policy
from rher_pl.deploy.hub import CARD, POLICY, SCHEME, VIDEO, HubAddress
from rher_pl.errors import require
from rher_pl.evaluation import CARD_SEED

if TYPE_CHECKING:
    from rher_pl.deploy.trained import TrainedPolicy

VIDEO_EPISODES, PICTURE = 3, (480, 360)


def make_parser() -> argparse.ArgumentParser:
    parser = Parser(
        "rher_pl.push_to_hub",
        "Share a trained policy on the Hugging Face Hub: its file, a card with its success on\n"
        "fresh seeds, and a video. `hf auth login` or HF_TOKEN says who you are.",
    )
    add_policy_options(parser)
    parser.add_argument("--repo", metavar="USER/NAME", required=True, help="repository on the Hub")
    parser.add_argument("--private", action="store_true", help="only you can see a new repository")
    parser.add_argument(
        "--license", metavar="NAME", help="license of the policy, such as mit (not stated)"
    )
    parser.add_argument(
        "--episodes", type=positive, default=100, help="episodes evaluated for the card (100)"
    )
    parser.add_argument(
        "--threads", type=positive, default=1, help="threads that step simulations (1)"
    )
    parser.add_argument("--no_video", action="store_true", help="make and upload no video")
    add_view_option(parser)
    parser.add_argument(
        "--out", metavar="DIR", default="hub", help="folder in which the files are made (hub)"
    )
    parser.add_argument("--dry_run", action="store_true", help="make the files, upload nothing")
    return parser


def require_public(trained: TrainedPolicy) -> None:
    """Refuse a policy whose file names a path on this machine.

    Raises:
        ConfigError: names the path, such as one in the ``make_kwargs`` of its environment.
    """
    from rher_pl.checkpoints.policy import policy_content

    home = str(Path.home())
    for text in _texts(policy_content(trained.stored)):
        local = text.startswith(("/", "~", "file:")) or (len(home) > 1 and home in text)
        require(
            not local,
            f"{text!r:.120} in the description of the policy's task is a path on this machine, "
            "which nobody else has: train with files that others have, too",
        )


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from _texts([*value, *value.values()])
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _texts(each)


def make_files(
    trained: TrainedPolicy,
    figures: dict[str, Any],
    address: HubAddress,
    options: argparse.Namespace,
) -> list[Path]:
    """Write what is to be uploaded; returns the paths."""
    from rher_pl.deploy.exporting import export
    from rher_pl.deploy.hub_card import hub_card
    from rher_pl.tracking.provenance import versions

    folder = Path(options.out)
    folder.mkdir(parents=True, exist_ok=True)
    files = [export(trained, "pretrained", folder, Path(POLICY).stem, ""), folder / CARD]
    files[-1].write_text(hub_card(trained, figures, versions(), str(address), options.license))
    if not options.no_video:
        files.append(folder / VIDEO)
        make_video(trained, options.view, files[-1])
    return files


def make_video(trained: TrainedPolicy, view: str, path: Path) -> None:
    """Write the first episodes of the card, one after another."""
    from contextlib import closing

    from rher_pl.pictures.acting import TaskPolicy
    from rher_pl.pictures.playback import play
    from rher_pl.pictures.scenes import make_scene
    from rher_pl.pictures.video import encode, one_after_another

    with closing(make_scene(trained.task, view, PICTURE)) as scene:
        playbacks = [
            play(scene, TaskPolicy(trained.policy), trained.relay, seed, f"seed {seed}  ")
            for seed in range(CARD_SEED, CARD_SEED + VIDEO_EPISODES)
        ]
    encode(one_after_another(playbacks), path)


def push_command(argv: Sequence[str]) -> int:
    options = make_parser().parse_args(argv)

    from rich.console import Console

    from rher_pl.cli.quiet import quiet
    from rher_pl.deploy.hub_upload import check_upload, upload
    from rher_pl.deploy.measure import measure
    from rher_pl.evaluation.report import report_table, share_text
    from rher_pl.paths import check_writable
    from rher_pl.pictures.rendering import use_backend
    from rher_pl.pictures.scenes import has_camera

    quiet()
    console = Console(soft_wrap=True, highlight=False)
    address = HubAddress.read(f"{SCHEME}{options.repo.removeprefix(SCHEME)}")
    require(address.revision is None, f"{address} names a revision: write --repo {address.repo}")
    check_writable(options.out, "--out")
    if not options.dry_run:
        check_upload(address, options.private, options.license)
    trained = chosen_policy(options)
    require_public(trained)
    if not options.no_video and options.view == "camera" and has_camera(trained.task):
        use_backend()  # fails now, not after all episodes were played
    figures = measure(trained, options.episodes, CARD_SEED, options.threads)
    console.print(report_table(figures["subtasks"], f"{trained.task_name}, for {address}"))
    files = make_files(trained, figures, address, options)
    console.print(f"{', '.join(map(str, files))}: written")
    if options.dry_run:
        return exit_status.SUCCESS
    *_, groups = figures["subtasks"].values()
    message = f"{trained.task_name}: success {share_text(groups['all'])}"
    obsolete = [VIDEO] if options.no_video else []
    page = upload(address, files, obsolete, message, options.private)
    console.print(f'{page}: uploaded; use it with rher_pl.load_policy("{address}")')
    return exit_status.SUCCESS


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; 0 on success, 2 for a mistake in the arguments or if the Hub fails."""
    return run_command(push_command, argv)


if __name__ == "__main__":
    sys.exit(main())
