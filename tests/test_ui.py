"""What a run looks like in MLflow's pages, in a real browser.

Needs Chromium and playwright (``pip install -e .[ui]``); skipped without them, unless
``REQUIRE_BROWSER`` is set, as ``make ui-check`` does. ``SCREENSHOTS`` names a folder for pictures.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from cli_config import write_config
from mlflow.tracking import MlflowClient

from rher_pl.fit import main
from rher_pl.tracking.store import absolute_uri

pytestmark = [pytest.mark.ui, pytest.mark.timeout(900)]
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
PATIENCE = 90_000  # milliseconds: the pages load megabytes of script
TRAINING = "workflowType=machine_learning"


def missing(what: str) -> None:
    if os.environ.get("REQUIRE_BROWSER"):
        pytest.fail(f"{what} is missing: apt-get install chromium, pip install -e '.[ui]'")
    pytest.skip(f"PAGES NOT CHECKED: {what} is missing; see `make ui-check`")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, str]]:
    """Address of a server that shows one tiny run, its experiment and its id."""
    if BROWSER is None:
        missing("chromium")
    folder = tmp_path_factory.mktemp("ui")
    config, uri = write_config(folder), f"sqlite:///{folder}/runs/mlflow.db"
    options = ["--recorder.folder", f"{folder}/runs", "--recorder.tracking_uri", uri]
    assert main(["--config", config, "--seed_everything", "3", *options]) == 0
    client = MlflowClient(absolute_uri(uri))
    experiment = client.get_experiment_by_name("PointPush-v0")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    (folder / "episode.mp4").write_bytes(b"\0\0\0\x18ftypmp42")
    client.log_artifact(run.info.run_id, str(folder / "episode.mp4"), "video")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri, "--workers", "1"]
    with open(folder / "log.txt", "w") as log:
        process = subprocess.Popen(
            [*command, "--port", str(port)], stdout=log, stderr=log, start_new_session=True
        )
    try:
        wait_for(f"http://127.0.0.1:{port}/health", process)
        yield f"http://127.0.0.1:{port}", experiment.experiment_id, run.info.run_id
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # with its workers; a test has nothing to save
        process.wait()


def wait_for(address: str, process: subprocess.Popen[bytes], seconds: float = 420.0) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            time.sleep(0.5)
    raise AssertionError(f"no answer from {address}")


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("playwright")
    with sync_playwright() as playwright:
        # Continuous integration often is root in a container, where the sandbox cannot start.
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        made = browser.new_page(viewport={"width": 1500, "height": 1500})
        made.set_default_timeout(PATIENCE)
        yield made
        browser.close()


def open_page(page: Any, address: str) -> None:
    page.goto("about:blank")  # addresses differ behind the # only, which alone would not reload
    page.goto(address, wait_until="domcontentloaded")


def picture(page: Any, name: str) -> None:
    if folder := os.environ.get("SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=f"{folder}/{name}.png")


def loaded(page: Any, selector: str) -> bool:
    """Wait for an image, and say whether it has content."""
    page.locator(selector).first.wait_for()
    page.wait_for_function("s => document.querySelector(s).complete", arg=selector)
    return bool(page.evaluate("s => document.querySelector(s).naturalWidth > 100", selector))


def test_the_list_of_runs_shows_success_and_filters(server: Any, page: Any) -> None:
    address, experiment, _ = server
    runs = f"{address}/#/experiments/{experiment}/runs?{TRAINING}&viewStateShareKey=rher_pl"
    open_page(page, runs)
    page.get_by_text("push-td3-seed3-").first.wait_for()
    page.get_by_text("eval/success").first.wait_for()
    page.get_by_text("Trainings of one task").first.wait_for()
    picture(page, "runs")
    for seed, found in (("3", 1), ("4", 0)):
        search = f"tags.task = 'PointPush-v0' and tags.algorithm = 'td3' and tags.seed = '{seed}'"
        search += " and attributes.status = 'FINISHED'"
        open_page(page, f"{runs}&searchFilter={quote(search)}")
        if found:
            page.get_by_text("push-td3-seed3-").first.wait_for()
        else:
            page.get_by_text("All runs are filtered").first.wait_for()
        assert (page.get_by_text("push-td3-seed3-").count() > 0) == bool(found)


def test_the_page_of_a_run_says_what_came_out(server: Any, page: Any) -> None:
    address, experiment, run = server
    open_page(page, f"{address}/#/experiments/{experiment}/runs/{run}?{TRAINING}")
    page.get_by_text("PointPush-v0: success").first.wait_for()
    page.get_by_text("Show more").first.click()
    page.get_by_text("pictures of the curves").first.wait_for()
    assert loaded(page, "img[src*='overview.png']")
    picture(page, "run")


def test_metrics_are_grouped(server: Any, page: Any) -> None:
    address, experiment, run = server
    open_page(page, f"{address}/#/experiments/{experiment}/runs/{run}/model-metrics?{TRAINING}")
    for group in ("eval", "relay", "train", "perf"):
        heading = f"(^|\\n){group}\\s*\\("  # such as "eval (4)", whose number is another element
        page.wait_for_function("s => new RegExp(s).test(document.body.innerText)", arg=heading)
    page.locator(".js-plotly-plot").first.wait_for()
    picture(page, "metrics")


@pytest.mark.parametrize("name", ["overview", "success", "q", "innr"])
def test_figures_open(server: Any, page: Any, name: str) -> None:
    address, experiment, run = server
    artifacts = f"{address}/#/experiments/{experiment}/runs/{run}/artifacts"
    open_page(page, f"{artifacts}/figures/{name}.png?{TRAINING}")
    assert loaded(page, "img[src*='get-artifact'], img[src^='blob:']")
    picture(page, f"figure_{name}")


def test_a_video_gets_a_player(server: Any, page: Any) -> None:
    address, experiment, run = server
    artifacts = f"{address}/#/experiments/{experiment}/runs/{run}/artifacts"
    open_page(page, f"{artifacts}/video/episode.mp4?{TRAINING}")
    page.locator("video").first.wait_for(state="attached")
    picture(page, "video")
