from __future__ import annotations

import base64
import hashlib
import re
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from camaudit.report import render, write, write_comparison
from tests.report.html_reader import Reader
from tests.synthetic_run import SyntheticRun

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

PAGES = pytest.mark.parametrize("name", ["page", "comparison"])
ADDRESSES = ("src", "href", "xlink:href", "srcset", "action", "formaction", "poster", "data", "background")


@PAGES
def test_nothing_is_requested(name: str, request: pytest.FixtureRequest) -> None:
    page = request.getfixturevalue(name)
    reader = Reader(page)
    for element in reader.elements:
        for key in ADDRESSES:
            address = element.attributes.get(key, "#")
            assert address.startswith(("#", "data:image/")), f"<{element.tag} {key}={address[:80]}>"
    assert "://" not in page
    assert "url(" not in page
    assert "@import" not in page
    assert not {"script", "link", "iframe", "object", "embed", "form"} & {e.tag for e in reader.elements}


@PAGES
def test_no_inline_style_or_handler_that_the_policy_would_block(
    name: str, request: pytest.FixtureRequest
) -> None:
    for element in Reader(request.getfixturevalue(name)).elements:
        assert not [key for key in element.attributes if key == "style" or key.startswith("on")]


@PAGES
def test_policy_allows_the_style_and_nothing_else(name: str, request: pytest.FixtureRequest) -> None:
    page = request.getfixturevalue(name)
    reader = Reader(page)
    (policy,) = (
        element.attributes["content"]
        for element in reader.find("meta")
        if element.attributes.get("http-equiv") == "Content-Security-Policy"
    )
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


@PAGES
def test_every_picture_is_there_once_and_every_reference_resolves(
    name: str, request: pytest.FixtureRequest
) -> None:
    reader = Reader(request.getfixturevalue(name))
    pictures = [element.attributes["href"] for element in reader.find("image")]
    assert len(pictures) == len(set(pictures)) > 0
    ids = [element.attributes["id"] for element in reader.elements if "id" in element.attributes]
    assert len(ids) == len(set(ids))
    wanted = [e.attributes["href"] for e in reader.elements if e.tag in {"use", "a"}]
    wanted += [
        "#" + e.attributes["aria-labelledby"] for e in reader.elements if "aria-labelledby" in e.attributes
    ]
    assert {address.removeprefix("#") for address in wanted} <= set(ids)


@PAGES
def test_headings_never_skip_a_level(name: str, request: pytest.FixtureRequest) -> None:
    tags = [e.tag for e in Reader(request.getfixturevalue(name)).elements if re.fullmatch(r"h[1-6]", e.tag)]
    levels = [int(tag[1]) for tag in tags]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


@PAGES
def test_what_is_drawn_is_said(name: str, request: pytest.FixtureRequest) -> None:
    reader = Reader(request.getfixturevalue(name))
    for index, element in enumerate(reader.elements):
        if element.tag == "svg" and element.attributes.get("role") == "img":
            title = reader.elements[index + 1]
            assert title.tag == "title"
            assert "".join(title.text).strip()
        elif element.tag == "svg":
            assert element.attributes["aria-hidden"] == "true"
        elif element.tag == "th":
            assert element.attributes["scope"] in {"row", "col"}


def test_same_run_same_bytes(biased: SyntheticRun, page: str) -> None:
    assert render(biased) == page


def test_writing_leaves_one_whole_file(
    biased: SyntheticRun, balanced: SyntheticRun, differences: pd.DataFrame, page: str, tmp_path: Path
) -> None:
    goal = tmp_path / "new" / "a.html"
    assert write(biased, goal) == goal
    assert goal.read_text(encoding="utf-8") == page
    assert goal.stat().st_mode & 0o444 == 0o444
    write_comparison(biased, balanced, differences, goal.with_name("ab.html"))
    assert sorted(path.name for path in goal.parent.iterdir()) == ["a.html", "ab.html"]


def test_a_failure_leaves_the_old_file_and_nothing_else(
    biased: SyntheticRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    goal = tmp_path / "a.html"
    goal.write_text("old")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write(biased, goal)
    assert [path.name for path in tmp_path.iterdir()] == ["a.html"]
    assert goal.read_text() == "old"


def test_size_of_a_large_run(tmp_path: Path) -> None:
    run = SyntheticRun(tmp_path, count=400)
    rng = np.random.default_rng(0)

    def photograph(_: str) -> np.ndarray:
        """As hard to compress as a photograph: structure at several scales, and noise."""
        scales = [rng.uniform(0, 70, (side, side, 3)).astype(np.uint8) for side in (4, 28, 112)]
        layers = [np.asarray(Image.fromarray(scale).resize((224, 224)), dtype=int) for scale in scales]
        return np.asarray(sum(layers, rng.integers(0, 12, (224, 224, 3))), dtype=np.uint8)

    goal = write(run.but(picture=photograph), tmp_path / "large.html")
    assert 500_000 < goal.stat().st_size < 5_000_000
