"""The App in a real browser."""

from __future__ import annotations

import io
import socket
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from camaudit.browse import app, to_fiftyone
from camaudit.errors import RunError
from tests.synthetic_run import SyntheticRun

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser, Page

OURS = ("camaudit", "heatmap", "media", "GraphQL", "color")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def share_of_hot_pixels(page: Page) -> float:
    """The share of the grid that no drawn picture has, only the hot end of a heatmap over it."""
    grid = page.get_by_test_id("fo-grid").or_(page.locator("[data-cy=fo-grid]")).first
    pixels = np.asarray(Image.open(io.BytesIO(grid.screenshot())).convert("RGB")).astype(int)
    red, green, blue = np.moveaxis(pixels, -1, 0)
    return float(((red > 190) & (green < 140) & (blue < 110)).mean())


@pytest.mark.mongo
@pytest.mark.browser
@pytest.mark.slow
def test_the_app_shows_the_heatmaps(dataset: str, chromium: Browser, tmp_path: Path) -> None:
    run = SyntheticRun(tmp_path, count=16, original=(400, 300), frame=224)
    to_fiftyone(run, dataset)
    session = app(dataset, port=free_port(), browser=False)
    page = chromium.new_page(viewport={"width": 1500, "height": 950})
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    try:
        page.goto(f"http://localhost:{session.server_port}/datasets/{dataset}")
        page.get_by_text("16 samples").wait_for(timeout=60_000)
        for _ in range(60):
            page.wait_for_timeout(500)
            if share_of_hot_pixels(page) > 0.01:
                break
        assert share_of_hot_pixels(page) > 0.01
        assert page.get_by_text("biased_gradcam_predicted").count() > 0
        page.screenshot(path=tmp_path / "app.png")
        # the App asks for its fonts on the web; where there is none that is no error of ours
        assert [error for error in errors if any(word in error for word in OURS)] == []
    finally:
        page.close()
        session.close()


@pytest.mark.mongo
def test_a_dataset_that_is_not_there_is_named(mongo: str) -> None:
    with pytest.raises(RunError, match="There is no FiftyOne dataset 'nothing'"):
        app("nothing", browser=False)
