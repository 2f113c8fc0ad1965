"""From data and model to findings, in Python."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from torch import nn
from torch.testing import assert_close

import camaudit as ca
from camaudit.config import load_config
from camaudit.data import Dataset
from camaudit.errors import ConfigError, DataError, ModelError, RunError
from camaudit.measure.appearance import LOOKS
from camaudit.runs import concluding, pipeline, run_config, stages
from tests import small_audit

if TYPE_CHECKING:
    from camaudit.runs import Run

SAMPLES = [
    *("sample", "image", "label", "predicted", "correct", "confidence", "margin", "split", "subject"),
    *("group_colour", "score_disc", "score_square", "scale_gradcam_predicted", "scale_gradcam_label"),
    *(f"look_{name}" for name in LOOKS),
]
MEASUREMENTS = ["sample", "method", "target", "target_class", "region", "role", "metric", "value"]
EFFECTS = [
    *("metric", "method", "target", "target_class", "region", "role", "group", "value"),
    *("estimate", "low", "high", "p", "q", "n"),
]
CLUSTERS = ["sample", "method", "target", "target_class", "cluster", "rank", "x", "y"]
QUADRANTS = ["sample", "quadrant", "object_shift", "attribute_shift"]


# ------------------------------------------------------------------ what a run says


def test_the_tables_have_the_documented_columns(finished: Run) -> None:
    assert list(finished.samples) == SAMPLES
    assert list(finished.measurements) == MEASUREMENTS
    assert list(finished.effects) == EFFECTS
    assert list(finished.clusters) == CLUSTERS
    assert list(finished.quadrants) == QUADRANTS
    assert finished.quadrants["sample"].tolist() == finished.samples["sample"].tolist()


def test_samples_are_in_the_order_of_the_dataset(finished: Run) -> None:
    assert list(finished.samples["sample"]) == [f"s{number:02}" for number in range(24)]


def test_predictions_are_the_models(finished: Run, audit_yaml: Path) -> None:
    table = finished.samples
    inputs = np.stack([finished.picture(sample) for sample in table["sample"]])
    pixels = (torch.from_numpy(inputs).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5
    with torch.inference_mode():
        scores = small_audit.network()(pixels)
    assert_close(torch.tensor(table[["score_disc", "score_square"]].to_numpy()), scores)
    assert list(table["predicted"]) == [small_audit.CLASSES[i] for i in scores.argmax(1)]
    assert list(table["correct"]) == list(table["predicted"] == table["label"])
    assert_close(
        torch.tensor(table["confidence"].to_numpy()), scores.double().softmax(1).amax(1), rtol=1e-5, atol=0
    )
    assert_close(
        torch.tensor(table["margin"].to_numpy()),
        (scores[:, 0] - scores[:, 1]).abs().double(),
        rtol=1e-4,
        atol=1e-5,
    )


def test_attribution_gives_raw_maps_up_to_float16(finished: Run) -> None:
    table = finished.samples
    pixels = torch.from_numpy(np.stack([finished.picture(sample) for sample in table["sample"]]))
    inputs = (pixels.permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5
    maps = ca.explain(
        small_audit.network(),
        inputs,
        methods=["gradcam"],
        targets=[0, 1],
        layer=finished.manifest.target_layer,
    )["gradcam"]
    for target in ("predicted", "label"):
        for row, sample in enumerate(table["sample"]):
            found = finished.attribution(sample, target=target)
            expected = maps[row, small_audit.CLASSES.index(table[target].iloc[row])]
            assert found.values.dtype == np.float32
            assert (found.sample, found.method, found.target) == (sample, "gradcam", target)
            assert_close(
                torch.from_numpy(found.values), expected, rtol=1e-3, atol=1e-3 * expected.max().item()
            )


def test_maps_are_stored_as_float16_scaled_by_their_maximum(finished: Run) -> None:
    shards = sorted((finished.path / "maps" / "gradcam" / "label").iterdir())
    values = np.concatenate([np.load(shard) for shard in shards])
    assert values.dtype == np.float16
    assert values.shape == (24, *finished.manifest.grid)
    scales = finished.samples["scale_gradcam_label"].to_numpy()
    assert (values.max(axis=(1, 2)) == np.where(scales > 0, 1, 0)).all()


def test_attribution_refuses_what_the_run_does_not_have(finished: Run) -> None:
    with pytest.raises(RunError, match="has no sample 's99'"):
        finished.attribution("s99")
    with pytest.raises(RunError, match="not made with the method 'cam'; it has gradcam"):
        finished.attribution("s00", method="cam")
    with pytest.raises(RunError, match="not made with the target 'class:disc'; it has predicted, label"):
        finished.attribution("s00", target="class:disc")


def test_masks_and_picture_are_in_the_models_frame(finished: Run) -> None:
    masks = finished.masks("s03")
    assert set(masks) == {"shape", "bar", "frame"}
    assert all(mask.shape == (64, 64) and mask.dtype == bool for mask in masks.values())
    picture = finished.picture("s03")
    assert (picture.shape, picture.dtype) == ((64, 64, 3), np.uint8)
    assert picture[masks["shape"]].mean() > 200 > picture[~masks["shape"]].mean()


def test_source_is_the_sample_of_the_dataset(finished: Run) -> None:
    source = finished.source("s03")
    assert (source.id, source.label, source.subject, source.split) == ("s03", "square", "p1", "test")
    assert source.image.exists()


def test_an_opened_run_is_the_one_that_was_made(finished: Run) -> None:
    opened = ca.open_run(finished.path)
    assert opened.manifest == finished.manifest
    pd.testing.assert_frame_equal(opened.samples, finished.samples)
    assert opened.verdict == finished.verdict
    assert opened.findings == finished.findings
    assert replace(opened.source("s03"), image=Path(), regions=()) == replace(
        finished.source("s03"), image=Path(), regions=()
    )
    assert (opened.picture("s03") == finished.picture("s03")).all()


def test_the_run_directory_is_laid_out_as_documented(finished: Run) -> None:
    names = {path.name for path in finished.path.iterdir()}
    assert names == {
        *("manifest.json", "config.yaml", "samples", "maps", "measurements.parquet", "effects.parquet"),
        *(
            "clusters.parquet",
            "quadrants.parquet",
            "trust.parquet",
            "exchanges.parquet",
            "transplants.parquet",
            "recasts.parquet",
            "findings.json",
            "report.html",
        ),
    }
    assert {path.name for path in (finished.path / "maps").iterdir()} == {"gradcam"}
    assert {path.name for path in (finished.path / "maps/gradcam").iterdir()} == {"predicted", "label"}
    assert not [
        path for path in finished.path.rglob("*") if "partial" in path.name or path.name.startswith(".")
    ]


def test_the_manifest_says_what_the_run_is(finished: Run) -> None:
    manifest = finished.manifest
    assert set(manifest.stages.values()) == {"done"}
    assert set(manifest.hashes) == {"config", "model", "data"}
    assert manifest.versions["torch"] == version("torch")
    assert (manifest.name, manifest.device, manifest.samples, manifest.skipped) == ("run", "cpu", 24, ())
    assert manifest.frame == (64, 64)
    assert manifest.classes == small_audit.CLASSES
    assert dict(manifest.roles) == {"shape": "object", "bar": "attribute", "frame": "context"}
    assert set(manifest.seconds) == set(manifest.stages)


def test_findings_json_is_plain_json_without_nan(finished: Run) -> None:
    def refuse(name: str) -> None:
        pytest.fail(f"findings.json holds {name}")

    content = json.loads((finished.path / "findings.json").read_text(), parse_constant=refuse)
    assert content["findings"]
    assert {finding["status"] for finding in content["findings"]} <= {
        *("issue", "tip", "passed", "insufficient", "not_applicable")
    }


# ------------------------------------------------------------------ the same again


def same_numbers(first: Run, second: Run) -> None:
    keys = ["sample", "method", "target", "region", "metric"]
    one, two = (run.measurements.sort_values(keys).reset_index(drop=True) for run in (first, second))
    pd.testing.assert_frame_equal(one, two, rtol=1e-5, atol=1e-5)


def test_the_configuration_in_the_run_directory_runs_again(
    finished: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    again = run_config(load_config(finished.path / "config.yaml"), Path("again"))
    for table in ("measurements.parquet", "effects.parquet", "clusters.parquet", "quadrants.parquet"):
        assert (again.path / table).read_bytes() == (finished.path / table).read_bytes()
    third = run_config(load_config(again.path / "config.yaml"), Path("third"))
    assert (third.path / "config.yaml").read_text() == (again.path / "config.yaml").read_text()
    assert (third.path / "findings.json").read_text() == (again.path / "findings.json").read_text().replace(
        '"run": "again"', '"run": "third"'
    )


def test_the_configuration_runs_again_behind_a_symbolic_link(finished: Run, tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "deep" / "er")
    begun = run_config(load_config(finished.path / "config.yaml"), tmp_path / "link" / "run")
    assert ca.open_run(begun.path).picture("s00").shape == (64, 64, 3)
    assert load_config(begun.path / "config.yaml").data.path.exists()


@pytest.mark.parametrize("size", [1, 7, 64])
def test_the_batch_size_does_not_change_the_numbers(finished: Run, tmp_path: Path, size: int) -> None:
    config = load_config(finished.path / "config.yaml")
    settings = config.audit.model_copy(update={"batch_size": size})
    same_numbers(run_config(config.model_copy(update={"audit": settings}), tmp_path / "run"), finished)


def test_another_seed_changes_only_what_is_drawn(finished: Run, tmp_path: Path) -> None:
    config = load_config(finished.path / "config.yaml")
    settings = config.audit.model_copy(update={"seed": 1})
    other = run_config(config.model_copy(update={"audit": settings}), tmp_path / "run")
    pd.testing.assert_frame_equal(other.measurements, finished.measurements)
    # whose attribute an image is given is drawn
    same = [run.effects[~run.effects["method"].isin(["transplant", "exchange"])] for run in (other, finished)]
    pd.testing.assert_frame_equal(*same)
    drawn = [pd.concat([run.transplants, run.exchanges]) for run in (other, finished)]
    assert not drawn[0].equals(drawn[1])


# ------------------------------------------------------------------ a network and samples from Python


class Tiny(nn.Module):
    """A network with a mode, running statistics and a parameter that is frozen."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.features = nn.Sequential(
                nn.Conv2d(3, 8, 5, 2), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.5)
            )
            self.head = nn.Linear(8, 2)
        self.head.weight.data *= 10
        self.features[0].bias.requires_grad_(False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.head(self.features(images).mean((-2, -1)))
        return scores


RECIPE = ca.Preprocessing(resize=None, crop=48, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


def samples(folder: Path, count: int = 24, **changes: Any) -> list[ca.Sample]:
    """Samples with masks as arrays."""
    from PIL import Image

    folder.mkdir(exist_ok=True)
    made = []
    for number in range(count):
        label, colour = small_audit.CLASSES[number % 2], ("red", "blue")[number % 2]
        image, mask = small_audit.draw(number, label, colour)
        path = folder / f"{number}.png"
        Image.fromarray(image).save(path)
        regions = (ca.Region("shape", "object", mask == 1), ca.Region("bar", "attribute", mask == 2))
        values = {"groups": {"colour": colour}, "regions": regions, "label": label} | changes
        made.append(ca.Sample(id=f"s{number}", image=path, **values))
    return made


def audited(data: Dataset, out: Path, net: nn.Module | None = None, **options: Any) -> Run:
    model = ca.load_model(net or Tiny().eval(), classes=["disc", "square"], preprocessing=RECIPE)
    return ca.audit(data, model, out=out, **({"device": "cpu", "batch_size": 8, "trust": False} | options))


def test_a_network_and_samples_from_python(tmp_path: Path) -> None:
    run = audited(Dataset.of(samples(tmp_path / "images"), groups=["colour"]), tmp_path / "run")
    assert list(run.samples) == SAMPLES
    assert run.masks("s0")["bar"].any()
    assert run.report(tmp_path / "page.html").exists()
    opened = ca.open_run(run.path)
    assert opened.findings == run.findings
    with pytest.raises(DataError, match=r"made in Python and cannot be read again; hand it over with data="):
        opened.masks("s0")
    data = Dataset.of(samples(tmp_path / "images"), groups=["colour"])
    assert ca.open_run(run.path, data=data).masks("s0")["bar"].any()


def test_a_run_from_python_is_resumed_in_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = Dataset.of(samples(tmp_path / "images"), groups=["colour"])
    whole = audited(data, tmp_path / "a" / "run")

    class Full(Exception):  # noqa: N818
        pass

    def fail(*_: object, **__: object) -> None:
        raise Full

    with monkeypatch.context() as patched:
        patched.setattr(concluding, "estimate", fail)
        with pytest.raises(Full):
            audited(data, tmp_path / "b" / "run")
    monkeypatch.chdir(tmp_path / "b")
    run = audited(data, tmp_path / "b" / "run", resume=True)
    assert (run.path / "effects.parquet").read_bytes() == (whole.path / "effects.parquet").read_bytes()


def test_group_columns_are_those_of_the_samples_where_none_are_named(tmp_path: Path) -> None:
    assert Dataset.of(samples(tmp_path / "images", count=2)).groups == ("colour",)


def state_of(net: nn.Module) -> dict[str, Any]:
    return {
        "values": {name: value.clone() for name, value in net.state_dict().items()},
        "modes": {name: part.training for name, part in net.named_modules()},
        "grads": {name: (p.requires_grad, p.grad) for name, p in net.named_parameters()},
        "hooks": [len(part._forward_hooks) + len(part._forward_pre_hooks) for part in net.modules()],
    }


@pytest.mark.parametrize("fails", [False, True])
def test_the_model_comes_back_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, fails: bool
) -> None:
    net = Tiny().train()
    net.features[1].eval()
    net.features[1].train()
    net.features[3].eval()
    before = state_of(net)
    data = Dataset.of(samples(tmp_path / "images", count=16))
    if fails:
        monkeypatch.setattr(concluding, "judge", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            audited(data, tmp_path / "run", net)
    else:
        audited(data, tmp_path / "run", net)
    after = state_of(net)
    assert_close(after.pop("values"), before.pop("values"), rtol=0, atol=0)
    assert after == before


def test_a_network_in_training_mode_is_audited_as_in_evaluation(tmp_path: Path) -> None:
    data = Dataset.of(samples(tmp_path / "images"))
    run = audited(data, tmp_path / "train", Tiny().train())
    same_numbers(run, audited(data, tmp_path / "eval", Tiny().eval()))


def test_scores_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    net = Tiny().eval()
    net.head.bias.data[0] = torch.nan
    with pytest.raises(
        ModelError, match=r"scores that Tiny gives to .*0\.png are not finite numbers\. Check the weights"
    ):
        audited(Dataset.of(samples(tmp_path / "images")), tmp_path / "run", net)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"methods": ["gradcamm"]}, "no attribution method 'gradcamm'; did you mean"),
        ({"methods": []}, "camaudit.audit: methods: "),
        ({"methods": ["gradcam", "gradcam"]}, "methods names 'gradcam' more than once"),
        ({"targets": ["best"]}, "'best' is no output target"),
        ({"targets": ["class:triangle"]}, "names 'triangle', which is no class: disc, square"),
        ({"targets": ["class:disc", "class: disc"]}, "targets names 'class:disc' more than once"),
        ({"batch_size": 0}, "batch_size: Input should be greater than 0"),
        ({"seed": -1}, "seed: Input should be greater than or equal to 0"),
        ({"device": "tpu"}, "device 'tpu' cannot be used here"),
        ({"device": "meta"}, "device 'meta' cannot be used here"),
        ({"device": "cuda:99"}, "device 'cuda:99' cannot be used here"),
        ({"device": ""}, "device '' cannot be used here"),
    ],
)
def test_wrong_options_are_refused_and_leave_nothing(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    data = Dataset.of(samples(tmp_path / "images", count=4))
    net = Tiny().eval()
    with pytest.raises(ca.CamauditError, match=message):
        audited(data, tmp_path / "runs" / "a", net, **options)
    assert not (tmp_path / "runs").exists()
    assert not any(parameter.is_meta for parameter in net.parameters())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": ["disc", "disc"]}, "classes names 'disc' more than once"),
        ({"classes": ["disc"]}, "camaudit.load_model: classes: "),
        ({"classes": ["disc", " "]}, "classes.1: a name must not be empty"),
        ({"classes": ["a", "b", "c"]}, "head of Tiny has 2 outputs but 3 classes are named"),
        ({"preprocessing": None}, "How an image becomes the input of this Tiny is not known"),
        ({"preprocessing": replace(RECIPE, std=(0.5, 0.0, 0.5))}, "std must be above 0"),
        ({"preprocessing": replace(RECIPE, crop=0)}, "crop must be at least 1 pixel"),
        ({"preprocessing": replace(RECIPE, crop=2)}, "does not take an input of 2x2"),
        ({"layer": "featurs"}, "has no layer 'featurs'; did you mean 'features"),
    ],
)
def test_a_model_that_does_not_fit_is_refused(options: dict[str, Any], message: str) -> None:
    given = {"classes": ["disc", "square"], "preprocessing": RECIPE} | options
    with pytest.raises(ca.CamauditError, match=message):
        ca.load_model(Tiny(), **given)


