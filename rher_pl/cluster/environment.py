"""Environment variables that Ray reads when it is imported; TorchRL imports it early."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from rher_pl.errors import ConfigError

ANSWER_SECONDS = 8.0
"""For all attempts to reach an address; Ray's own take more than a minute."""
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_DEDUP_LOGS": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
"""No usage statistics are sent, Ray writes no logs beside ours, and signals are handled here."""
MODE = "RAY_AUTH_MODE"


def prepare_environment(address: str | None) -> None:
    """Set these variables; call this before anything heavy is imported.

    Args:
        address: of a Ray head, which must answer. Our token, if there is one, is used only if the
            head asks for one. None for no head.

    Raises:
        ConfigError: if no head answers there within eight seconds.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    if address is None or answers(address, os.environ):
        return
    with_token = os.environ | {MODE: "token"}
    if MODE not in os.environ and has_token() and answers(address, with_token):
        os.environ[MODE] = "token"
        return
    raise ConfigError(
        f"address {address:.80}: no Ray answers, or it asks for another token: start a head with "
        "`ray start --head`, copy its ~/.ray/auth_token, or leave the address out to use this "
        "machine alone"
    )


def answers(address: str, environment: Mapping[str, str]) -> bool:
    """Whether Ray's own health check finds a head, run with these environment variables."""
    command = [sys.executable, "-m", "ray.scripts.scripts", "health-check"]
    if address != "auto":  # the default without an address
        command += ["--address", address]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            timeout=ANSWER_SECONDS / 2,
            check=False,
            env=environment,
            cwd=sys.prefix,  # `-m` would import modules of the working folder before others
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def has_token() -> bool:
    """Whether there is a token where Ray looks for it."""
    named = {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & {*os.environ}
    return bool(named) or (Path.home() / ".ray" / "auth_token").is_file()
