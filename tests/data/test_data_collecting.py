"""A dry run names every row that would refuse a dataset, in formats other than tables too."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from camaudit.data import coco, waterbirds
from camaudit.data.problems import Problems, collecting
from camaudit.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path


def test_every_image_of_coco_that_leads_out_is_named(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "images" / "good.png")
    names = ["../one.png", "good.png", "../two.png"]
    images = [{"id": i, "file_name": name, "width": 8, "height": 8} for i, name in enumerate(names)]
    whole = {"images": images, "annotations": [], "categories": [{"id": 1, "name": "bird"}]}
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps(whole), encoding="utf-8")
    with pytest.raises(DataError, match="one"):
        coco(tmp_path / "images", path)
    found = Problems({"row": "left out"})
    with collecting(found):
        data = coco(tmp_path / "images", path)
    assert [sample.id for sample in data.samples] == ["good.png"]
    messages = [problem.message for problem in found.listed if problem.kind == "row"]
    assert len(messages) == 2
    assert "one.png" in messages[0]
    assert "two.png" in messages[1]


def test_every_wrong_row_of_waterbirds_is_named(tmp_path: Path) -> None:
    rows = [
        "1,001.Albatross/a.jpg,7,0,0,sea",
        "2,001.Albatross/b.jpg,1,0,1,sea",
        "3,001.Albatross/c.jpg,1,9,1,sea",
    ]
    text = "\n".join(["img_id,img_filename,y,split,place,place_filename", *rows])
    (tmp_path / "metadata.csv").write_text(text, encoding="utf-8")
    found = Problems({"row": "left out"})
    with collecting(found):
        data = waterbirds(tmp_path)
    assert len(data) == 1
    messages = [problem.message for problem in found.listed if problem.kind == "row"]
    assert len(messages) == 2
    assert "row 2" in messages[0]
    assert "row 4" in messages[1]