def test_a_name_without_weights_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"weights is missing.*Nothing is downloaded"):
        ca.load_model("resnet18", classes=["a", "b"])
    with pytest.raises(ConfigError, match=r"source: Input should be 'torchvision', 'timm'"):
        ca.load_model("resnet18", classes=["a", "b"], weights="x.pt", source="tim")


# ------------------------------------------------------------------ data with less in it


def measured(run: Run, metric: str) -> pd.Series:
    table = run.measurements
    return table.loc[table["metric"] == metric, "value"]


def test_without_an_attribute_nothing_is_found_of_one(tmp_path: Path) -> None:
    listed = [replace(sample, regions=sample.regions[:1]) for sample in samples(tmp_path / "images")]
    run = audited(Dataset.of(listed), tmp_path / "run")
    statuses = {finding.code: finding.status for finding in run.findings}
    assert "not_applicable" in statuses.values()
    assert "issue" not in {f.status for f in run.findings if f.role == "attribute"}


def test_without_any_region(tmp_path: Path) -> None:
    run = audited(Dataset.of(samples(tmp_path / "images", regions=())), tmp_path / "run")
    about_regions = [finding for finding in run.findings if finding.code.startswith("CAM1")]
    assert {finding.status for finding in about_regions} == {"not_applicable"}
    assert not any(finding.status == "issue" for finding in run.findings)
    assert any("No region is annotated" in warning for warning in run.manifest.warnings)
    assert list(run.measurements) == MEASUREMENTS
    assert list(run.effects) == EFFECTS
    assert "No region is annotated" in run.report(tmp_path / "page.html").read_text()


