"""An audit of each task runs from end to end, and says nothing that its task has not."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from torch.testing import assert_close

import camaudit as ca
from camaudit.config import ModelConfig, load_config
from camaudit.data import Dataset, open_dataset
from camaudit.errors import CamauditError, DataError, ModelError
from camaudit.models.load import LoadedModel
from camaudit.runs import concluding, run_config
from camaudit.runs.accuracy import accuracy_warnings
from tests import small_audit
from tests.command_line import camaudit

if TYPE_CHECKING:
    from pathlib import Path

    from camaudit.runs import Run


def audit_of(folder: Path, outputs: int, *, labels: list[str] | None = None, **changes: Any) -> Path:
    """The small audit with another head and other labels; path of the YAML file."""
    model, settings = changes.pop("model", {}), changes.pop("audit", {})
    home = small_audit.write_audit(folder, count=16, model=model, audit=settings, **changes)
    state = load_file(folder / "weights.safetensors")
    generator = torch.Generator().manual_seed(3)
    shape = (outputs, *state["classifier.weight"].shape[1:])
    state["classifier.weight"] = 50 * torch.randn(shape, generator=generator)
    state["classifier.bias"] = torch.zeros(outputs)
    save_file(state, folder / "weights.safetensors")
    if labels is not None:
        table = pd.read_csv(folder / "table.csv", dtype=str)
        table["label"] = labels
        table.to_csv(folder / "table.csv", index=False)
    return home


def outputs_of(run: Run, folder: Path, outputs: int) -> torch.Tensor:
    """What the network itself says of the images, (samples, outputs)."""
    import timm

    net = timm.create_model(small_audit.ARCHITECTURE, num_classes=outputs).eval()
    net.load_state_dict(load_file(folder / "weights.safetensors"))
    pixels = torch.from_numpy(np.stack([run.picture(sample) for sample in run.samples["sample"]]))
    with torch.inference_mode():
        found: torch.Tensor = net((pixels.permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5)
    return found


def column(run: Run, name: str) -> torch.Tensor:
    return torch.tensor(run.samples[name].to_numpy(dtype=np.float64))


# ------------------------------------------------------------------ a single logit


def test_binary_is_the_same_as_two_classes_that_differ_by_its_output(tmp_path: Path) -> None:
    home = audit_of(tmp_path / "one", 1, model={"task": "binary"})
    run = run_config(load_config(home), tmp_path / "runs" / "one")
    z = outputs_of(run, tmp_path / "one", 1)[:, 0].double()
    assert len(set(run.samples["predicted"])) == 2
    assert list(run.samples["predicted"]) == [small_audit.CLASSES[int(value > 0)] for value in z]
    assert list(run.samples["correct"]) == list(run.samples["predicted"] == run.samples["label"])
    assert_close(column(run, "score_square"), z / 2, rtol=1e-4, atol=1e-4)
    assert_close(column(run, "margin"), z.abs(), rtol=1e-4, atol=1e-4)
    assert_close(column(run, "confidence"), torch.maximum(z.sigmoid(), (-z).sigmoid()), rtol=1e-4, atol=1e-5)

    # the twin: two outputs, minus and plus half of the one
    state = load_file(tmp_path / "one" / "weights.safetensors")
    twin = audit_of(tmp_path / "two", 2)
    weight, bias = state["classifier.weight"], state["classifier.bias"]
    state["classifier.weight"] = torch.cat([-weight / 2, weight / 2])
    state["classifier.bias"] = torch.cat([-bias / 2, bias / 2])
    save_file(state, tmp_path / "two" / "weights.safetensors")
    other = run_config(load_config(twin), tmp_path / "runs" / "two")
    keys = ["sample", "method", "target", "region", "metric"]
    one, two = (of.measurements.sort_values(keys).reset_index(drop=True) for of in (run, other))
    pd.testing.assert_frame_equal(one, two, rtol=1e-3, atol=1e-4)
    assert (run.path / "report.html").exists()


# ------------------------------------------------------------------ several labels


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Run]:
    folder = tmp_path_factory.mktemp("several")
    labels = ["disc|square", "ring", "square", "disc | ring"] * 4
    home = audit_of(
        folder / "data",
        3,
        labels=labels,
        model={"task": "multilabel", "classes": ["disc", "square", "ring"]},
        audit={"targets": ["label", "predicted", "class:ring"]},
    )
    return folder / "data", run_config(load_config(home), folder / "run")


def test_multilabel_predictions_and_labels(several: tuple[Path, Run]) -> None:
    folder, run = several
    scores = outputs_of(run, folder, 3).double()
    names = np.array(["disc", "square", "ring"])
    assert list(run.samples["predicted"]) == list(names[scores.argmax(1).numpy()])
    truth = [{part.strip() for part in label.split("|")} for label in run.samples["label"]]
    predicted = list(run.samples["predicted"])
    assert list(run.samples["correct"]) == [name in of for name, of in zip(predicted, truth, strict=True)]
    assert_close(column(run, "confidence"), scores.amax(1).sigmoid(), rtol=1e-4, atol=1e-5)
    assert_close(column(run, "margin"), scores.amax(1), rtol=1e-4, atol=1e-3)
    rows = run.measurements[run.measurements["target"] == "label"].drop_duplicates("sample")
    for row, (sample, of) in enumerate(zip(run.samples["sample"], truth, strict=True)):
        best = max(of, key=lambda name: float(scores[row, list(names).index(name)]))
        assert rows.set_index("sample").loc[sample, "target_class"] == best


def test_a_flip_of_multilabel_is_of_the_targets_own_class(several: tuple[Path, Run]) -> None:
    _, run = several
    table = run.measurements
    flips = table[(table["metric"] == "flip") & (table["target"] == "class:ring")]["value"].dropna()
    shifts = table[(table["metric"] == "shift_region") & (table["target"] == "class:ring")]
    shifts = shifts.set_index(["sample", "region", "method"])["value"].dropna()
    rows = table[(table["metric"] == "flip") & (table["target"] == "class:ring")]
    assert len(flips)
    score = run.samples.set_index("sample")["score_ring"].astype(float)
    deviation = float(np.std(score.to_numpy()))
    for row in rows.dropna().to_dict("records"):
        before = score[row["sample"]]
        after = before - shifts[row["sample"], row["region"], row["method"]] * deviation
        assert row["value"] == float((before > 0) != (after > 0))


def test_multilabel_has_a_report(several: tuple[Path, Run]) -> None:
    _, run = several
    assert (run.path / "report.html").stat().st_size > 10_000
    assert run.verdict.headline


def test_a_column_a_class_says_the_same_as_a_separator(several: tuple[Path, Run], tmp_path: Path) -> None:
    folder, run = several
    table = pd.read_csv(folder / "table.csv", dtype=str)
    labels = [{part.strip() for part in label.split("|")} for label in table.pop("label")]
    for name, yes, no in (("ring", "true", "False"), ("square", "1.0", "0.0"), ("disc", "1", "0")):
        table[name] = [yes if name in of else no for of in labels]
    home = tmp_path / "a"
    shutil.copytree(folder, home)
    table.to_csv(home / "table.csv", index=False)
    config = load_config(home / "audit.yaml")
    columns = config.data.columns.model_copy(update={"labels": ["disc", "square", "ring"]})
    data = open_dataset(config.data.model_copy(update={"columns": columns}), config.roles)
    assert [set((sample.label or "").split("|")) for sample in data.samples] == labels
    assert list(run.samples["sample"]) == [sample.id for sample in data.samples]

    table.loc[3, ["ring", "square", "disc"]] = "0"
    table.to_csv(home / "table.csv", index=False)
    without = open_dataset(config.data.model_copy(update={"columns": columns}), config.roles)
    assert without.samples[3].label is None
    table.loc[2, "ring"] = "maybe"
    table.to_csv(home / "table.csv", index=False)
    with pytest.raises(DataError, match=r"row 4: the column 'ring' holds 'maybe'; .* holds 1 or 0"):
        open_dataset(config.data.model_copy(update={"columns": columns}), config.roles)


def test_a_label_of_several_that_is_no_class_is_named(tmp_path: Path) -> None:
    home = audit_of(
        tmp_path / "a",
        3,
        labels=["disc|sqare"] * 16,
        model={"task": "multilabel", "classes": ["disc", "square", "ring"]},
    )
    with pytest.raises(
        DataError, match=r"1 label\(s\) are not among the model's classes .*: 'sqare' of s00 and 15"
    ):
        run_config(load_config(home), tmp_path / "run")


# ------------------------------------------------------------------ quantities


@pytest.fixture(scope="module")
def quantities(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Run]:
    folder = tmp_path_factory.mktemp("quantities")
    home = audit_of(
        folder / "data",
        2,
        labels=[f"{number}|{number / 2 if number % 4 else ''}" for number in range(16)],
        model={"task": "regression", "classes": ["age", "weight"]},
        audit={"targets": ["output:age", "output:weight"]},
    )
    return folder / "data", run_config(load_config(home), folder / "run")


def test_a_regression_has_outputs_and_errors_and_decides_nothing(quantities: tuple[Path, Run]) -> None:
    folder, run = quantities
    table = run.samples
    values = outputs_of(run, folder, 2).double()
    assert_close(column(run, "score_age"), values[:, 0], rtol=1e-4, atol=1e-3)
    assert_close(column(run, "error_age"), values[:, 0] - torch.arange(16), rtol=1e-4, atol=1e-3)
    assert list(table["error_weight"].isna()) == [number % 4 == 0 for number in range(16)]
    for name in ("predicted", "correct", "confidence", "margin"):
        assert table[name].isna().all(), name
    measured = run.measurements
    assert set(measured["target_class"]) == {"age", "weight"}
    assert measured.loc[measured["metric"].isin(["flip", "flip_control"]), "value"].isna().all()


@pytest.mark.parametrize(
    ("task", "unit"), [("regression", 2.0), ("multilabel", 2.0), ("multiclass", 5.0), ("binary", 5.0)]
)
def test_a_shift_is_in_deviations_of_what_decides(task: Any, unit: float) -> None:
    samples = pd.DataFrame({"score_a": [0.0, 4.0], "score_b": [3.0, -3.0]})
    rows = pd.DataFrame({"metric": ["shift"], "target": ["t"], "target_class": ["a"], "value": [10.0]})
    found = concluding.in_deviations(rows, samples, ["a", "b"], [], task=task)
    assert found["value"].tolist() == [10.0 / unit]  # of 0 and 4; of 0 - 3 and 4 + 3


def test_a_regression_has_a_report(quantities: tuple[Path, Run]) -> None:
    _, run = quantities
    page = (run.path / "report.html").read_text()
    assert "<NA>" not in page
    assert "&lt;NA&gt;" not in page
    said = [
        f"age {row['score_age']:.3g}, weight {row['score_weight']:.3g}"
        for row in run.samples.to_dict("records")
    ]
    assert any(f"<b>{text}</b>" in page for text in said)
    assert " at nan" not in page
    table = run.measurements
    assert table[(table["metric"] == "shift") & (table["target"] == "output:age")]["value"].notna().any()


@pytest.mark.parametrize(
    ("labels", "targets", "message"),
    [
        (
            None,
            ["output:age"],
            r"The label of 16 sample\(s\) is not 2 numbers \(age\|weight\), such as 'disc' of s00",
        ),
        (["1"] * 16, ["output:age"], "is not 2 numbers"),
        (["1|inf"] * 16, ["output:age"], "is not 2 numbers"),
        (
            ["1|2"] * 16,
            ["predicted"],
            "'predicted' does not fit: a model of task regression .*Name output:age",
        ),
        (["1|2"] * 16, ["label"], "'label' does not fit"),
        (["1|2"] * 16, ["output:height"], "names 'height', which is no class: age, weight"),
    ],
)
def test_what_a_regression_cannot_be_asked_is_named(
    tmp_path: Path, labels: list[str] | None, targets: list[str], message: str
) -> None:
    home = audit_of(
        tmp_path / "a",
        2,
        labels=labels,
        model={"task": "regression", "classes": ["age", "weight"]},
        audit={"targets": targets},
    )
    with pytest.raises(DataError, match=message):
        run_config(load_config(home), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_output_is_no_target_of_a_classifier(tmp_path: Path) -> None:
    home = small_audit.write_audit(tmp_path / "a", count=4, audit={"targets": ["output:disc"]})
    with pytest.raises(DataError, match="'output:disc' does not fit: a model of task multiclass has classes"):
        run_config(load_config(home), tmp_path / "run")


# ------------------------------------------------------------------ is the model any good?


def judged(
    right: list[bool], labels: list[str], *, expect: float | None = None, task: str = "multiclass"
) -> list[str]:
    """What is said of a model of the classes a, b and c."""
    config = ModelConfig(
        source="module",
        name="m",
        classes=["a", "b", "c"],
        expect_accuracy=expect,
        task=task,  # type: ignore[arg-type]
    )
    model = LoadedModel(torch.nn.Identity(), ("a", "b", "c"), None, "", config)  # type: ignore[arg-type]
    table = pd.DataFrame(
        {"label": pd.array(labels, "string"), "correct": pd.array(right, "boolean"), "subject": None}
    )
    return accuracy_warnings(table, model)


def test_a_model_that_is_better_than_chance_and_as_good_as_expected_is_not_warned_of() -> None:
    labels = ["a", "b", "c"] * 40
    assert judged([number % 10 > 0 for number in range(120)], labels) == []
    assert judged([number % 10 > 0 for number in range(120)], labels, expect=0.92) == []


@pytest.mark.parametrize(
    ("share", "labels", "said"),
    [
        (0.35, ["a", "b", "c"] * 40, "which cannot be told from guessing (33 %)"),
        (0.10, ["a", "b", "c"] * 40, "worse than guessing: the classes may be named in another order"),
        (0.80, ["a"] * 96 + ["b"] * 24, "no better than always answering 'a' (80 %)"),
    ],
)
def test_a_model_that_is_no_better_than_chance_is_warned_of(
    share: float, labels: list[str], said: str
) -> None:
    (warning,) = judged([number < share * 120 for number in range(120)], labels)
    assert said in warning
    assert "of 120 labelled samples (95 % interval" in warning


def test_an_accuracy_that_was_not_expected_is_warned_of() -> None:
    labels = ["a", "b", "c"] * 40
    (warning,) = judged([number % 10 > 2 for number in range(120)], labels, expect=0.95)
    assert "right in 70 % of 120" in warning
    assert "where 95 % was expected (model.expect_accuracy). Check the preprocessing" in warning


def test_an_expectation_without_labels_is_said_to_be_idle() -> None:
    config = ModelConfig(source="module", name="m", classes=["a", "b"], expect_accuracy=0.9)
    model = LoadedModel(torch.nn.Identity(), ("a", "b"), None, "", config)  # type: ignore[arg-type]
    table = pd.DataFrame(
        {"label": pd.array([None] * 3, "string"), "correct": pd.array([None] * 3, "boolean")}
    )
    assert accuracy_warnings(table, model) == [
        "model.expect_accuracy could not be compared with anything: no sample has a label."
    ]


def test_a_regression_is_held_against_the_mean() -> None:
    config = ModelConfig(source="module", name="m", classes=["age"], task="regression")
    model = LoadedModel(torch.nn.Identity(), ("age",), None, "", config)  # type: ignore[arg-type]
    random = np.random.default_rng(0)
    truth = random.normal(40, 10, 60)
    table = pd.DataFrame({"label": pd.array([str(value) for value in truth], "string"), "subject": None})
    good = table.assign(error_age=random.normal(0, 2, 60))
    assert accuracy_warnings(good, model) == []
    (warning,) = accuracy_warnings(table.assign(error_age=random.normal(0, 10, 60)), model)
    assert "cannot be told from always answering their mean" in warning


def test_the_warning_is_in_the_manifest_and_in_the_report(tmp_path: Path) -> None:
    home = small_audit.write_audit(tmp_path / "a", count=16, model={"expect_accuracy": 1.0})
    run = run_config(load_config(home), tmp_path / "run")
    (unexpected,) = [text for text in run.manifest.warnings if "was expected" in text]
    assert any("guessing" in text or "always answering" in text for text in run.manifest.warnings)
    assert unexpected.split(" (model.expect")[0] in (run.path / "report.html").read_text()


# ------------------------------------------------------------------ programs, and the command line


def test_a_factory_runs_from_the_command_line_only_where_it_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = small_audit.write_audit(
        tmp_path / "a",
        count=8,
        model={"source": "python", "name": "tests.small_audit:network", "arguments": {"outputs": 2}},
    )
    for command in ("check", "run"):
        code, said, message = camaudit(command, home)
        assert code == 2
        assert "say --trust-code" in said + message
    assert not (tmp_path / "a" / "runs").exists()
    code, said, message = camaudit("check", home, "--trust-code")
    assert code == 0, message
    assert "(from the configuration)" in said
    code, _, message = camaudit("run", home, "--trust-code")
    assert code == 0, message


def test_check_says_where_the_preprocessing_comes_from_and_what_was_stripped(tmp_path: Path) -> None:
    home = small_audit.write_audit(
        tmp_path / "a", count=4, model={"preprocessing": None, "weights": "w.ckpt"}
    )
    state = load_file(tmp_path / "a" / "weights.safetensors")
    torch.save({"state_dict": {f"model.{key}": of for key, of in state.items()}}, tmp_path / "a" / "w.ckpt")
    values = yaml.safe_load(home.read_text())
    del values["model"]["preprocessing"]
    home.write_text(yaml.safe_dump(values))
    code, said, message = camaudit("check", home)
    assert code == 0, message
    assert "(from timm, test_efficientnet, its default weights)" in said
    assert f"the prefix 'model.' was taken off {len(state)} names" in said


def test_torchscript_gives_maps_of_the_input_and_none_of_a_layer(tmp_path: Path) -> None:
    import warnings

    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 6, 5, 2),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(6, 2),
    ).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated as a whole
        torch.jit.save(torch.jit.script(net), tmp_path / "net.pt")
    recipe = ca.Preprocessing(resize=None, crop=48, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    model = ca.load_model(
        "net",
        source="torchscript",
        weights=tmp_path / "net.pt",
        classes=list(small_audit.CLASSES),
        preprocessing=recipe,
        trust_code=True,
    )
    small_audit.write_data(tmp_path / "data", count=12)
    data = ca.data.table(
        tmp_path / "data" / "table.csv",
        id="id",
        mask="mask",
        legend={1: "shape", 2: "bar"},
        objects=["shape"],
        attributes=["bar"],
    )
    with pytest.raises(ModelError, match=r"gradcam cannot be had of net: .* Use .*gradient"):
        ca.audit(data, model, out=tmp_path / "refused", device="cpu")
    run = ca.audit(data, model, out=tmp_path / "run", methods=["gradient"], device="cpu")
    assert run.manifest.grid == (48, 48)
    assert run.manifest.target_layer == ""
    assert (run.path / "report.html").exists()


def test_data_without_labels_is_no_reason_to_warn(tmp_path: Path) -> None:
    home = small_audit.write_audit(tmp_path / "a", count=8, audit={"targets": ["predicted"]})
    data = Dataset.of(
        [
            ca.Sample(sample.id, sample.image, None)
            for sample in ca.data.table(home.parent / "table.csv", id="id").samples
        ]
    )
    model = ca.load_model(
        small_audit.network(),
        classes=small_audit.CLASSES,
        preprocessing=ca.Preprocessing(64, 64, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    )
    run = ca.audit(data, model, out=tmp_path / "run", targets=["predicted"], device="cpu")
    assert run.manifest.warnings == (
        "No region is annotated, so nothing could be said about where the evidence lies.",
    )


def test_tasks_are_errors_of_the_configuration_where_they_cannot_be_meant(tmp_path: Path) -> None:
    home = small_audit.write_audit(tmp_path / "a", count=4, model={"task": "binary", "classes": ["disc"]})
    with pytest.raises(CamauditError, match=r"model\.classes: names 'disc'; binary needs at least 2"):
        load_config(home)
