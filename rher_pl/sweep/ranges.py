"""What a sweep varies, as the command line writes it: seeds, grids, and ranges to search."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rher_pl.errors import ConfigError, require
from rher_pl.suggest import did_you_mean

WHOLE_RANGE = re.compile(r"(\d+)\.\.(\d+)")
OPTION = re.compile(r"(?:--)?(?P<name>[\w.]+)=(?P<value>.*)")
DISTRIBUTION = re.compile(r"(?P<kind>\w+)\((?P<ends>.*)\)")
CONTINUOUS = ("log", "uniform", "int")


@dataclass(frozen=True)
class Range:
    """Where a search looks for the value of an option.

    Args:
        kind: ``log`` (uniform in the logarithm), ``uniform``, ``int`` or ``choice``.
        values: the two ends, both included; of ``choice`` all values.
    """

    kind: str
    values: tuple[str, ...]


def parse_seeds(text: str) -> tuple[int, ...]:
    """Seeds from ``0..4`` or ``0,3,7``, also mixed; each once.

    Raises:
        ConfigError: for anything else, an empty or a reversed range.
    """
    seeds = [int(value) for value in _expanded("--seeds", text) if value.isdigit()]
    whole = len(seeds) == len(_expanded("--seeds", text))
    require(whole, f"--seeds {text!r:.60}: write whole numbers from 0, as 0..4 or 0,3,7")
    require(len({*seeds}) == len(seeds), f"--seeds {text:.60} names a seed twice: once is enough")
    return tuple(seeds)


def parse_grid(options: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """``model.gamma=0.95,0.98`` as values by name; a list in brackets is one value."""
    grid: dict[str, tuple[str, ...]] = {}
    for option in options:
        name, text = _name_and_value("--grid", option, "model.gamma=0.95,0.98")
        values = _expanded(f"--grid {name}", text)
        require(name not in grid, f"--grid has {name} twice: write its values in one list")
        require(len({*values}) == len(values), f"--grid {option:.80} has a value twice")
        grid[name] = tuple(values)
    return grid


def parse_search(options: Sequence[str]) -> dict[str, Range]:
    """``model.learning_rate=log(1e-4,1e-2)`` as ranges by name; a bare list is a choice."""
    example = "model.learning_rate=log(1e-4,1e-2)"
    space: dict[str, Range] = {}
    for option in options:
        name, text = _name_and_value("--search", option, example)
        require(name not in space, f"--search has {name} twice: write one range")
        found = DISTRIBUTION.fullmatch(text)
        if found is None:
            values = _expanded(f"--search {name}", text)
            require(len(values) > 1, f"--search {option:.80} leaves no choice: write {example}")
            space[name] = Range("choice", tuple(values))
            continue
        kind = found["kind"]
        hint = did_you_mean(kind, CONTINUOUS, f"write one of {', '.join(CONTINUOUS)}, or a list")
        require(kind in CONTINUOUS, f"--search {name}: unknown range {kind:.40}: {hint}")
        space[name] = Range(kind, _ends(f"--search {name}", kind, found["ends"]))
    return space


def split_list(text: str) -> list[str]:
    """Split at commas outside of brackets: ``[64,192],[128,128]`` are two values."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]


def _name_and_value(where: str, option: str, example: str) -> tuple[str, str]:
    found = OPTION.fullmatch(option.strip())
    if found is None:
        raise ConfigError(f"{where} {option!r:.80}: write {example}")
    return found["name"], found["value"].strip()


def _expanded(where: str, text: str) -> list[str]:
    """The values of a list in which ``2..5`` stands for four of them."""
    values: list[str] = []
    for part in split_list(text):
        require(bool(part), f"{where} {text!r:.60} has an empty value: write values and commas")
        if found := WHOLE_RANGE.fullmatch(part):
            first, last = int(found[1]), int(found[2])
            require(first <= last, f"{where} {part} is reversed: did you mean {last}..{first}?")
            values += [str(value) for value in range(first, last + 1)]
        else:
            require(".." not in part, f"{where} {part!r:.40} is no range: write it as 0..4")
            values.append(part)
    return values


def _ends(where: str, kind: str, text: str) -> tuple[str, str]:
    ends = split_list(text)
    try:
        low, high = (int(end) if kind == "int" else float(end) for end in ends)
    except ValueError as error:
        example = "int(2,8)" if kind == "int" else f"{kind}(1e-4,1e-2)"
        raise ConfigError(f"{where}: {kind}({text:.40}) needs two ends: write {example}") from error
    require(low != high, f"{where}: {kind}({text:.40}) is empty: its ends must differ")
    turned = f"{kind}({ends[1]},{ends[0]})"
    require(low < high, f"{where}: {kind}({text:.40}) is reversed: did you mean {turned}?")
    require(
        kind != "log" or low > 0, f"{where}: log({text:.40}) must lie above 0, or write uniform"
    )
    return ends[0], ends[1]