def test_with_context_alone(tmp_path: Path) -> None:
    listed = [
        replace(sample, regions=tuple(replace(region, role="context") for region in sample.regions))
        for sample in samples(tmp_path / "images")
    ]
    run = audited(Dataset.of(listed), tmp_path / "run")
    assert "issue" not in {finding.status for finding in run.findings}


def test_without_labels(tmp_path: Path) -> None:
    data = Dataset.of(samples(tmp_path / "images", label=None))
    run = audited(data, tmp_path / "run", targets=["predicted"])
    assert run.samples["label"].isna().all()
    assert run.samples["correct"].isna().all()
    with pytest.raises(
        DataError, match=r"target 'label' needs labels, and 24 sample\(s\) have none, such as s0"
    ):
        audited(data, tmp_path / "other")


def test_with_one_class_only(tmp_path: Path) -> None:
    run = audited(Dataset.of(samples(tmp_path / "images", label="disc")), tmp_path / "run")
    assert set(run.samples["label"]) == {"disc"}


def test_a_group_of_one_sample_decides_nothing(tmp_path: Path) -> None:
    first, *rest = samples(tmp_path / "images")
    odd = replace(first, groups={"colour": "green"})
    run = audited(Dataset.of([odd, *rest], groups=["colour"]), tmp_path / "run")
    cells = run.effects[run.effects["value"] == "green"]
    assert set(cells["n"]) <= {0, 1}
    assert cells[["low", "high", "p", "q"]].isna().all(axis=None)
    assert not [f for f in run.findings if f.group == {"colour": "green"} and f.status in {"issue", "passed"}]


