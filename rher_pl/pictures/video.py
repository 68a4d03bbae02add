"""Pictures of played episodes as a video."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

from rher_pl.errors import require
from rher_pl.paths import check_output_file
from rher_pl.pictures.overlay import tile
from rher_pl.pictures.playback import Playback
from rher_pl.pictures.scenes import Picture

FRAMES_PER_SECOND = 25
"""Real time: Fetch takes 25 env steps in a simulated second."""
HOLD = 15
"""Frames for which the last picture of an episode stays."""
SUFFIXES = (".mp4", ".mkv", ".mov")


def one_after_another(playbacks: Sequence[Playback]) -> Iterator[Picture]:
    """Frames of all episodes in turn; each last picture stays for a moment."""
    for playback in playbacks:
        yield from playback.frames
        yield from [playback.frames[-1]] * HOLD


def side_by_side(playbacks: Sequence[Playback], columns: int = 3) -> Iterator[Picture]:
    """Frames of all episodes at once, in a grid; the last picture of a short one stays."""
    for index in range(max(len(playback.frames) for playback in playbacks)):
        sheet = tile([p.frames[min(index, len(p.frames) - 1)] for p in playbacks], columns)
        yield sheet
    yield from [sheet] * (2 * HOLD)


def strip(frames: Sequence[Picture], count: int) -> Picture:
    """A few frames, evenly over the episode, side by side."""
    chosen = [frames[round(i * (len(frames) - 1) / (count - 1))] for i in range(count)]
    return tile(chosen, count)


def check_video_path(path: str) -> None:
    """Refuse a file that could not be written, before anything is played.

    Raises:
        ConfigError: for another kind of file than a video, or a folder that does not exist.
    """
    file = Path(path)
    require(file.suffix in SUFFIXES, f"{path:.100} names no video: end it in {', '.join(SUFFIXES)}")
    check_output_file(file, "--video")


def encode(frames: Iterator[Picture], path: str | Path) -> int:
    """Write a video in H.264, which every browser plays; returns the number of frames."""
    import av

    count = 0
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream(
            "libx264", rate=Fraction(FRAMES_PER_SECOND), options={"crf": "23"}
        )
        stream.pix_fmt = "yuv420p"
        for count, picture in enumerate(frames, start=1):
            if count == 1:
                stream.height, stream.width = picture.shape[:2]
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return count
