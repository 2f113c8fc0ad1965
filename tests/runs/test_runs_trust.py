"""The stage that examines the maps, in a whole audit."""

from __future__ import annotations

import json
import math
import shutil
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import camaudit as ca
from camaudit.config import AuditSettings, load_config
from camaudit.explain import get_method
from camaudit.measure.trust import passes_of_faithfulness
from camaudit.runs import run_config, trusting
from camaudit.runs.trusting import COLUMNS, SHARE, Plan, empty, passes_of_maps, plan
from tests import small_audit

if TYPE_CHECKING:
    from pathlib import Path

    from camaudit.runs import Run

METHODS = ("eigencam", "gradcam")
CHECKS = {"noise", "head", "half", "all", "late", "early", "other_class", "agreement", "zero_mass"}
CURVES = {
    *("deletion", "insertion", "road", "deletion_random", "insertion_random", "road_random"),
    *("deletion_centre", "insertion_centre", "road_centre", "average_drop", "increase"),
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration in which trust is examined."""
    audit: dict[str, Any] = {
        "methods": list(METHODS),
        "targets": ["predicted"],
        "trust": {"enabled": True, "samples": 13},
        "intervention": {"enabled": False},
    }
    return small_audit.write_audit(tmp_path_factory.mktemp("trust"), count=24, audit=audit)


@pytest.fixture(scope="module")
def run(home: Path) -> Run:
    return run_config(load_config(home), home.parent / "run")


def test_every_method_is_examined_in_every_way(run: Run) -> None:
    table = run.trust
    assert tuple(table) == COLUMNS
    for method in METHODS:
        mine = table[table["method"] == method]
        assert set(mine["check"]) == CHECKS | CURVES
        assert (mine.groupby("check")["sample"].nunique() == 13).all()
    assert set(table["sample"]) <= set(run.samples["sample"])
    assert table.loc[table["check"].isin(CHECKS), "value"].dropna().abs().max() <= 1 + 1e-12


def test_a_method_that_knows_no_class_fails_and_the_next_one_decides(run: Run) -> None:
    by_method = {
        method: next(f for f in run.findings if f.code == "CAM201" and method in f.title.split())
        for method in METHODS
    }
    assert by_method["eigencam"].answers == {"trusted": "no"}
    assert by_method["gradcam"].answers["trusted"] in {"yes", "open"}
    gradcam = run.effects[(run.effects["method"] == "gradcam") & (run.effects["metric"] == "excess")]
    attended = [finding.evidence["attended"] for finding in run.findings if "attended" in finding.evidence]
    known = [effect.estimate for effect in attended if math.isfinite(effect.estimate)]
    assert known
    assert set(known) <= set(gradcam["estimate"])


def test_of_each_subject_one_image_is_drawn_before_another(run: Run) -> None:
    subjects = run.samples.set_index("sample")["subject"]
    per_subject = subjects[run.trust["sample"].unique()].value_counts()
    assert len(per_subject) == 12  # of 24 images
    assert per_subject.max() == 2


def test_the_model_and_the_samples_are_as_they_were(home: Path, run: Run, tmp_path: Path) -> None:
    config = load_config(home)
    off = config.audit.model_copy(update={"trust": config.audit.trust.model_copy(update={"enabled": False})})
    other = run_config(config.model_copy(update={"audit": off}), tmp_path / "run")
    pd.testing.assert_frame_equal(other.samples, run.samples)
    pd.testing.assert_frame_equal(other.measurements, run.measurements)
    pd.testing.assert_frame_equal(other.trust, empty())
    assert not [finding for finding in other.findings if finding.code == "CAM201"]


def test_a_stage_that_was_not_finished_is_made_again_and_the_same(home: Path, run: Run) -> None:
    out = home.parent / "again"  # beside it: the paths in its configuration are relative to it
    shutil.copytree(run.path, out)
    manifest = json.loads((out / "manifest.json").read_text())
    after = list(manifest["stages"]).index("trust")
    for stage in list(manifest["stages"])[after:]:
        manifest["stages"][stage] = "running" if stage == "trust" else "pending"
    (out / "manifest.json").write_text(json.dumps(manifest))
    (out / "trust.parquet").unlink()
    again = run_config(load_config(home), out, resume=True)
    assert (out / "trust.parquet").read_bytes() == (run.path / "trust.parquet").read_bytes()
    assert [f.title for f in again.findings] == [f.title for f in run.findings]


def test_the_report_shows_the_checks(run: Run) -> None:
    page = (run.path / "report.html").read_text(encoding="utf-8")
    assert "The maps of eigencam cannot be believed here" in page


# ------------------------------------------------------------------ what it takes


def tables(count: int, *, edited: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Samples, and the rows of those that were edited."""
    samples = pd.DataFrame({"sample": [f"s{i}" for i in range(count)], "subject": pd.array([None] * count)})
    rows = {"metric": "shift_region", "target": "predicted", "value": 0.1}
    return samples, pd.DataFrame([rows] * edited, columns=list(rows))


@pytest.mark.parametrize(
    "methods", [("gradcam",), ("gradcam", "gradient"), ("gradcam", "rise"), ("smooth:gradcam",)]
)
@pytest.mark.parametrize(("count", "edited"), [(10, 0), (40, 80), (400, 0), (400, 1600), (20_000, 0)])
def test_trust_takes_at_most_its_share(methods: tuple[str, ...], count: int, edited: int) -> None:
    settings = AuditSettings(methods=list(methods), targets=["predicted"])
    found = plan(settings, *tables(count, edited=edited))
    assert found.passes == count * passes_of_maps(methods) + edited * 6
    each = passes_of_faithfulness(len(methods), len({get_method(name).grid for name in methods}))
    assert found.taken == found.images * 8 * passes_of_maps(methods) + found.edited * each
    assert found.taken <= SHARE * (found.taken + found.passes)
    some = plan(settings, *tables(count // 10, edited=edited // 10), times=10)
    assert some == found
    assert found.images == 0 or 10 <= found.images <= min(count, 100)
    assert found.edited == 0 or 10 <= found.edited <= 20


def test_a_run_that_is_too_small_examines_nothing_unless_it_is_told_to() -> None:
    settings = AuditSettings(targets=["predicted"])
    assert plan(settings, *tables(100)) == Plan(0, 0, 100, 0)
    asked = settings.model_copy(update={"trust": settings.trust.model_copy(update={"samples": 30})})
    each = passes_of_faithfulness(1, 1)
    assert plan(asked, *tables(100)) == Plan(30, 20, 100, 30 * 8 + 20 * each)
    assert plan(asked, *tables(12)) == Plan(12, 12, 12, 12 * 8 + 12 * each)


def test_many_samples_of_one_subject_are_drawn_last() -> None:
    samples, _ = tables(30)
    samples["subject"] = ["a"] * 20 + [None] * 5 + ["b"] * 5
    drawn = trusting.drawn(samples, 7, 0)
    assert {f"s{i}" for i in range(20, 25)} <= set(drawn)
    assert len(set(drawn) & {f"s{i}" for i in range(20)}) == 1
    assert sorted(trusting.drawn(samples, 99, 0)) == sorted(samples["sample"])


PASSES: list[int] = []


class Counted(nn.Module):
    """A network, and its copies, whose passes are counted."""

    def __init__(self, outputs: int = 2) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.features = nn.Sequential(nn.Conv2d(3, 8, 5, 4), nn.BatchNorm2d(8), nn.ReLU())
            self.head = nn.Linear(8, outputs)
        self.head.weight.data *= 10

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        PASSES.append(len(images))
        scores: torch.Tensor = self.head(self.features(images).mean((-2, -1)))
        return scores


RECIPE = ca.Preprocessing(resize=None, crop=48, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


def audited(folder: Path, net: nn.Module, classes: tuple[str, ...], count: int = 24, **options: Any) -> Run:
    small_audit.write_data(folder / "data", count=count)
    table = folder / "data" / "table.csv"
    columns = {"id": "id", "mask": "mask", "legend": {1: "shape", 2: "bar"}}
    data = ca.data.table(table, objects=["shape"], attributes=["bar"], **columns)
    task = options.pop("task", "multiclass")
    if task != "multiclass" or len(classes) < 2:
        frame = pd.read_csv(table)
        frame["label"] = np.arange(count) / count if task == "regression" else classes[0]
        frame.to_csv(table, index=False)
        data = ca.data.table(table, objects=["shape"], attributes=["bar"], **columns)
    model = ca.load_model(net, classes=list(classes), preprocessing=RECIPE, task=task)
    return ca.audit(data, model, out=folder / "run", device="cpu", **options)


def test_the_passes_that_were_made_are_within_the_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spent = []
    examine = trusting.examine

    def counting(*given: Any) -> pd.DataFrame:
        before = sum(PASSES)
        table = examine(*given)
        spent.append(sum(PASSES) - before)
        return table

    monkeypatch.setattr(trusting, "examine", counting)
    PASSES.clear()
    net = Counted()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    found = audited(tmp_path, net, small_audit.CLASSES, count=40, targets=["predicted"])
    assert found.trust["sample"].nunique() >= 10
    assert 0 < spent[0] <= SHARE * sum(PASSES) + 30  # and a few passes that look at the network itself
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


# ------------------------------------------------------------------ models that answer little


def maps_finding(found: Run) -> ca.Finding:
    (finding,) = (finding for finding in found.findings if finding.code == "CAM201")
    return finding


def test_a_regression_has_no_other_class(tmp_path: Path) -> None:
    found = audited(
        tmp_path, Counted(1), ("age",), task="regression", targets=["output:age"], intervention=True, count=40
    )
    checks = set(found.trust["check"])
    assert {"head", "noise", "all"} <= checks
    assert "other_class" not in checks
    assert maps_finding(found).answers["trusted"] in {"yes", "no", "open"}


def test_a_model_that_always_says_the_same_is_examined_all_the_same(tmp_path: Path) -> None:
    net = Counted()
    net.head.bias.data[0] = 1e4
    found = audited(tmp_path, net, small_audit.CLASSES, count=40, targets=["predicted"])
    assert set(found.samples["predicted"]) == {"disc"}
    assert maps_finding(found).status in {"passed", "issue", "insufficient"}


def test_maps_without_mass_are_said(tmp_path: Path) -> None:
    net = Counted()
    net.head.weight.data = -net.head.weight.data.abs()
    net.head.bias.data[0] = 1e4
    found = audited(tmp_path, net, small_audit.CLASSES, count=40, targets=["predicted"])
    finding = maps_finding(found)
    assert finding.answers == {"trusted": "no"}
    assert "100 % of them are empty" in finding.title
    assert found.verdict.headline != ""


def test_the_layers_of_a_program_are_not_asked(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated as a whole
        torch.jit.save(torch.jit.trace(Counted().eval(), torch.rand(1, 3, 48, 48)), tmp_path / "net.pt")
    model = ca.load_model(
        "net",
        source="torchscript",
        weights=tmp_path / "net.pt",
        classes=list(small_audit.CLASSES),
        preprocessing=RECIPE,
        trust_code=True,
    )
    small_audit.write_data(tmp_path / "data", count=40)
    data = ca.data.table(
        tmp_path / "data" / "table.csv", id="id", mask="mask", legend={2: "bar"}, attributes=["bar"]
    )
    found = ca.audit(
        data, model, out=tmp_path / "run", methods=["gradient"], targets=["predicted"], device="cpu"
    )
    assert maps_finding(found).status in {"not_applicable", "insufficient"}
    assert "head" not in set(found.trust["check"])
