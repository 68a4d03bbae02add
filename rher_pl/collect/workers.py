"""Ray actors that play shards: started, replaced when they die, and ended."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from tensordict import TensorDict

from rher_pl.cluster.joining import joined
from rher_pl.cluster.machines import check_machines
from rher_pl.errors import ConfigError, TrainingError, fault, one_line, require
from rher_pl.system import usable_cores

MOST_DEATHS = 3
"""Workers that one shard may cost: what kills a fourth one is no accident."""
START_SECONDS = 120.0
"""Until workers have imported everything and built their environments."""


@dataclass(frozen=True)
class Cluster:
    """Where workers are to be.

    Args:
        workers: how many; None is one for each core, and at most one for each shard.
        address: of a Ray head; None starts one on this machine.
        imports: modules of the user's own, which workers need too.
    """

    workers: int | None = None
    address: str | None = None
    imports: Sequence[str] = ()


class Workers:
    """Actors on the cores of a cluster; each plays any shard that it is given.

    Args:
        cluster: where.
        shards: K.
        rows: episodes in a shard.
        kind: class of the worker, with a method ``play``.
        arguments: of its constructor.

    Raises:
        ConfigError: if they cannot be built, or find no room in the cluster.
    """

    def __init__(
        self, cluster: Cluster, shards: int, rows: int, kind: type, arguments: Sequence[Any]
    ) -> None:
        self.rows = rows
        self.actors: list[Any] = []
        self._open = ExitStack()
        try:
            self._join(cluster, shards)
            self.actors = self._build(cluster.workers or shards, shards, kind, arguments)
        except BaseException:
            self.close()
            raise

    def _join(self, cluster: Cluster, shards: int) -> None:
        # A simulator that waits leaves its core to others, so more may be asked for than there are.
        cores = min(cluster.workers or usable_cores(), shards)
        self._open.enter_context(joined(cluster.address, cores, cluster.imports))
        if cluster.address is not None:
            check_machines()

    def _build(self, wanted: int, shards: int, kind: type, arguments: Sequence[Any]) -> list[Any]:
        import ray

        count = min(wanted, shards, int(ray.cluster_resources().get("CPU", 0)))
        require(count > 0, "the cluster has no core for a worker: start one with `ray start`")
        # A worker that dies is built anew by Ray, and plays what it was playing from the beginning.
        actor: Any = ray.remote(num_cpus=1, max_restarts=-1, max_task_retries=MOST_DEATHS)(kind)
        actors = [actor.remote(*arguments) for _ in range(count)]
        try:
            ray.get([each.ready.remote() for each in actors], timeout=START_SECONDS)
        except Exception as error:
            raise ConfigError(
                f"data.shards: {count} workers could not be started ({reason(error)[:200]}): "
                "try --data.workers 1, or a cluster with free cores"
            ) from error
        return actors

    def share(self, value: Any) -> Any:
        """Put a value where all workers find it, once."""
        import ray

        return ray.put(value)

    def play(self, calls: Sequence[tuple[Any, ...]]) -> list[TensorDict]:
        """Answers of ``play`` for each call, in order; a worker takes the next when it is free.

        Raises:
            TrainingError: what a worker raised, or that too many died.
        """
        from ray.util import ActorPool

        try:
            pool: Any = ActorPool(self.actors)  # a new one: nothing is left of calls that failed
            return list(pool.map(lambda worker, call: worker.play.remote(*call), [*calls]))
        except Exception as error:
            raise TrainingError(f"collecting episodes failed: {reason(error)}") from error

    def close(self) -> None:
        """Let go of them, which ends them; a second time does nothing."""
        self.actors = []
        self._open.close()


def reason(error: Exception) -> str:
    """Why a worker failed, in one line: what it raised itself, or what Ray says of its death."""
    from ray.exceptions import GetTimeoutError, RayActorError, RayTaskError

    if isinstance(error, GetTimeoutError):
        return f"not within {START_SECONDS:.0f} s"
    if isinstance(error, RayTaskError):
        return one_line(error.cause) if told(error.cause) else fault(error.cause)
    if isinstance(error, RayActorError):
        return f"a worker died, and all that replaced it ({last_line(error)})"
    return fault(error)


def told(error: Exception) -> bool:
    """Whether an error is a line of ours already."""
    return isinstance(error, ConfigError | TrainingError)


def last_line(error: Exception) -> str:
    """Of what Ray says of a death: it ends with the reason."""
    lines = str(error).split("\n")
    return one_line(next((line for line in reversed(lines) if line.strip()), ""))[:150]
