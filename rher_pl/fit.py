"""Train, validate or test: ``python -m rher_pl.fit --config configs/push.yaml``.

Nothing heavy is imported before the arguments are known to need it, so that help is instant.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Sequence

from rher_pl.cli import exit_status
from rher_pl.cli.command import run_command
from rher_pl.cli.shipped_configs import with_shipped_configs
from rher_pl.cli.subcommands import split_command
from rher_pl.cluster.environment import prepare_environment

HELP = """\
usage: python -m rher_pl.fit [fit|validate|test] --config FILE [options]

Train a policy with Relay Hindsight Experience Replay.

commands:
  fit (default)   train; needs --config
  validate, test  evaluate a checkpoint on the fixed evaluation seeds; needs --ckpt_path

options (default):
  --config FILE                    YAML with any of these options; later ones win. A name such as
                                   `push` is a config that comes with the package
  --ckpt_path FILE                 continue from, or evaluate, this checkpoint; `last` and
                                   `best` find the newest whole one in the recorder's folder
  --print_config                   print the resolved config and stop
  --seed_everything INT            seed of everything (0)
  --trainer.max_epochs INT         epochs to train, one evaluation each (set by the config)
  --trainer.precision NAME         32-true, or bf16-mixed (where the CPU has bfloat16)
  --import MODULE                  import a module of yours first, such as my_package.tasks
  --data.task NAME                 task; a config may describe your own instead (FetchPush-v4)
  --data.relay NAME                full is RHER, none plain HER; or ordered (full)
  --data.num_envs INT              environments stepped side by side (5)
  --data.updates_per_episode INT   TD3 updates for each episode (40)
  --data.batch_size INT            samples from each subtask in a mixed batch (256)
  --data.relabel_ratio FLOAT       share of samples with a hindsight goal (0.8)
  --data.eval_every_env_steps INT  env steps in an epoch (2500)
  --model.algorithm NAME           td3 or ddpg (td3)
  --model.engine NAME              auto, eager, compile or native: what computes updates (auto)
  --model.gamma FLOAT              discount (0.95)
  --model.learning_rate FLOAT      of both Adam optimizers (0.002)
  --until.success FLOAT            end once success reaches this, also on fresh seeds; null: never
  --recorder.folder DIR            where runs and checkpoints go (mlruns)
  --recorder.tracking_uri URI      MLflow store (sqlite:///<folder>/mlflow.db)
  --video.every_evaluations INT    evaluations between two videos, 0 for none (20)

examples:
  python -m rher_pl.fit --config configs/push.yaml
  python -m rher_pl.fit --config configs/push.yaml --model.gamma 0.98 --data.num_envs 16
  python -m rher_pl.fit test --ckpt_path mlruns/checkpoints/<run id>/best.ckpt

`python -m rher_pl.fit fit --help` lists every option."""


def fit_command(argv: Sequence[str]) -> int:
    arguments = with_shipped_configs(split_command(argv))
    prepare_environment(os.environ.get("RAY_ADDRESS") or None)

    from rher_pl.cli.run_fit import run

    return run(arguments)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    Returns:
        One of ``exit_status``; on failure one line on stderr says what was wrong, and what to
        write instead.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments in (["-h"], ["--help"]):
        print(HELP)
        return exit_status.SUCCESS
    # Imports make a million objects that stay: collecting garbage among them takes more than a
    # second. The callback GarbageCollection turns collection on when training starts.
    gc.disable()
    try:
        return run_command(fit_command, arguments)
    except KeyboardInterrupt:  # before a run began
        return exit_status.SIGNAL + signal.SIGINT
    finally:
        gc.unfreeze()
        gc.enable()


if __name__ == "__main__":
    status = main()
    gc.freeze()  # else Python spends seconds at exit on collecting what is freed anyway
    sys.exit(status)
