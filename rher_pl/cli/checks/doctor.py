"""What can be wrong with a machine, and the fix for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rher_pl.cli.checks.finding import Finding, Level
from rher_pl.cli.checks.machine import (
    check_cpu,
    check_folder,
    check_gpu,
    check_rendering,
    check_tracking,
)
from rher_pl.cli.checks.software import (
    check_packages,
    check_python,
    check_simulator,
    check_tasks,
    install_command,
)


def all_findings(folder: str, tracking_uri: str | None) -> Iterator[Finding]:
    """Every check in turn; one that itself fails is a finding, too."""
    checks: list[Callable[[], Finding | Iterator[Finding]]] = [
        check_python,
        check_packages,
        check_simulator,
        check_tasks,
        check_rendering,
        check_cpu,
        check_gpu,
        lambda: check_folder(folder),
        lambda: check_tracking(folder, tracking_uri),
    ]
    for check in checks:
        try:
            found = check()
            yield from [found] if isinstance(found, Finding) else found
        except ImportError as error:
            fix = install_command(str(error.name).partition(".")[0])
            yield Finding(str(error.name), Level.BROKEN, f"cannot be imported: {error}", fix)
