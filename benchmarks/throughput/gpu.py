"""How fast a GPU learns, measured in one run and recorded under the GPU's name.

Updates per second on batches of 256, 512 and of the config: by PyTorch operation by operation, and
by compiled updates that are replayed as CUDA graphs. The seconds to compile are shown, too.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from rich.table import Table

from benchmarks.learning.settings import Settings, resolve
from benchmarks.throughput.measure import QUICK, Subject
from benchmarks.throughput.report import finish, provenance
from benchmarks.throughput.rounds import Contestant, interleave
from benchmarks.throughput.updates import make_batches, model_options
from rher_pl.choices import Engine
from rher_pl.cli.command import Parser, positive, run_command
from rher_pl.errors import require
from rher_pl.learner.engines import warm_up, with_engine
from rher_pl.learner.precision import compute_type, default_precision
from rher_pl.training.module import RHERModule

ROWS = {
    "eager, float32": (Engine.eager, "32-true"),
    "eager": (Engine.eager, None),
    "compile, float32": (Engine.compile, "32-true"),
    "compile": (Engine.compile, None),
}
"""Engine and precision; None is the precision that a run takes by default."""
FOLDER = Path("benchmarks/results/throughput")


def make_parser() -> Parser:
    parser = Parser("benchmarks.throughput.gpu", __doc__ or "")
    config = Path("configs/push.yaml")
    parser.add_argument("--config", type=Path, default=config, help=f"of the learner ({config})")
    parser.add_argument("--updates", type=positive, default=200, help="updates in a round (200)")
    parser.add_argument("--rounds", type=positive, default=7, help="rounds of all rows in turn (7)")
    parser.add_argument("--results", type=Path, help=f"JSON file ({FOLDER}/<GPU>.json)")
    return parser


def contestant(
    settings: Settings, row: str, batch_size: int, updates: int
) -> tuple[Contestant, float]:
    """A contestant that does ``updates`` of a row on the GPU, and the seconds it took to build."""
    engine, precision = ROWS[row]
    device = torch.device("cuda", torch.cuda.current_device())
    torch.manual_seed(0)
    td3 = RHERModule(**model_options(settings)).td3.to(device)
    td3.compute_type = compute_type(precision or default_precision("gpu"))
    begin = time.perf_counter()
    learner = with_engine(td3, engine, device)
    warm_up(learner, [batch_size])
    seconds = time.perf_counter() - begin
    batches = {k: v.to(device) for k, v in make_batches(learner, updates, batch_size).items()}
    return _synchronised(lambda: learner.learn(batches), updates), seconds


def _synchronised(learn: Callable[[], object], updates: int) -> Contestant:
    def work() -> int:
        learn()
        torch.cuda.synchronize()
        return updates

    return work


def body(arguments: Sequence[str]) -> int:
    """Measure, show and record."""
    options = make_parser().parse_args(arguments)
    require(torch.cuda.is_available(), "PyTorch finds no GPU on this machine")
    settings, name = resolve(options.config, {}), torch.cuda.get_device_name()
    results = provenance(False) | {"gpu": name, "config": options.config.stem, "batches": {}}
    mixed = Subject(options.config, settings, QUICK).batch_size
    table = Table("batch", "engine", "updates/s", "quartiles", "seconds to build", title=name)
    for batch_size in sorted({256, 512, mixed}):
        built = {row: contestant(settings, row, batch_size, options.updates) for row in ROWS}
        rates = interleave({row: work for row, (work, _) in built.items()}, options.rounds)
        for row, rate in rates.items():
            spread = f"{rate.low:,.0f} to {rate.high:,.0f}"
            seconds = built[row][1]
            table.add_row(str(batch_size), row, f"{rate.median:,.0f}", spread, f"{seconds:.1f}")
        results["batches"][batch_size] = {
            row: {"updates_per_second": rate._asdict(), "seconds_to_build": built[row][1]}
            for row, rate in rates.items()
        }
    path = options.results or FOLDER / f"{name.replace(' ', '_')}.json"
    return finish(table, results, path)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; see ``--help``."""
    return run_command(body, argv)


if __name__ == "__main__":
    sys.exit(main())