def test_samples_that_lack_a_group(tmp_path: Path) -> None:
    listed = samples(tmp_path / "images")
    listed[:8] = [replace(sample, groups={}) for sample in listed[:8]]
    run = audited(Dataset.of(listed, groups=["colour"]), tmp_path / "run")
    assert list(run.samples) == SAMPLES
    assert run.samples["group_colour"].isna().sum() == 8


def test_a_model_that_always_says_the_same_has_no_shift(tmp_path: Path) -> None:
    net = Tiny().eval()
    net.head.weight.data.zero_()
    net.head.bias.data = torch.tensor([1.0, 0.0])
    run = audited(Dataset.of(samples(tmp_path / "images")), tmp_path / "run", net)
    assert set(run.samples["predicted"]) == {"disc"}
    for metric in ("shift", "shift_region", "shift_control", "mass", "excess", "pointing"):
        assert measured(run, metric).isna().all(), metric
    effects = run.effects
    shifts = effects[effects["metric"].str.startswith("shift")]
    assert (shifts["n"] == 0).all()
    assert shifts[["estimate", "low", "high", "p", "q"]].isna().all(axis=None)
    assert not {finding.status for finding in run.findings} & {"issue", "passed"}


def test_images_of_different_size_in_the_models_frame_are_refused_in_any_batch(tmp_path: Path) -> None:
    from PIL import Image

    listed = samples(tmp_path / "images", count=6, regions=())
    Image.new("RGB", (96, 48)).save(listed[5].image)
    model = ca.load_model(
        Tiny().eval(), classes=["disc", "square"], preprocessing=replace(RECIPE, resize=48, crop=None)
    )
    for size in (6, 1):
        with pytest.raises(DataError, match=r"96x48.*Set model\.preprocessing\.crop"):
            ca.audit(Dataset.of(listed), model, out=tmp_path / "run", batch_size=size, device="cpu")
        assert not (tmp_path / "run").exists()


