"""A strip of pictures of one episode of a trained policy, for the README.

Other options are those of python -m rher_pl.evaluate, such as --pretrained push --seed 1000000.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from rher_pl.cli.command import Parser, positive, run_command
from rher_pl.errors import ConfigError


def body(arguments: Sequence[str]) -> int:
    """Let ``evaluate`` make a video, and put pictures of it side by side; exit status."""
    from rher_pl import evaluate

    parser = Parser("tools.filmstrip", __doc__ or "")
    parser.add_argument("--out", type=Path, required=True, help="PNG to write")
    parser.add_argument("--count", type=positive, default=5, help="pictures in the strip (5)")
    parser.add_argument("--until", type=positive, help="env step of the last picture (the last)")
    options, rest = parser.parse_known_args(arguments)
    if not options.out.absolute().parent.is_dir():
        raise ConfigError(f"--out {options.out}: make the folder first")
    with tempfile.TemporaryDirectory() as folder:
        video = str(Path(folder, "episode.mp4"))
        one = ["--episodes", "1", "--video_episodes", "1", "--video", video]
        if status := evaluate.main([*rest, *one]):
            return status
        write_strip(video, options.count, options.out, options.until)
    print(options.out)
    return 0


def write_strip(video: str, count: int, path: Path, until: int | None = None) -> None:
    """Some frames, evenly over a video or its first env steps, from left to right."""
    import av

    with av.open(video) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    last = len(frames) - 1 if until is None else min(until, len(frames) - 1)
    chosen = np.linspace(0, last, count).round().astype(int)
    Image.fromarray(np.concatenate([frames[i] for i in chosen], axis=1)).save(path)


if __name__ == "__main__":
    sys.exit(run_command(body, None))
