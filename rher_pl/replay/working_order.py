"""Numbers objects in samples as they are worked on, as a Transform before relabelling."""

from __future__ import annotations

from tensordict import TensorDictBase
from torchrl.envs.transforms import Transform

from rher_pl.relay import Layout
from rher_pl.relay.numbering import ObjectNumbers, renumbered

POSITIONS = ("achieved_goals", "desired_goals", "hindsight_goals")


class WorkingOrder(Transform):
    """Gives the objects the numbers that they have at a transition's own time t.

    For a relay of any order. The policy saw the state at t with these numbers, and judged by it
    which object is next; the state at t + 1 and the hindsight goals are numbered alike.

    Args:
        layout: of the observations.
        num_objects: N.
    """

    def __init__(self, layout: Layout, num_objects: int) -> None:
        super().__init__()
        self.numbers = ObjectNumbers(layout, num_objects)

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """Transitions [B] of ``EpisodeStorage.get``, which are changed in place."""
        order = tensordict["sequence"]
        for state in (tensordict, tensordict["next"]):
            state["observation"] = self.numbers(state["observation"], order)
            for key in POSITIONS:
                if key in state.keys():
                    state[key] = renumbered(state[key], order)
        return tensordict
