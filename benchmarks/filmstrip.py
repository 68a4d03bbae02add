"""A strip of pictures of one episode of a trained policy, for the README.

Renders off-screen through gymnasium; without a display, set ``MUJOCO_GL=osmesa`` (or ``egl``).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import gymnasium as gym
import gymnasium_robotics
import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure
from tensordict import TensorDict

from rher_pl.training.module import RHERModule

matplotlib.use("Agg")

CROP = (slice(180, 370), slice(140, 420))
"""The table and the arm, in pictures of 480 by 480 from the task's default camera."""


def states(observation: dict[str, np.ndarray]) -> TensorDict:
    """A batch of one state from a Fetch observation; the gripper's position comes first in it."""
    values = {k: torch.as_tensor(v, dtype=torch.float32) for k, v in observation.items()}
    points = [values["observation"][:3]]
    if not torch.equal(points[0], values["achieved_goal"]):
        points.append(values["achieved_goal"])
    return TensorDict(
        {
            "observation": values["observation"],
            "achieved_goals": torch.stack(points),
            "desired_goals": values["desired_goal"].unsqueeze(0),
        }
    ).unsqueeze(0)


@torch.no_grad()
def frames(module: RHERModule, seed: int, count: int) -> list[tuple[int, np.ndarray, bool]]:
    """``count`` pictures evenly over an episode: (step, image, solved)."""
    gym.register_envs(gymnasium_robotics)
    env = gym.make(module.hparams["task"], render_mode="rgb_array", width=480, height=480)
    observation, _ = env.reset(seed=seed)
    subtask = torch.tensor([module.relay.last])
    length = env.spec.max_episode_steps if env.spec and env.spec.max_episode_steps else 50
    wanted = set(np.linspace(0, length, count).round().astype(int).tolist())
    shots, solved = [], False
    for step in range(length + 1):
        if step in wanted:
            shots.append((step, np.asarray(env.render()), solved))
        action = module.evaluated_policy(states(observation), subtask)[0].numpy()
        if step < length:
            observation, _, _, _, info = env.step(action)
            solved = bool(info["is_success"])
    env.close()
    return shots


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ckpt", type=Path, required=True, help="checkpoint of a Fetch task")
    parser.add_argument("--out", type=Path, required=True, help="PNG to write")
    parser.add_argument("--seed", type=int, default=1_000_000, help="of the episode")
    parser.add_argument("--count", type=int, default=5, help="pictures in the strip")
    options = parser.parse_args()
    module = RHERModule.load_from_checkpoint(options.ckpt, map_location="cpu", weights_only=True)
    shots = frames(module.eval(), options.seed, options.count)
    figure = Figure(figsize=(2.4 * len(shots), 1.9), dpi=110, layout="constrained")
    for axes, (step, image, solved) in zip(figure.subplots(1, len(shots)), shots):
        axes.imshow(image[CROP])
        axes.set_title(f"step {step}" + (", solved" if solved else ""), fontsize=10)
        axes.set_axis_off()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.out)
    print(f"{options.out}: solved at the end: {'yes' if shots[-1][2] else 'no'}")


if __name__ == "__main__":
    main()
