"""An audit of images that nobody annotated, from end to end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from transformers import SegformerForSemanticSegmentation

from camaudit.config import load_config
from camaudit.runs import open_run, run_config
from tests import small_audit
from tests.command_line import camaudit
from tests.providers import tiny_models

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


COUNT = 14  # two shards of eight
PROVIDE = {
    "corner": {"provider": "quadrants"},
    "tag": {"provider": "repeated_patch"},
    "face": {"provider": "segmentation", "model": "segformer", "labels": ["face"]},
    "hair": {"provider": "segmentation", "model": "segformer", "labels": ["hair"], "threshold": 0.3},
}


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def write(folder: Path, **data: Any) -> Path:
    """The small audit without its masks."""
    small_audit.write_audit(folder, count=COUNT)
    tiny_models.segformer(folder / "segformer")
    path = small_audit.write_config(
        folder / "audit.yaml",
        data={
            "regions": None,
            "provide": PROVIDE,
            "derive": {"person": "face or hair", "rest": "not tag"},
            **data,
        },
        roles={"object": ["person"], "attribute": ["tag"], "context": ["face", "hair"]},
    )
    (folder / "masks").rename(folder / "unused")  # nothing may look for them
    return path


@pytest.fixture(scope="module")
def audit_yaml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("bare"))


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for every image that the segmentation model looks at."""
    counted: list[int] = []
    forward = SegformerForSemanticSegmentation.forward

    def counting(self: Any, *args: Any, **options: Any) -> Any:
        counted.append(1)
        return forward(self, *args, **options)

    monkeypatch.setattr(SegformerForSemanticSegmentation, "forward", counting)
    return counted


def test_provided_regions_are_measured_cached_and_marked(
    audit_yaml: Path, tmp_path: Path, looks: list[int]
) -> None:
    run = run_config(load_config(audit_yaml), tmp_path / "run")
    assert len(looks) == COUNT  # two regions of one model, one look an image

    measured = run.measurements.dropna(subset="value")
    assert {"face", "hair", "tag", "person", "rest", "corner_top_left"} <= set(measured["region"])
    area = measured[measured["metric"] == "area"].groupby("region")["value"].mean()
    assert area["corner_bottom_right"] == pytest.approx(0.25)
    assert area["tag"] + area["rest"] == pytest.approx(1)

    manifest = json.loads((run.path / "manifest.json").read_text())
    assert manifest["stages"]["regions"] == "done"
    assert manifest["made_by"]["face"] == manifest["made_by"]["person"] == "segmentation"
    assert manifest["made_by"]["rest"] == "repeated_patch"
    assert len(manifest["hashes"]["provider of face and hair"]) == 64
    (told,) = (warning for warning in manifest["warnings"] if "'hair'" in warning)
    assert "a model made it (segmentation)" in told
    assert "entropy" in told

    page = (run.path / "report.html").read_text()
    assert "made by segmentation" in page
    assert "made by repeated_patch" in page
    assert told.replace("'", "&#39;") in page

    again = open_run(run.path)
    masks = again.masks("s03")
    assert set(masks) == set(run.masks("s03"))
    assert all(np.array_equal(masks[name], run.masks("s03")[name]) for name in masks)
    assert {region.name: region.made_by for region in again.source("s03").regions}["hair"] == "segmentation"
    assert len(looks) == COUNT  # opening a run computes nothing again


def test_a_resume_makes_no_region_again(
    audit_yaml: Path, tmp_path: Path, looks: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("camaudit.providers.cache.SHARD", 8)
    config = load_config(audit_yaml)
    whole = run_config(config, tmp_path / "whole")
    looks.clear()

    out = tmp_path / "killed"
    with pytest.raises(_Killed):
        run_config(config, out, progress=_Killer("regions", after=COUNT + 8))
    assert not (out / "samples").exists()
    assert len(looks) == 8
    with pytest.raises(_Killed):
        run_config(config, out, resume=True, progress=_Killer("measure", after=8))
    assert len(looks) == COUNT
    resumed = run_config(config, out, resume=True)
    assert len(looks) == COUNT
    for table in ("measurements.parquet", "effects.parquet"):
        assert (whole.path / table).read_bytes() == (out / table).read_bytes()
    assert resumed.manifest.warnings == whole.manifest.warnings


def test_a_resume_with_another_model_is_refused(tmp_path: Path) -> None:
    config = write(tmp_path)
    with pytest.raises(_Killed):
        run_config(load_config(config), tmp_path / "run", progress=_Killer("measure", after=1))
    weights = tmp_path / "segformer" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    code, _, said = camaudit("run", config, "--out", tmp_path / "run", "--resume")
    assert code == 2
    assert "was begun with another provider of face and hair" in said


@pytest.mark.parametrize(
    ("provide", "said"),
    [
        ({"face": {"provider": "segmentation", "model": "segformer", "labels": ["fase"]}}, "did you mean 'face'?"),
        ({"face": {"provider": "segmentation", "model": "nowhere", "labels": ["face"]}}, "nowhere"),
        ({"face": {"provider": "open_vocabulary", "model": "segformer", "labels": ["face"]}}, "not an open-vocabulary model"),
        ({"a": {"provider": "quadrants"}, "a_top_left": {"provider": "centre"}}, "there is a region 'a_top_left' already"),
        ({"face": {"provider": "segmentation", "model": "weights.safetensors", "labels": ["face"]}}, "architecture is missing"),
        ({"a": {"provider": "grid", "row": 3}}, "did you mean 'rows'?"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_a_sentence(tmp_path: Path, provide: dict[str, Any], said: str) -> None:
    path = write(tmp_path)
    small_audit.write_config(
        path, data={"regions": None, "provide": provide}, roles={"object": [], "attribute": [], "context": []}
    )
    code, _, errors = camaudit("run", path, "--out", tmp_path / "run")
    assert code == 2
    assert said in errors
    assert not (tmp_path / "run").exists()


def test_a_check_counts_provided_regions_and_looks_once(audit_yaml: Path, looks: list[int]) -> None:
    for _ in range(2):
        code, out, errors = camaudit("check", audit_yaml)
        assert code == 0, out + errors
        assert "corner_top_left" in out
        assert "a model made it" in out
        assert len(looks) == COUNT


class _Killed(BaseException):
    """What ends a process that nobody expected to end."""


class _Killer:
    def __init__(self, stage: str, *, after: int) -> None:
        self._stage, self._after = stage, after

    def update(self, stage: str, done: int, total: int) -> None:
        if stage == self._stage and done >= self._after and total > 1:
            raise _Killed

    def note(self, text: str) -> None:
        pass
