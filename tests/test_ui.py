"""What a run looks like in MLflow's pages, in a real browser.

Needs Chromium and playwright (``pip install -e .[ui]``); see ``browser.py``.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from browser import BROWSER, browser, missing, picture
from cli_config import write_config
from mlflow.tracking import MlflowClient

from rher_pl.fit import main
from rher_pl.tracking.store import absolute_uri

pytestmark = [pytest.mark.ui, pytest.mark.timeout(900)]
PATIENCE = 90_000  # milliseconds: the pages load megabytes of script
TRAINING = "workflowType=machine_learning"
WIDTH, HEIGHT = 1440, 900  # of a laptop
RUN = "push-td3-seed3-"


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
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # as `make ui`
    with open(folder / "log.txt", "w") as log:
        process = subprocess.Popen(
            [*command, "--port", str(port)],
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=environment,
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
    with browser() as chromium:
        made = chromium.new_page(viewport={"width": WIDTH, "height": 1500})
        made.set_default_timeout(PATIENCE)
        yield made


def open_page(page: Any, address: str) -> None:
    page.goto("about:blank")  # addresses differ behind the # only, which alone would not reload
    page.goto(address, wait_until="domcontentloaded")


def loaded(page: Any, selector: str) -> bool:
    """Wait for an image, and say whether it has content."""
    page.locator(selector).first.wait_for()
    page.wait_for_function("s => document.querySelector(s).complete", arg=selector)
    return bool(page.evaluate("s => document.querySelector(s).naturalWidth > 100", selector))


def test_the_list_of_runs_shows_success_and_filters(server: Any, page: Any) -> None:
    address, experiment, _ = server
    runs = f"{address}/#/experiments/{experiment}/runs?{TRAINING}&viewStateShareKey=rher_pl"
    open_page(page, runs)
    page.get_by_role("link", name=RUN).first.wait_for()
    page.get_by_text("eval/success").first.wait_for()
    picture(page, "runs")
    for seed, found in (("3", 1), ("4", 0)):
        search = f"tags.task = 'PointPush-v0' and tags.algorithm = 'td3' and tags.seed = '{seed}'"
        search += " and attributes.status = 'FINISHED'"
        open_page(page, f"{runs}&searchFilter={quote(search)}")
        if found:
            page.get_by_role("link", name=RUN).first.wait_for()
        else:
            page.get_by_text("All runs are filtered").first.wait_for()
        assert (page.get_by_role("link", name=RUN).count() > 0) == bool(found)


def test_the_list_that_mlflow_shows_by_itself_begins_with_success(server: Any, page: Any) -> None:
    address, experiment, _ = server
    open_page(page, f"{address}/#/experiments/{experiment}/runs?{TRAINING}")
    page.get_by_role("link", name=RUN).first.wait_for()
    page.get_by_text("Latest: success 0.").first.wait_for()
    picture(page, "default_list")
    with page.expect_popup() as opened:
        page.get_by_text("list with success").first.click()
    opened.value.get_by_text("eval/success").first.wait_for()
    opened.value.close()


def test_titles_of_curves_side_by_side_can_be_read(server: Any, page: Any) -> None:
    address, experiment, _ = server
    page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
    view = "compareRunsMode=CHART&viewStateShareKey=rher_pl"
    open_page(page, f"{address}/#/experiments/{experiment}/runs?{TRAINING}&{view}")
    title = page.get_by_text("eval/success", exact=True).first
    title.wait_for()
    assert title.evaluate("t => t.scrollWidth <= t.clientWidth"), "the title is cut"
    picture(page, "curves")


def test_the_page_of_a_run_says_what_came_out(server: Any, page: Any) -> None:
    address, experiment, run = server
    page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
    open_page(page, f"{address}/#/experiments/{experiment}/runs/{run}?{TRAINING}")
    result = page.get_by_text("PointPush-v0: success").first
    result.wait_for()
    picture(page, "run_top")
    assert result.bounding_box()["y"] < 0.85 * HEIGHT, "the result is below the fold"
    page.set_viewport_size({"width": WIDTH, "height": 1500})
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
