"""The dry run: everything that is wrong at once, regions in the images' own frame, what goes together, and the cost."""

from __future__ import annotations

import io
import json
import time
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image

from camaudit.config import load_config
from camaudit.data.problems import KINDS
from camaudit.runs import check, check_file, run_config
from camaudit.runs.checking.counting import Counts, chosen
from camaudit.runs.checking.kinds import LEAVES_OUT, STOPS
from camaudit.runs.checking.serial import to_json
from camaudit.statistics import association
from tests import small_audit, small_datasets

if TYPE_CHECKING:
    from pathlib import Path

    from camaudit.runs import Check

LOOSE = {"resize": 32, "crop": None, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}
COST = import_module("camaudit.runs.checking.cost")


@pytest.fixture
def audit(tmp_path: Path) -> Path:
    return small_audit.write_audit(tmp_path, count=20)


def replace_image(audit: Path, number: int, mask: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
    """Another image and mask, of the mask's size."""
    Image.new("RGB", mask.shape[::-1]).save(audit.parent / "images" / f"{number:02}.png")
    Image.fromarray(mask).save(audit.parent / "masks" / f"{number:02}.png")


def edit(audit: Path, **columns: dict[int, str]) -> None:
    """Other cells of the table, by column and row."""
    table = pd.read_csv(audit.parent / "table.csv", dtype=str)
    for column, cells in columns.items():
        for row, value in cells.items():
            table.loc[row, column] = value
    table.to_csv(audit.parent / "table.csv", index=False)


def said(found: Check) -> list[tuple[str, str]]:
    return [(problem.kind, f"{problem.where}: {problem.message}") for problem in found.problems]


# ------------------------------------------------------------------ everything that is wrong


def test_everything_that_is_wrong_is_found_in_one_pass(audit: Path) -> None:
    small_audit.write_config(
        audit,
        audit={"methods": ["gradcam", "gradcamm"], "targets": ["label", "class:ring"], "device": "tpu"},
        roles={"object": ["shpe"], "attribute": ["baar"], "context": []},
        model={"weights": "no.pt"},
    )
    edit(
        audit,
        label={3: "disk", 5: "ring", 7: ""},
        id={9: "s08"},
        image={11: "../../secret.png", 12: "images/no.png"},
        mask={13: "masks/no.png"},
    )
    Image.new("L", (9, 7)).save(audit.parent / "masks" / "14.png")
    found = check_file(audit)
    assert found.problem_counts == {
        "method": 1,
        "device": 1,
        "model": 1,
        "role": 2,
        "row": 3,
        "label": 2,
        "target": 1,
    }
    table = audit.parent / "table.csv"
    lines = said(found)
    assert (
        "label",
        f"{table}, row 5: the label 'disk' is none of the model's classes; did you mean 'disc'?",
    ) in lines
    for kind, part in (
        ("row", f"{table}, row 9: the column 'label' is empty"),
        ("row", f"{table}, row 13: '../../secret.png' leads out of"),
        ("row", f"{table}, rows 10 and 11 have the same id 's08'"),
        ("role", "roles.object names 'shpe', which is no region of"),
        ("role", "roles.attribute names 'baar'"),
    ):
        assert any(kind == of and part in line for of, line in lines), part
    assert found.left_out_counts == {"image": 1, "mask": 1, "mask-size": 1}
    assert {problem.where for problem in found.left_out} == {f"{table}, row {row}" for row in (14, 15, 16)}
    assert found.cost is None
    assert found.sheet is not None


def test_the_sections_that_can_be_used_are_tried_where_another_cannot(audit: Path) -> None:
    values = yaml.safe_load(audit.read_text())
    values["audit"]["methd"] = 1
    values["model"]["weights"] = "no.pt"
    audit.write_text(yaml.safe_dump(values))
    edit(audit, label={2: "disk"})
    found = check_file(audit)
    assert found.problem_counts == {"config": 1, "model": 1, "label": 1}
    assert "audit.methd is not a key" in found.problems[0].message
    values["model"]["clases"] = []
    values["data"]["columns"]["groups"] = ["colour", "clour", "subjct"]
    audit.write_text(yaml.safe_dump(values))
    found = check_file(audit)
    assert found.problem_counts == {"config": 2, "data": 2}
    assert [of for of, _ in said(found)] == ["config", "config", "data", "data"]
    assert all(f"no column {name!r}" in said(found)[at][1] for at, name in ((2, "clour"), (3, "subjct")))


def test_no_more_than_the_first_of_each_kind_are_kept_but_all_are_counted(
    audit: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_module("camaudit.runs.check"), "LISTED", 3)
    edit(audit, label=dict.fromkeys(range(10), "disk"))
    found = check_file(audit, duplicates=False)
    assert (len(found.problems), found.problem_counts["label"]) == (3, 10)
    assert len(check_file(audit, duplicates=False, everything=True).problems) == 10


def test_what_the_reader_goes_on_without_is_passed_on(tmp_path: Path) -> None:
    values = small_datasets.coco_values()
    values["annotations"] += [
        {"id": 99, "image_id": 77, "category_id": 1},
        {"id": 98, "image_id": 1, "category_id": 7},
    ]
    small_datasets.write_coco(tmp_path, values)
    small_audit.write_weights(tmp_path / "weights.safetensors")
    settings = small_audit.settings()
    settings["model"]["classes"] = ["bird", "water"]
    settings["data"] = {"format": "coco", "path": "annotations.json", "images": "images", "label": "largest"}
    settings["roles"] = {"object": ["bird"]}
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(settings))
    found = check_file(tmp_path / "a.yaml")
    assert found.noticed_counts == {"no-image": 1, "unknown-category": 1}
    assert not found.problems
    assert found.regions.set_index("region").loc["bird", "annotated"] == 2


