"""Writes ``docs/configuration.md`` from signatures and docstrings.

``python -m tools.configuration_page``; run by ``make docs``.
"""

from __future__ import annotations

import inspect
import json
from enum import Enum
from pathlib import Path
from typing import Any

from docstring_parser import parse

from rher_pl.checkpoints.continuing import on_continuing
from rher_pl.choices import LINKED

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "configuration.md"
CONFIGS = ROOT / "configs"

INTRODUCTION = """\
# Configuration

This page is made by `make docs` from the code; change the docstrings there.

An option is written on the command line (`--model.gamma 0.98`) or in a YAML file (`--config`); if
it is given twice, the later one counts. A config says only what differs from the defaults below.
The seed of everything is `--seed_everything` (default 0), the number of epochs
`--trainer.max_epochs`. The command

```sh
python -m rher_pl.fit --config configs/push.yaml --print_config
```

prints every value as resolved, those of Lightning's `Trainer` (`--trainer.*`) included.

The last column says what happens if a run is continued (`--ckpt_path`) with another value:

- *same run*: it takes effect, and the same run goes on;
- *new run*: it takes effect in a new run, which names the run that it continues;
- *refused*: it cannot take effect any more, and the command ends with one line that says so.

Options that are not listed here: another `--seed_everything` is {seed}, another
`--trainer.precision` is {precision}, and any other `--trainer.*` is {trainer}, because the trainer
is built anew. Callbacks that you add yourself restore what they saved: Lightning's `EarlyStopping`,
for example, keeps its old `patience`.
"""


def introduction() -> str:
    """What comes before the tables."""
    of_others = {
        "seed": on_continuing("seed_everything"),
        "precision": on_continuing("trainer.precision"),
        "trainer": on_continuing("trainer.max_epochs"),
    }
    return INTRODUCTION.format(**{name: f"*{change.value}*" for name, change in of_others.items()})


def section(name: str, target: type, text: str) -> str:
    """A heading and a table with an option per row.

    Args:
        name: the options' prefix.
        target: class whose signature and ``Args`` describe them.
        text: one sentence below the heading.
    """
    documented: dict[str, str] = {}
    for entry in parse(target.__doc__ or "").params:
        for option in entry.arg_name.split(","):
            documented[option.strip()] = " ".join((entry.description or "").split())
    rows = [f"## `{name}`", "", text, "", "| option | default | meaning | on continuing |"]
    rows.append("|---|---|---|---|")
    for option, parameter in inspect.signature(target).parameters.items():
        if f"{name}.{option}" in LINKED:
            continue
        meaning = documented[option]  # a KeyError here is an option without a docstring
        default = plain(parameter.default)
        meaning = f"{meaning[:1].upper()}{meaning[1:]}"
        change = on_continuing(f"{name}.{option}").value
        rows.append(f"| `--{name}.{option}` | `{default}` | {meaning} | {change} |")
    return "\n".join(rows) + "\n"


def plain(value: Any) -> str:
    """A default, as it is written in YAML."""
    if isinstance(value, Enum):
        return str(value.value)
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)


def configs() -> str:
    """What each shipped config sets."""
    parts = ["## Shipped configs\n"]
    for path in sorted(CONFIGS.glob("*.yaml")):
        parts.append(f"`configs/{path.name}`:\n\n```yaml\n{path.read_text()}```\n")
    return "\n".join(parts)


def page() -> str:
    """The whole page."""
    from rher_pl.callbacks.recording import RunRecorder
    from rher_pl.callbacks.until import UntilSolved
    from rher_pl.callbacks.video import VideoRecorder
    from rher_pl.training.datamodule import RelayDataModule
    from rher_pl.training.module import RHERModule

    return "\n".join(
        [
            introduction(),
            section("data", RelayDataModule, "Task, exploration, replay and evaluation."),
            section("model", RHERModule, "The learner and its networks."),
            section("until", UntilSolved, "When a run ends before its last epoch."),
            section("recorder", RunRecorder, "What is recorded, and where."),
            section("video", VideoRecorder, "Videos of the policy beside the run."),
            configs(),
        ]
    )


if __name__ == "__main__":
    PAGE.write_text(page())
    print(f"wrote {PAGE}")