# ------------------------------------------------------------------ a contrast


class Third(nn.Module):
    """Three scores: of disc and square what `Tiny` gives, and one that is always the highest."""

    def __init__(self, *, apart: float) -> None:
        super().__init__()
        self.inner, self.apart = Tiny(), apart

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        disc, square = self.inner(images).unbind(1)
        return torch.stack([disc, disc + 1 + self.apart * (square - disc), disc.new_full(disc.shape, 99)], 1)


def contrasted(folder: Path, net: nn.Module, *targets: str) -> pd.DataFrame:
    """Shifts by target, a row a sample."""
    model = ca.load_model(net.eval(), classes=["disc", "square", "ring"], preprocessing=RECIPE)
    data = Dataset.of(samples(folder / "images", count=16))
    run = ca.audit(data, model, out=folder / "run", device="cpu", targets=targets)
    rows = run.measurements.query("metric == 'shift_region' and region == 'bar'")
    return rows.pivot_table(index="sample", columns="target", values="value", dropna=False)


def test_an_edit_is_measured_by_the_contrast_that_is_explained(tmp_path: Path) -> None:
    found = contrasted(tmp_path, Third(apart=1), "contrast:disc,square", "contrast:square,disc", "class:disc")
    assert found.notna().all(axis=None)
    one, other = found["contrast:disc,square"], found["contrast:square,disc"]
    pd.testing.assert_series_equal(one, -other, check_names=False, rtol=1e-4, atol=1e-6)
    assert not np.allclose(one, found["class:disc"], atol=1e-2)


