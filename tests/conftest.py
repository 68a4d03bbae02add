"""What several test files share."""

from __future__ import annotations

from pathlib import Path

import pytest
from trained import tiny_checkpoint


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a tiny run on PointPush."""
    return tiny_checkpoint(tmp_path_factory.mktemp("trained"))
