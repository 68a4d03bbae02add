"""Ray actors that play shards: starting them, replacing those that die, and ending them."""

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
"""How often a shard is played again after its worker died; the next death is an error."""
START_SECONDS = 120.0
"""Time in which workers must import everything and build their environments."""


@dataclass(frozen=True)
class Cluster:
    """Where workers run.

    Args:
        workers: number of workers, at most one for each shard; None is one for each core.
        address: of a Ray head; None starts one on this machine.
        imports: the user's own modules, which workers need too.
    """

    workers: int | None = None
    address: str | None = None
    imports: Sequence[str] = ()


class Workers:
    """Actors on the cores of a cluster; each plays any shard that it is given.

    Args:
        cluster: where they run.
        shards: K, number of shards.
        rows: episodes in a shard.
        kind: class of the worker, with methods ``ready`` and ``play``.
        arguments: of its constructor.

    Raises:
        ConfigError: if workers cannot be started, or the cluster has no core for them.
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
        # A simulator that waits leaves its core to others, so there may be more workers than cores.
        cores = min(cluster.workers or usable_cores(), shards)
        self._open.enter_context(joined(cluster.address, cores, cluster.imports))
        if cluster.address is not None:
            check_machines()

    def _build(self, wanted: int, shards: int, kind: type, arguments: Sequence[Any]) -> list[Any]:
        import ray

        count = min(wanted, shards, int(ray.cluster_resources().get("CPU", 0)))
        require(count > 0, "the cluster has no core for a worker: add a machine with `ray start`")
        # Ray rebuilds a worker that dies, and the worker plays its shard again from the beginning.
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
        """Store a value once for all workers, and return a reference to it."""
        import ray

        return ray.put(value)

    def play(self, calls: Sequence[tuple[Any, ...]]) -> list[TensorDict]:
        """Results of ``play`` for each call, in order; a worker that is free takes the next call.

        Raises:
            TrainingError: if a worker raised an error, or too many died.
        """
        from ray.util import ActorPool

        try:
            pool: Any = ActorPool(self.actors)  # a new one, without calls left over from a failure
            return list(pool.map(lambda worker, call: worker.play.remote(*call), [*calls]))
        except Exception as error:
            raise TrainingError(f"collecting episodes failed: {reason(error)}") from error

    def close(self) -> None:
        """Drop the actors, which ends them; a second call does nothing."""
        self.actors = []
        self._open.close()


def reason(error: Exception) -> str:
    """Why a worker failed, in one line: what it raised itself, or what Ray says of its death."""
    from ray.exceptions import GetTimeoutError, RayActorError, RayTaskError

    if isinstance(error, GetTimeoutError):
        return f"not ready within {START_SECONDS:.0f} s"
    if isinstance(error, RayTaskError):
        return one_line(error.cause) if told(error.cause) else fault(error.cause)
    if isinstance(error, RayActorError):
        return f"a worker died, and all that replaced it ({last_line(error)})"
    return fault(error)


def told(error: Exception) -> bool:
    """Whether an error's message is one line of this package already."""
    return isinstance(error, ConfigError | TrainingError)


def last_line(error: Exception) -> str:
    """Last line of what Ray says of a death, which is the reason."""
    lines = str(error).split("\n")
    return one_line(next((line for line in reversed(lines) if line.strip()), ""))[:150]
