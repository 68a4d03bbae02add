"""The policy of a module in memory, of the same type as one from a file."""

from __future__ import annotations

import copy

from rher_pl.checkpoints.policy import EXPLORATION, StoredPolicy
from rher_pl.deploy.portable import PortablePolicy
from rher_pl.deploy.trained import TrainedPolicy
from rher_pl.training.module import RHERModule


def policy_of(module: RHERModule) -> TrainedPolicy:
    """The evaluated policy of a module as it is now; training on does not change it.

    Args:
        module: trained, or being trained, on any device.
    """
    policy = copy.deepcopy(module.evaluated_policy).eval().requires_grad_(False)
    trainer = module._trainer  # None of a module that no trainer has had
    data = getattr(getattr(trainer, "datamodule", None), "hparams", {})
    stored = StoredPolicy(
        module.entry(),
        dict(module.hparams),
        {name: data[name] for name in EXPLORATION if name in data},
        policy.state_dict(),
        "the module",
    )
    portable = PortablePolicy(policy, module.task.interface)
    return TrainedPolicy(policy, portable, stored, "module")
