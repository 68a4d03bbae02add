"""How each kind of file is used, as lines of Python for its card."""

from __future__ import annotations

from rher_pl.tasks import Task

LINES = {
    "onnx": """\
import onnxruntime

session = onnxruntime.InferenceSession("{file}")
names = ("observation", "achieved_goal", "desired_goal")
action = session.run(["action"], {{name: observation[name][None] for name in names}})[0][0]
""",
    "torchscript": """\
import torch

policy = torch.jit.load("{file}")
names = ("observation", "achieved_goal", "desired_goal")
action = policy(*(torch.from_numpy(observation[name])[None] for name in names))[0].numpy()
""",
    "torch_export": """\
import torch

policy = torch.export.load("{file}").module()
names = ("observation", "achieved_goal", "desired_goal")
action = policy(*(torch.from_numpy(observation[name])[None] for name in names))[0].numpy()
""",
    "mlflow": """\
import mlflow

model = mlflow.pyfunc.load_model("{file}")
names = ("observation", "achieved_goal", "desired_goal")
action = model.predict({{name: observation[name][None] for name in names}})[0]
""",
    "pretrained": """\
from rher_pl import load_policy

policy = load_policy("{file}")
action = policy(observation)
""",
}
"""By kind of file; ``observation`` is what a Gymnasium environment gives."""
EPISODE = """\
import gymnasium as gym, gymnasium_robotics
from rher_pl import load_policy

policy, env = load_policy("{name}"), gym.make("{task}")
observation, _ = env.reset(seed=0)
for _ in range({steps}):
    observation, reward, _, _, info = env.step(policy(observation))
"""


def fenced(code: str) -> str:
    """A block of Python in Markdown."""
    return f"```python\n{code}```\n"


def usage(files: dict[str, str]) -> str:
    """How to use files, as a part of a card in Markdown; each takes one state here.

    Args:
        files: name of each, by kind.
    """
    if not files:
        return ""
    parts = ["## Use\n", "`observation` is what the environment gives, float64:\n"]
    return "\n".join([*parts, *(fenced(LINES[kind].format(file=f)) for kind, f in files.items())])


def episode(name: str, task: Task) -> str:
    """Python that loads a policy and plays an episode of its Gymnasium task, in Markdown."""
    import gymnasium

    from rher_pl.envs import fetch_sim  # noqa: F401 registers the environments

    assert task.gymnasium_id is not None
    steps = gymnasium.spec(task.gymnasium_id).max_episode_steps
    return fenced(EPISODE.format(name=name, task=task.gymnasium_id, steps=steps))
