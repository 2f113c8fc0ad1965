"""Backgrounds and attributes of other samples in whole runs, on networks whose every answer is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

import camaudit as ca
from camaudit.data import Dataset
from camaudit.runs import stages

if TYPE_CHECKING:
    from pathlib import Path

    from camaudit.runs import Run

SIDE, COUNT = 48, 40
CLASSES = ["dark", "bright"]
RECIPE = ca.Preprocessing(resize=None, crop=SIDE, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
ITEM = (slice(18, 30), slice(18, 30))
MARK = (slice(2, 10), slice(34, 44))


class Brightness(nn.Module):
    """Two scores, minus and plus the brightness of what it looks at: all of the image, or one place of it."""

    def __init__(self, place: tuple[slice, slice] | None) -> None:
        super().__init__()
        self.features = nn.Conv2d(3, 2, 1, bias=False)
        self.features.weight.data[0], self.features.weight.data[1] = -8 / 3, 8 / 3
        weights = torch.zeros(SIDE, SIDE)
        weights[place or ...] = 1
        self.register_buffer("weights", weights / weights.sum())

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = (self.features(images - 0.5) * self.weights).sum((2, 3))
        return scores


def _samples(folder: Path, *, marked: bool) -> list[ca.Sample]:
    """A plain wall, dark by night and bright by day; a grey square in its middle; on some walls a white mark."""
    folder.mkdir()
    random = np.random.default_rng(0)
    made = []
    for i in range(COUNT):
        label, place = CLASSES[i % 2], ("night", "day")[(i % 2) ^ (i % 5 == 0)]
        wall = int(random.integers(40, 90) + (100 if place == "day" else 0))
        pixels = np.full((SIDE, SIDE, 3), wall, dtype=np.uint8)
        item, mark = np.zeros((2, SIDE, SIDE), dtype=bool)
        item[ITEM] = True
        pixels[item] = random.integers(60, 120) + 80 * (label == "bright")
        if marked and i // 2 % 2:
            mark[MARK] = True
            pixels[mark] = 255
        path = folder / f"{i:02}.png"
        Image.fromarray(pixels).save(path)
        other = ca.Region("mark", "attribute", mark) if marked else ca.Region("wall", "attribute", ~item)
        made.append(
            ca.Sample(f"s{i:02}", path, label, {"place": place}, (ca.Region("item", "object", item), other))
        )
    return made


def _audited(data: Dataset, out: Path, place: tuple[slice, slice] | None, **options: Any) -> Run:
    model = ca.load_model(Brightness(place).eval(), classes=CLASSES, preprocessing=RECIPE)
    return ca.audit(data, model, out=out, device="cpu", batch_size=8, **options)


@pytest.fixture(scope="module")
def walls(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return Dataset.of(_samples(tmp_path_factory.mktemp("walls") / "images", marked=False))


@pytest.fixture(scope="module")
def marks(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return Dataset.of(_samples(tmp_path_factory.mktemp("marks") / "images", marked=True))


@pytest.fixture(scope="module")
def by_wall(walls: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return _audited(walls, tmp_path_factory.mktemp("by_wall") / "run", None)


def _pixels(run: Run, sample: str) -> np.ndarray:
    return run.picture(sample).astype(np.float64)[..., 0] / 255


def test_an_exchange_is_the_object_on_the_donors_wall_to_the_last_shade(by_wall: Run) -> None:
    """margin = 16 · (mean brightness - 0.5), up to its sign, over its standard deviation."""
    exact = {sample: 16 * (_pixels(by_wall, sample).mean() - 0.5) for sample in by_wall.samples["sample"]}
    deviation = np.std(list(exact.values()))
    rows = by_wall.exchanges[by_wall.exchanges["target"] == "label"]
    assert len(rows) == COUNT * 6
    for row in rows.itertuples():
        composed = np.full((SIDE, SIDE), _pixels(by_wall, row.donor)[0, 0])
        composed[ITEM] = _pixels(by_wall, row.sample)[20, 20]
        sign = 1 if row.target_class == "bright" else -1
        assert row.value == pytest.approx(sign * 16 * (composed.mean() - 0.5) / deviation, abs=0.1)


def test_the_effect_of_the_background_is_the_difference_of_the_walls(by_wall: Run) -> None:
    levels = {sample: _pixels(by_wall, sample)[0, 0] for sample in by_wall.samples["sample"]}
    table = by_wall.exchanges.query("target == 'label' and target_class == 'bright'")
    day = by_wall.samples.set_index("sample")["group_place"].reindex(table["donor"]).to_numpy() == "day"
    wall = table["donor"].map(levels).to_numpy()
    outside = 1 - 144 / SIDE**2
    expected = 16 * outside * (wall[day].mean() - wall[~day].mean())
    expected /= np.std([16 * (_pixels(by_wall, sample).mean() - 0.5) for sample in levels])
    found = by_wall.effects.query(
        "metric == 'exchange' and target == 'label' and target_class == 'bright' and value == 'day'"
    )
    assert found["estimate"].item() == pytest.approx(expected, abs=0.1)
    assert found["low"].item() < expected < found["high"].item()
    issues = [finding for finding in by_wall.findings if finding.code == "CAM104"]
    assert {finding.status for finding in issues} == {"issue"}
    assert by_wall.verdict.headline == "The model uses wall"


def test_a_model_that_looks_at_the_object_passes(walls: Dataset, tmp_path: Path) -> None:
    run = _audited(walls, tmp_path / "run", (slice(21, 27), slice(21, 27)))
    found = [finding for finding in run.findings if finding.code == "CAM104"]
    assert {finding.status for finding in found} <= {"passed", "tip"}
    assert run.effects.query("metric == 'exchange'")["estimate"].abs().max() < 0.05
    used = [finding for finding in run.findings if finding.code == "CAM103" and not finding.group]
    assert {finding.status for finding in used} == {
        "passed"
    }  # a wall leaves the object's controls their place


def test_a_paste_adds_the_brightness_of_the_mark(marks: Dataset, tmp_path: Path) -> None:
    run = _audited(marks, tmp_path / "run", MARK)
    lacking = {f"s{i:02}" for i in range(COUNT) if not i // 2 % 2}
    rows = run.transplants[run.transplants["target"] == "label"]
    assert set(rows["sample"]) == lacking  # an image that has the mark is not given another
    assert not set(rows["donor"]) & lacking
    exact = {sample: 16 * (_pixels(run, sample)[MARK].mean() - 0.5) for sample in run.samples["sample"]}
    deviation = np.std(list(exact.values()))
    for row in rows.itertuples():
        sign = 1 if row.target_class == "bright" else -1
        own = _pixels(run, row.sample)[MARK].mean()
        assert row.shift_region == pytest.approx(sign * 16 * (1 - own) / deviation, abs=0.02)
        # beyond the plain walls of two images without the mark
        walls = sorted(_pixels(run, sample)[0, 0] for sample in lacking)
        least, most = (16 * (1 - np.mean(of)) / deviation for of in (walls[-2:], walls[:2]))
        assert least - 0.02 <= sign * row.shift <= most + 0.02
    found = {f.target_class: f for f in run.findings if f.code == "CAM105"}
    assert {finding.status for finding in found.values()} == {"issue"}


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Every image has a mark, pale or deep, whatever the label; the items differ."""
    folder, random = tmp_path_factory.mktemp("kinds"), np.random.default_rng(1)
    made = []
    for i in range(COUNT):
        label, tone = CLASSES[i % 2], ("pale", "deep")[i // 2 % 2]
        pixels = np.full((SIDE, SIDE, 3), 110, dtype=np.uint8)
        item, mark = np.zeros((2, SIDE, SIDE), dtype=bool)
        item[ITEM], mark[MARK] = True, True
        pixels[item] = random.integers(60, 100) + 90 * (label == "bright")
        pixels[mark] = random.integers(20, 60) + 170 * (tone == "pale")
        path = folder / f"{i:02}.png"
        Image.fromarray(pixels).save(path)
        regions = (ca.Region("item", "object", item), ca.Region("mark", "attribute", mark))
        made.append(ca.Sample(f"s{i:02}", path, label, {"tone": tone}, regions))
    return Dataset.of(made)


def test_an_attribute_that_every_image_has_is_exchanged_to_the_last_shade(
    kinds: Dataset, tmp_path: Path
) -> None:
    """The model is the brightness of the mark, so a donor's mark gives its own brightness."""
    run = _audited(kinds, tmp_path / "run", MARK)
    exact = {sample: 16 * (_pixels(run, sample)[MARK].mean() - 0.5) for sample in run.samples["sample"]}
    deviation = np.std(list(exact.values()))
    rows = run.exchanges[run.exchanges["target"] == "label"]
    assert set(rows["put"]) == {"attribute"}
    assert len(rows) == COUNT * 6
    assert (rows["sample"] != rows["donor"]).all()
    sign = np.where(rows["target_class"] == "bright", 1, -1)
    np.testing.assert_allclose(rows["value"], sign * rows["donor"].map(exact) / deviation, atol=0.05)
    effect = run.effects.query(
        "metric == 'exchange' and target == 'label' and target_class == 'bright' and value == 'pale'"
    )
    tones = {sample.id: sample.groups["tone"] for sample in kinds.samples}
    levels = [np.mean([of for name, of in exact.items() if tones[name] == tone]) for tone in ("pale", "deep")]
    assert effect["estimate"].item() == pytest.approx((levels[0] - levels[1]) / deviation, abs=0.1)
    about = [finding for finding in run.findings if finding.region == "mark" and finding.target_class]
    used = [finding for finding in about if finding.code in {"CAM101", "CAM102"}]
    assert {finding.status for finding in used} == {"issue"}
    assert all("with mark of images whose tone is" in finding.title for finding in used)
    assert {finding.status for finding in run.findings if finding.code == "CAM105"} == {"not_applicable"}
    assert run.transplants.empty


def test_a_model_that_looks_elsewhere_follows_no_kind(kinds: Dataset, tmp_path: Path) -> None:
    run = _audited(kinds, tmp_path / "run", ITEM)
    used = [finding for finding in run.findings if finding.code == "CAM101"]
    assert {finding.answers["used"] for finding in used} == {"no"}


def test_what_cannot_be_exchanged_or_transplanted_is_said(walls: Dataset, tmp_path: Path) -> None:
    alone = [
        ca.Sample(of.id, of.image, of.label, {}, tuple(r for r in of.regions if r.name == "wall"))
        for of in walls.samples
    ]
    run = _audited(Dataset.of(alone), tmp_path / "run", None)
    assert run.exchanges.empty
    assert run.transplants.empty
    said = {f.code: (f.status, f.title) for f in run.findings if f.code in {"CAM104", "CAM105"}}
    assert said["CAM104"][0] == said["CAM105"][0] == "not_applicable"
    assert "no region is annotated as the object" in said["CAM104"][1]
    assert "every image has it, or none has" in said["CAM105"][1]
    assert run.verdict.status == "insufficient"


def test_one_sample_has_no_donors_and_decides_nothing(walls: Dataset, tmp_path: Path) -> None:
    run = _audited(Dataset.of([walls.samples[0]]), tmp_path / "run", None)
    assert run.exchanges.empty
    assert run.verdict.status in {"insufficient", "not_applicable"}


class _Killed(Exception):  # noqa: N818
    pass


@pytest.mark.parametrize("which", ["walls", "marks", "kinds"])
def test_a_run_that_is_gone_on_with_meets_the_same_donors(
    which: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = request.getfixturevalue(which)
    whole = (
        request.getfixturevalue("by_wall")
        if which == "walls"
        else _audited(data, tmp_path / "a" / "run", None)
    )
    write, written = stages._write_batch, []

    def until(*args: Any) -> None:
        if len(written) == 2:
            raise _Killed
        written.append(1)
        write(*args)

    with monkeypatch.context() as patched:
        patched.setattr(stages, "_write_batch", until)
        with pytest.raises(_Killed):
            _audited(data, tmp_path / "b" / "run", None)
    again = tmp_path / "b" / "run"
    run = _audited(data, again, None, resume=again.exists())
    for name in ("exchanges", "transplants", "measurements", "effects"):
        assert (run.path / f"{name}.parquet").read_bytes() == (whole.path / f"{name}.parquet").read_bytes()


def test_the_tables_do_not_depend_on_the_batch(walls: Dataset, by_wall: Run, tmp_path: Path) -> None:
    model = ca.load_model(Brightness(None).eval(), classes=CLASSES, preprocessing=RECIPE)
    other = ca.audit(walls, model, out=tmp_path / "run", device="cpu", batch_size=5)
    keys = ["sample", "donor", "region", "target", "target_class"]
    sorted_ = [run.exchanges.sort_values(keys, ignore_index=True) for run in (other, by_wall)]
    pd.testing.assert_frame_equal(*sorted_, rtol=1e-4)
