"""The options of ``data`` alone, from the configs of a training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from rher_pl.cli.fit_parser import FitParser
from rher_pl.cli.yaml_guard import check_arguments, check_yaml, guard_loader, read_config
from rher_pl.errors import ConfigError, require
from rher_pl.training.datamodule import RelayDataModule

WHICH = "write --config with the path of a config, or --data.task with a name"


def make_datamodule(configs: Sequence[str], arguments: Sequence[str]) -> RelayDataModule:
    """The data module of a training, which says what its task is.

    Args:
        configs: paths, later ones win.
        arguments: such as ``--data.task FetchPush-v4``, which win over all.

    Raises:
        ConfigError: for a mistake in any of them.
    """
    require(bool(configs or arguments), f"no task to look at: {WHICH}")
    guard_loader()
    check_arguments(arguments)
    parser = FitParser(prog="python -m rher_pl.check")
    parser.add_class_arguments(RelayDataModule, "data")
    options = parser.get_defaults()
    for config in configs:
        options = parser.parse_object({"data": _data_of(config)}, cfg_base=options)
    options = parser.parse_args(list(arguments), namespace=options)
    datamodule: RelayDataModule = parser.instantiate(options).data
    return datamodule


def _data_of(config: str) -> dict[str, Any]:
    try:
        text = read_config(Path(config))
        check_yaml(text)
        content = yaml.safe_load(text)
    except ConfigError:
        raise
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())[:120]
        raise ConfigError(f"config {config!s:.100} cannot be read ({reason}): {WHICH}") from error
    data = content.get("data", {}) if isinstance(content, dict) else None
    if not isinstance(data, dict):
        raise ConfigError(f"config {config!s:.100} has no section data: {WHICH}")
    return data