def test_a_contrast_that_does_not_vary_has_no_shift(tmp_path: Path) -> None:
    found = contrasted(tmp_path, Third(apart=0), "contrast:disc,square", "class:disc")
    assert found["class:disc"].notna().all()
    assert not (found["contrast:disc,square"].abs() > 0).any()


# ------------------------------------------------------------------ the device


def test_too_little_memory_names_the_batch_size_and_leaves_a_run_to_resume(
    audit_yaml: Path, finished: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, batches = stages.measure_batch, []

    def full(batch: Any, *rest: Any) -> Any:
        batches.append(batch)
        if len(batches) == 2:
            msg = "CUDA out of memory. Tried to allocate 9 GiB."
            raise torch.OutOfMemoryError(msg)
        return real(batch, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(stages, "measure_batch", full)
        with pytest.raises(
            RunError, match=r"batches of 8 images: CUDA out of memory\..*audit\.batch_size.*--resume"
        ):
            run_config(load_config(audit_yaml), tmp_path / "run")
    run = run_config(load_config(audit_yaml), tmp_path / "run", resume=True)
    same_numbers(run, finished)


def precision() -> list[str]:
    """How torch multiplies float32 on a GPU: matrices, convolutions."""
    if hasattr(torch.backends.cudnn, "conv"):
        return [torch.backends.cuda.matmul.fp32_precision, torch.backends.cudnn.conv.fp32_precision]
    return [str(torch.backends.cuda.matmul.allow_tf32), str(torch.backends.cudnn.allow_tf32)]


@pytest.mark.parametrize("fails", [False, True])
def test_float32_is_not_rounded_to_tf32_and_the_setting_comes_back(
    audit_yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, fails: bool
) -> None:
    torch.set_float32_matmul_precision("high")
    try:
        before, during = precision(), []
        real = stages.measure_batch

        def look(*arguments: Any) -> Any:
            during.append(precision())
            return 1 / 0 if fails else real(*arguments)

        monkeypatch.setattr(stages, "measure_batch", look)
        with pytest.raises(ZeroDivisionError) if fails else nullcontext():
            run_config(load_config(audit_yaml), tmp_path / "run")
        assert all(one in (["ieee", "ieee"], ["False", "False"]) for one in during)
        assert during
        assert precision() == before
    finally:
        torch.set_float32_matmul_precision("highest")


# ------------------------------------------------------------------ images that cannot be read


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """An audit of 24 images, of which a whole batch and one more cannot be read."""
    config = small_audit.write_audit(tmp_path, count=24)
    for number in range(8, 16):
        (tmp_path / "images" / f"{number:02}.png").write_bytes(b"")
    (tmp_path / "images" / "20.png").unlink()
    return config


def test_images_that_cannot_be_read_are_skipped_counted_and_listed(broken: Path, tmp_path: Path) -> None:
    run = run_config(load_config(broken), tmp_path / "run")
    assert [skipped.sample for skipped in run.manifest.skipped] == [f"s{n:02}" for n in (*range(8, 16), 20)]
    assert run.manifest.skipped[-1].reason.startswith(f"{tmp_path / 'images' / '20.png'} does not exist")
    assert len(run.samples) == 15
    assert "9 of 24 images could not be read and were left out." in run.manifest.warnings
    page = (run.path / "report.html").read_text()
    assert "20.png" in page
    assert "9 of 24 images could not be read" in page
    assert run.attribution("s23").values.shape == run.manifest.grid


def test_where_no_image_can_be_read_nothing_is_left(broken: Path, tmp_path: Path) -> None:
    for image in (tmp_path / "images").iterdir():
        image.write_bytes(b"GIF89a")
    with pytest.raises(DataError, match=r"None of the 24 images can be read\. The first: .*00\.png"):
        run_config(load_config(broken), tmp_path / "runs" / "run")
    assert not (tmp_path / "runs").exists()


def test_strict_refuses_the_first_image_that_cannot_be_read(broken: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"08\.png is not an image.*\nThe run is strict"):
        run_config(load_config(broken), tmp_path / "run", strict=True)
    assert not (tmp_path / "run").exists()


# ------------------------------------------------------------------ what is in the way


def test_a_folder_with_files_is_refused_and_kept(audit_yaml: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(RunError, match=r"exists and is not an empty folder\. Give another --out"):
        run_config(load_config(audit_yaml), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_finished_run_is_refused_and_kept(finished: Run, audit_yaml: Path) -> None:
    before = sorted(finished.path.rglob("*"))
    with pytest.raises(RunError, match=r"already holds a run\. Go on with it \(--resume\)"):
        run_config(load_config(audit_yaml), finished.path)
    assert sorted(finished.path.rglob("*")) == before


def test_an_empty_folder_is_used_and_stays_where_the_audit_fails(broken: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    out.mkdir()
    with pytest.raises(DataError):
        run_config(load_config(broken), out, strict=True)
    assert out.is_dir()
    assert not list(out.iterdir())
    assert run_config(load_config(broken), out).path == out


def test_files_that_others_put_into_the_folder_are_never_removed(
    broken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = pipeline._measured

    def joined(job: Any, manifest: Any) -> Any:
        (job.out / "notes.txt").write_text("mine")
        return real(job, manifest)

    monkeypatch.setattr(pipeline, "_measured", joined)
    with pytest.raises(DataError):
        run_config(load_config(broken), tmp_path / "run", strict=True)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["notes.txt"]


def test_of_two_runs_at_once_the_second_is_refused_and_the_first_goes_on(
    audit_yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[str] = []
    real = pipeline._measured

    def both(job: Any, manifest: Any) -> Any:
        monkeypatch.setattr(pipeline, "_measured", real)
        monkeypatch.setattr(pipeline.folder, "check_free", lambda _: None)  # as if both had looked at once
        with pytest.raises(RunError) as caught:
            run_config(load_config(audit_yaml), tmp_path / "run")
        refused.append(str(caught.value))
        return real(job, manifest)

    monkeypatch.setattr(pipeline, "_measured", both)
    run = run_config(load_config(audit_yaml), tmp_path / "run")
    assert "is being written by another process" in refused[0]
    assert len(run.samples) == 24


def test_wrong_input_after_measuring_leaves_what_was_measured(
    audit_yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object, **__: object) -> None:
        msg = "an image was deleted meanwhile"
        raise DataError(msg)

    with monkeypatch.context() as patched:
        patched.setattr(concluding, "judge", gone)
        with pytest.raises(DataError, match="deleted meanwhile"):
            run_config(load_config(audit_yaml), tmp_path / "run")
    assert (tmp_path / "run" / "measurements.parquet").exists()
    run_config(load_config(audit_yaml), tmp_path / "run", resume=True)


def test_a_full_disk_is_said_and_leaves_a_run_to_resume(
    audit_yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    count = 0

    def full(_: int) -> None:
        nonlocal count
        count += 1
        if count == 13:
            raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patched:
        patched.setattr("camaudit.runs.store.os.fsync", full)
        with pytest.raises(
            RunError, match=r"part-000001\.parquet cannot be written: No space left on device"
        ):
            run_config(load_config(audit_yaml), tmp_path / "run")
    assert not list((tmp_path / "run").rglob("*.partial"))
    run_config(load_config(audit_yaml), tmp_path / "run", resume=True)


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("findings.json", lambda run: run.verdict),
        ("effects.parquet", lambda run: run.effects),
        ("measurements.parquet", lambda run: run.measurements),
        ("config.yaml", lambda run: run.config),
        ("samples/part-000001.parquet", lambda run: run.samples),
        ("maps/gradcam/predicted/part-000001.npy", lambda run: run.attribution("s00")),
    ],
)
@pytest.mark.parametrize("content", [None, b"", b"\x00garbage"])
def test_a_damaged_file_of_a_run_is_named(finished: Run, name: str, read: Any, content: bytes | None) -> None:
    path = finished.path / name
    kept = path.read_bytes()
    try:
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content)
        with pytest.raises(RunError, match=r"missing or damaged: (.|\n)*Run the audit again"):
            read(ca.open_run(finished.path))
    finally:
        path.write_bytes(kept)


# ------------------------------------------------------------------ names that could break a path or a table


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("odd")


NAMES = ['a/b\\c:"d"', "<script>alert(1)</script>", "é\n名" + "x" * 300]


def test_odd_class_group_and_region_names(odd: Path) -> None:
    one, two, three = NAMES
    listed = [
        ca.Sample(
            id=f"../{sample.id}/{two}",
            image=sample.image,
            label=(one, three)[number % 2],
            groups={"sample": "a/b", "x.y/z": two, "value": "1"},
            regions=tuple(replace(r, name=(two, "object")[i]) for i, r in enumerate(sample.regions)),
        )
        for number, sample in enumerate(samples(odd / "images"))
    ]
    model = ca.load_model(Tiny().eval(), classes=[one, three], preprocessing=RECIPE)
    targets = ["predicted", f"class:{one}", f"class:{three}"]
    run = ca.audit(Dataset.of(listed), model, out=odd / "run", targets=targets, device="cpu", batch_size=8)
    opened = ca.open_run(run.path)
    assert set(opened.samples["label"]) == {one, three}
    assert opened.attribution(listed[0].id, target=f"class:{three}").values.shape == run.manifest.grid
    assert {"group_sample", "group_x.y/z", "group_value"} <= set(opened.samples)
    assert "<script>alert(1)" not in (run.path / "report.html").read_text()
    values = yaml.safe_load((run.path / "config.yaml").read_text())
    assert values["model"]["classes"] == [one, three]
    assert {path.parent for path in odd.rglob("part-000000.npy")} <= set(
        (run.path / "maps/gradcam").iterdir()
    )


@pytest.mark.parametrize("name", ["a+b", "", "  "])
def test_region_names_that_cannot_be_told_apart_are_refused(tmp_path: Path, name: str) -> None:
    listed = samples(tmp_path / "images", count=2)
    listed = [replace(s, regions=(replace(s.regions[0], name=name),)) for s in listed]
    with pytest.raises(ca.CamauditError, match=r"holds a \+, which joins|a name must not be empty"):
        Dataset.of(listed)
