"""Runs the notebooks again and keeps what they show: ``python -m notebooks.run [NAME ...]``.

``NOTEBOOK_BUDGET`` scales how long they train, ``NOTEBOOK_RUNS`` is the folder of their runs.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent


def run(path: Path) -> None:
    """Execute a notebook from the repository's root and write it back without timestamps."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook, timeout=3600, resources={"metadata": {"path": FOLDER.parent}}
    ).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        # Warnings are of this machine's libraries, and would differ from run to run.
        if cell.cell_type == "code":
            cell.outputs = [out for out in cell.outputs if out.get("name") != "stderr"]
    nbformat.write(notebook, path)


def main() -> None:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    wanted = sys.argv[1:]
    for path in sorted(FOLDER.glob("*.ipynb")):
        if not wanted or path.stem in wanted:
            print(path.name, flush=True)
            run(path)


if __name__ == "__main__":
    main()