def test_kinds_are_told_apart() -> None:
    assert not set(STOPS) & set(LEAVES_OUT)
    assert not set(LEAVES_OUT) & set(KINDS)


# ------------------------------------------------------------------ regions and sizes


def test_a_small_region_at_the_border_is_not_empty(audit: Path) -> None:
    mask = np.zeros((300, 640), dtype=np.uint8)
    mask[:3, :2] = 1
    for number in range(20):
        replace_image(audit, number, mask)
    regions = check(load_config(audit), duplicates=False).regions.set_index("region")
    assert regions.loc["shape", ["annotated", "empty"]].tolist() == [20, 0]
    assert regions.loc["shape", ["mean", "q25", "median", "q75"]].tolist() == pytest.approx(
        [6 / (300 * 640)] * 4
    )
    assert regions.loc["bar", ["annotated", "empty"]].tolist() == [20, 20]
    assert np.isnan(regions.loc["bar", "mean"])


def test_a_sample_without_masks_is_not_annotated(audit: Path) -> None:
    table = audit.parent / "table.csv"
    table.write_text(table.read_text().replace("masks/07.png", ""))
    assert set(check(load_config(audit)).regions["annotated"]) == {19}


def test_areas_are_those_of_the_masks(audit: Path) -> None:
    masks = [np.asarray(Image.open(audit.parent / "masks" / f"{number:02}.png")) for number in range(20)]
    areas = [float((mask == 1).mean()) for mask in masks]
    row = check(load_config(audit)).regions.set_index("region").loc["shape"]
    assert row["mean"] == pytest.approx(np.mean(areas))
    assert row[["q25", "median", "q75"]].tolist() == pytest.approx(
        np.quantile(areas, [0.25, 0.5, 0.75]).tolist()
    )


@pytest.mark.parametrize("number", [0, 19])
def test_images_of_several_sizes_in_the_models_frame_are_a_problem_wherever_they_are(
    audit: Path, number: int
) -> None:
    replace_image(audit, number, np.ones((48, 96), dtype=np.uint8))
    assert check(load_config(audit)).problems == ()  # a crop makes them equal
    small_audit.write_config(audit, model={"preprocessing": LOOSE})
    (problem,) = check(load_config(audit)).problems
    assert "2 different sizes" in problem.message
    assert f"64x32 of {audit.parent / 'images' / f'{number:02}.png'}" in problem.message
    assert "Set model.preprocessing.crop" in problem.message


# ------------------------------------------------------------------ groups


def test_groups_are_counted_and_their_association_is_that_of_the_table(tmp_path: Path) -> None:
    audit = small_audit.write_audit(
        tmp_path, count=40, data={"columns": {"id": "id", "groups": ["colour", "side"]}}
    )
    table = pd.read_csv(tmp_path / "table.csv", dtype=str)
    table["side"] = ["left" if row % 3 else "right" for row in range(40)]
    table.to_csv(tmp_path / "table.csv", index=False)
    found = check(load_config(audit))
    want = table.groupby(["colour", "label"]).size()
    got = found.groups[found.groups["group"] == "colour"].set_index(["value", "label"])["n"]
    assert got.to_dict() == want.to_dict()
    crossed = found.crossed.set_index(["first_value", "second_value"])["n"].to_dict()
    assert crossed == table.groupby(["colour", "side"]).size().to_dict()
    rows = found.associations.set_index(["first", "second"])
    assert set(rows.index) == {("label", "colour"), ("label", "side"), ("colour", "side")}
    effect = association(table.rename(columns={"colour": "group_colour"}), "colour")
    assert rows.loc[("label", "colour"), "v"] == pytest.approx(effect.estimate)
    low, high = rows.loc[("label", "colour"), ["low", "high"]]
    assert low < effect.estimate < high
    assert found.associations["v"].is_monotonic_decreasing


# ------------------------------------------------------------------ duplicates


