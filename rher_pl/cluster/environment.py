"""What Ray reads from the environment at the moment it is imported, which TorchRL does early."""

from __future__ import annotations

import os
import sys
from pathlib import Path

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
"""No messages home, no logs of Ray's own beside ours, signals are handled here."""


def prepare_environment() -> None:
    """Set it, where the user has not; call before anything heavy is imported."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    # A head that was started with `ray start` asks for its token, others do not mind one.
    if "ray" not in sys.modules and has_token():
        os.environ.setdefault("RAY_AUTH_MODE", "token")


def has_token() -> bool:
    """Whether there is a token where Ray looks for it."""
    named = {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & {*os.environ}
    return bool(named) or (Path.home() / ".ray" / "auth_token").is_file()
