"""Changes to a checkpoint's content before Lightning loads it into a module."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from rher_pl.checkpoints.continuing import changed, require_unchanged
from rher_pl.checkpoints.info import dotted, made_with
from rher_pl.checkpoints.layout import OPTIMIZERS, TENSORS
from rher_pl.checkpoints.policy import PARTS

SOURCE = "the checkpoint"
RATES = ("model.learning_rate", "model.final_learning_rate", "model.learning_rate_epochs")


def continue_under(
    content: dict[str, Any], model: Mapping[str, Any], data: Mapping[str, Any]
) -> None:
    """Let changed options take effect, and refuse those that cannot; see ``continuing.py``.

    Args:
        content: of the checkpoint; changed in place.
        model, data: options of module and data module.

    Raises:
        ConfigError: for options that cannot take effect any more.
    """
    before, now = made_with(content, SOURCE), dotted(model, data)
    require_unchanged(before, now, SOURCE)
    falls = model["final_learning_rate"] is not None
    rates = [name for name in RATES if falls or name != "model.learning_rate_epochs"]
    if {*rates} & {*changed(before, now)}:  # else keep it: a schedule may have set it
        for optimizer in content[OPTIMIZERS]:
            for group in optimizer["param_groups"]:
                group["lr"] = model["learning_rate"]


def complete(content: dict[str, Any], own: Mapping[str, Tensor]) -> bool:
    """Add the module's own tensors where a file cut down to its policy has none.

    Args:
        content: of the checkpoint; changed in place.
        own: tensors of the module, by name.

    Returns:
        Whether nothing was missing, the critic included.
    """
    tensors = content[TENSORS]
    others = {name: value for name, value in own.items() if not name.startswith(tuple(PARTS))}
    missing = {name: value for name, value in others.items() if name not in tensors}
    tensors.update(missing)
    return not missing
