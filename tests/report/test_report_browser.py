"""The pages in Chromium: nothing requested, nothing overflowing, every picture there, printable, usable by keyboard."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from camaudit.report import write, write_comparison
from tests.synthetic_run import SyntheticRun

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pandas as pd
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

KINDS = ("page", "comparison", "names")
DECODE = """async () => {
  const images = [...document.querySelectorAll('image')];
  return Promise.all(images.map(async (image) => {
    const copy = new Image();
    copy.src = image.getAttribute('href');
    await copy.decode();
    return copy.naturalWidth;
  }));
}"""
BOXES = (
    "nodes => nodes.map(node => [node.getBoundingClientRect().width, node.getBoundingClientRect().height])"
)
CONTRAST = """() => {
  const light = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map(Number).map(v => v / 255)
      .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const paper = light(getComputedStyle(document.body).backgroundColor);
  const walker = document.createTreeWalker(document.querySelector('main'), NodeFilter.SHOW_TEXT);
  let least = 21;
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || node.closest('svg')) continue;
    const ink = light(getComputedStyle(node).color);
    least = Math.min(least, (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05));
  }
  return least;
}"""


@pytest.fixture(scope="module")
def files(
    biased: SyntheticRun,
    balanced: SyntheticRun,
    differences: pd.DataFrame,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    awkward = SyntheticRun(
        folder,
        classes=("<script>alert(1)</script>", "Krankenhausstationsbettenabteilung" * 4),
        names=("\"'><img src=x onerror=alert(1)>", "看護師 👩🏽‍⚕️ ممرضة", "a" * 120, "coat"),
        original=(160, 128),
    )
    return {
        "page": write(biased, folder / "page.html"),
        "comparison": write_comparison(biased, balanced, differences, folder / "comparison.html"),
        "names": write(awkward, folder / "names.html"),
    }


@pytest.fixture(params=KINDS)
def opened(request: pytest.FixtureRequest, files: dict[str, Path], chromium: Browser) -> Iterator[Page]:
    """A page that is open; afterwards it must neither have requested nor complained about anything."""
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    requests: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda asked: requests.append(asked.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append(dialog.message))
    address = files[request.param].as_uri()
    page.goto(address)
    yield page
    page.close()
    assert [asked for asked in requests if not asked.startswith("data:")] == [address]
    assert complaints == []


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_overflows(opened: Page, width: int) -> None:
    opened.set_viewport_size({"width": width, "height": 900})
    opened.eval_on_selector_all("details", "nodes => nodes.forEach(node => node.open = true)")
    assert opened.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [390, 1280])
def test_tables_need_no_scrolling(opened: Page, width: int) -> None:
    if opened.url.endswith("names.html"):
        return  # names of a hundred letters may
    opened.set_viewport_size({"width": width, "height": 900})
    opened.eval_on_selector_all("details", "nodes => nodes.forEach(node => node.open = true)")
    hidden = opened.eval_on_selector_all(
        ".scroll:has(.stack)", "nodes => nodes.map(n => n.scrollWidth - n.clientWidth)"
    )
    assert max(hidden) <= 0


def test_every_picture_loads_and_is_shown(opened: Page) -> None:
    widths = opened.evaluate(DECODE)
    assert len(widths) > 0
    assert min(widths) > 0
    opened.eval_on_selector_all("details", "nodes => nodes.forEach(node => node.open = true)")
    boxes = opened.eval_on_selector_all("svg.picture", BOXES)
    assert len(boxes) > 0
    assert min(min(box) for box in boxes) > 40
    uses = opened.eval_on_selector_all("svg.picture use", BOXES)
    assert min(min(box) for box in uses) > 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_the_paper(opened: Page, scheme: str) -> None:
    opened.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    assert opened.evaluate(CONTRAST) >= 4.5


def test_it_prints_with_everything_in_it(opened: Page) -> None:
    pdf = opened.pdf(format="A4")
    assert pdf.startswith(b"%PDF")
    assert len(pdf) > 20_000


def test_the_keyboard_reaches_the_content(opened: Page) -> None:
    opened.keyboard.press("Tab")
    assert opened.evaluate("document.activeElement.textContent") == "Skip to the content"
    opened.keyboard.press("Tab")
    assert opened.evaluate("document.activeElement.closest('nav') !== null")


def test_landmarks(opened: Page) -> None:
    for landmark in ("main", "nav", "body > header", "body > footer"):
        assert opened.locator(landmark).count() == 1
    assert opened.evaluate("document.documentElement.lang") == "en"