def test_duplicates_are_found_in_the_splits_that_are_not_audited(audit: Path) -> None:
    edit(audit, split=dict.fromkeys(range(10), "train"))
    random = np.random.default_rng(0)
    for number in range(20):  # pictures unlike each other
        pixels = random.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((48, 48)).save(audit.parent / "images" / f"{number:02}.png")
    same = (audit.parent / "images" / "02.png").read_bytes()
    (audit.parent / "images" / "14.png").write_bytes(same)
    small_audit.write_config(audit, data={"split": "test"})
    found = check(load_config(audit))
    assert found.facts["samples"] == "10"
    assert found.duplicates is not None
    (group,) = found.duplicates.groups
    assert (group.splits, [sample.id for sample in group.samples]) == (("test", "train"), ["s02", "s14"])
    assert "lie in more than one split" in found.warnings[0]
    assert int(found.groups["n"].sum()) == 10
    assert check(load_config(audit), duplicates=False).duplicates is None


# ------------------------------------------------------------------ cost


def test_the_time_is_that_of_a_batch_after_another(audit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    measure = COST.measure_batch

    def slow_at_first(batch: Any, *rest: Any) -> object:
        sizes.append(len(batch.samples))
        if len(sizes) == 1:
            time.sleep(3)
        return measure(batch, *rest)

    monkeypatch.setattr(COST, "measure_batch", slow_at_first)
    cost = check(load_config(audit)).cost
    assert cost is not None
    assert 0 < cost.seconds < 3 * 20 / 8
    assert sizes == [8, 8]


def test_too_little_memory_is_a_problem(audit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        msg = "CUDA out of memory. Tried to allocate 9 GiB. More of it."
        raise torch.OutOfMemoryError(msg)

    monkeypatch.setattr(COST, "measure_batch", full)
    (problem,) = check(load_config(audit)).problems
    assert problem.kind == "batch"
    assert "batches of 8 images: CUDA out of memory." in problem.message
    assert "audit.batch_size" in problem.message


def test_the_disk_is_that_of_a_run(tmp_path: Path) -> None:
    audit = small_audit.write_audit(tmp_path, count=40)
    config = load_config(audit)
    cost = check(config).cost
    assert cost is not None
    out = tmp_path / "run"
    run_config(config, out)
    maps = sum(path.stat().st_size - 128 for path in (out / "maps").rglob("*.npy"))  # less numpy's headers
    assert cost.maps == maps
    tables = [*(out / "samples").iterdir(), out / "measurements.parquet"]
    assert (
        sum(path.stat().st_size for path in tables) / 3
        < cost.tables
        < 3 * sum(path.stat().st_size for path in tables)
    )
    whole = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    assert whole < cost.disk < whole + 5_000_000


# ------------------------------------------------------------------ the contact sheet


def test_the_sheet_shows_a_sample_of_every_combination_with_its_outlines(audit: Path) -> None:
    sheet = check(load_config(audit)).sheet
    assert sheet is not None
    with Image.open(io.BytesIO(sheet)) as image:
        assert image.format == "PNG"
        pixels = np.asarray(image.convert("RGB")).astype(int)
    assert pixels.shape[1] > 1200
    for colour in ("#2bc4f6", "#6fdc7a", "#ff86cf"):
        wanted = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)])
        assert (np.abs(pixels - wanted).max(-1) < 40).sum() > 300, colour


def test_samples_are_chosen_from_every_combination_before_two_of_one() -> None:
    cells: dict[tuple[str | None, ...], list[int]] = {
        ("disc", "red"): [0, 1, 2],
        ("disc", "blue"): [5],
        ("square", "red"): [3, 4],
    }
    counts = Counts(cells=cells)
    assert chosen(counts, 3) == [5, 0, 3]
    assert chosen(counts, 4) == [5, 0, 3, 4]  # the label seen less
    assert chosen(counts, 99) == [5, 0, 1, 2, 3, 4]


def test_a_sheet_is_made_without_a_model_and_of_any_names(audit: Path) -> None:
    small_audit.write_config(audit, model={"weights": "no.pt", "classes": ["名" * 300, "a\nb\x07"]})
    edit(audit, label={row: ("名" * 300, "a\nb\x07")[row % 2] for row in range(20)})
    found = check(load_config(audit))
    assert found.problem_counts == {"model": 1}
    assert found.sheet is not None


# ------------------------------------------------------------------ as JSON


def test_the_json_says_what_the_check_found(audit: Path) -> None:
    edit(audit, label={3: "disk"})
    found = check_file(audit)
    values = json.loads(to_json(found))
    assert values["stops"] is True
    assert values["problem_counts"] == {"label": 1}
    assert values["problems"][0]["where"].endswith("table.csv, row 5")
    assert [row["region"] for row in values["regions"]] == ["shape", "bar", "frame"]
    assert sum(row["n"] for row in values["groups"]) == 20
    assert values["cost"] is None
    assert values["duplicates"]["images"] == 20
