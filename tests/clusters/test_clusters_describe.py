from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from camaudit.clusters import assign, describe, enrichment
from camaudit.clusters.describe import ENRICHMENT_COLUMNS, MEMBER_COLUMNS


@pytest.fixture(scope="module")
def run() -> SimpleNamespace:
    """Nurses: in 30 maps the evidence is on hair, in 20 on the tool below; doctors: all 15 on the tool."""
    generator = np.random.default_rng(0)
    names = [f"n{at}" for at in range(50)] + [f"d{at}" for at in range(15)]
    on_hair = np.arange(65) < 30
    maps = {}
    for name, hair in zip(names, on_hair, strict=True):
        values = 0.05 * generator.random((7, 7))
        values[0 : 2 if hair else 7, 2:5] += 0 if not hair else generator.uniform(1, 2)
        values[5:7, 2:5] += 0 if hair else generator.uniform(1, 2)
        maps[name] = values.astype(np.float32)
    samples = pd.DataFrame(
        {
            "sample": names,
            "label": ["nurse"] * 50 + ["doctor"] * 15,
            "correct": [at % 5 != 0 for at in range(65)],
            "group_gender": np.where(on_hair, "woman", "man"),
            "group_scene": None,
        }
    )
    rows = []
    for region, role, where in (("hair", "attribute", slice(0, 2)), ("tool", "object", slice(5, 7))):
        for name, label in zip(names, samples["label"], strict=True):
            mass = float(maps[name][where, 2:5].sum() / maps[name].sum())
            rows.append((name, "gradcam", "predicted", label, region, role, "mass", mass))
            rows.append((name, "gradcam", "predicted", label, region, role, "excess", mass - 6 / 49))
            rows.append((name, "hirescam", "predicted", label, region, role, "mass", -1.0))
    columns = ["sample", "method", "target", "target_class", "region", "role", "metric", "value"]
    by_class = {
        "nurse": {name: maps[name] for name in names[:50]},
        "doctor": {name: maps[name] for name in names[50:]},
    }
    return SimpleNamespace(
        maps=maps,
        samples=samples,
        measurements=pd.DataFrame(rows, columns=columns),
        assignments=assign(by_class, method="gradcam", target="predicted", seed=0),
        by_class=by_class,
    )


def test_members_are_listed_by_class_cluster_and_rank(run: SimpleNamespace) -> None:
    table = run.assignments
    assert table.dtypes.astype(str).to_dict() == MEMBER_COLUMNS
    assert list(table["target_class"].unique()) == ["doctor", "nurse"]
    assert table.groupby(["target_class", "cluster"]).size().to_dict() == {
        ("doctor", 0): 15,
        ("nurse", 0): 30,
        ("nurse", 1): 20,
    }
    for _, part in table.groupby(["target_class", "cluster"]):
        assert list(part["rank"]) == list(range(len(part)))


def test_maps_without_mass_and_classes_without_maps_have_no_rows(run: SimpleNamespace) -> None:
    maps = run.by_class["nurse"] | {"empty": np.zeros((7, 7), np.float32)}
    table = assign({"nurse": maps, "porter": {}}, method="gradcam", target="predicted", seed=0)
    assert len(table) == 50
    assert "empty" not in set(table["sample"])
    nothing = assign({}, method="gradcam", target="predicted", seed=0)
    assert nothing.dtypes.astype(str).to_dict() == MEMBER_COLUMNS
    assert describe(nothing, {}, run.measurements, run.samples) == []
    assert list(enrichment(nothing, run.measurements, run.samples)) == list(ENRICHMENT_COLUMNS)


def test_a_cluster_says_who_is_in_it_and_where_they_look(run: SimpleNamespace) -> None:
    clusters = describe(run.assignments, run.maps, run.measurements, run.samples)
    assert [(one.target_class, one.index) for one in clusters] == [("doctor", 0), ("nurse", 0), ("nurse", 1)]
    hair = clusters[1]
    assert set(hair.members) == {f"n{at}" for at in range(30)}
    first = run.assignments.query("target_class == 'nurse' and cluster == 0 and rank == 0")["sample"]
    assert hair.members[0] == first.item()
    assert hair.mean_map.dtype == np.float32
    assert hair.mean_map == pytest.approx(
        np.mean([run.maps[name] / run.maps[name].sum() for name in hair.members], axis=0), abs=1e-6
    )
    assert hair.region_shares == pytest.approx(
        {"hair": hair.mean_map[:2, 2:5].sum(), "tool": hair.mean_map[5:, 2:5].sum()}, abs=1e-5
    )
    assert hair.group_shares == {"gender": {"woman": 1.0}, "scene": {}}
    assert hair.error_rate == pytest.approx(0.2)
    assert clusters[0].group_shares["gender"] == {"man": 1.0}


def test_without_labels_there_is_no_error_rate(run: SimpleNamespace) -> None:
    clusters = describe(run.assignments, run.maps, run.measurements[:0], run.samples.assign(correct=None))
    assert np.isnan([one.error_rate for one in clusters]).all()
    assert clusters[0].region_shares == {}


def test_the_cluster_on_the_attribute_is_the_suspicious_one(run: SimpleNamespace) -> None:
    table = enrichment(run.assignments, run.measurements, run.samples)
    assert table.dtypes.astype(str).to_dict() == ENRICHMENT_COLUMNS
    assert len(table) == 6
    assert list(table["suspicious"]) == [True] + [False] * 5
    first = table.iloc[0]
    assert tuple(first[["target_class", "cluster", "region", "role", "n"]]) == (
        "nurse",
        0,
        "hair",
        "attribute",
        30,
    )
    assert first["chance"] == pytest.approx(6 / 49)
    assert first["low"] <= first["share"] <= first["high"]
    assert first["share"] > 0.8
    assert first["rest"] < 0.2


def test_a_class_with_one_cluster_is_held_against_chance_alone(run: SimpleNamespace) -> None:
    swapped = run.measurements.assign(
        role=run.measurements["role"].map({"object": "attribute", "attribute": "object"})
    )
    table = enrichment(run.assignments, swapped, run.samples)
    doctors = table.query("target_class == 'doctor' and region == 'tool'").iloc[0]
    assert doctors["suspicious"]
    assert np.isnan(doctors["rest"])


def test_too_few_members_are_never_suspicious(run: SimpleNamespace) -> None:
    few = run.assignments[run.assignments["rank"] < 9]
    table = enrichment(few, run.measurements, run.samples)
    assert not table["suspicious"].any()
    assert table["low"].isna().all()
    assert table["share"].notna().all()


def test_few_subjects_are_never_suspicious(run: SimpleNamespace) -> None:
    samples = run.samples.assign(subject=[f"s{at % 8}" for at in range(len(run.samples))])
    table = enrichment(run.assignments, run.measurements, samples)
    assert not table["suspicious"].any()
    assert table["low"].isna().all()


def test_the_interval_is_over_subjects(run: SimpleNamespace) -> None:
    """Ten samples are as many units as ten subjects with three copies of a sample each."""
    one = run.assignments.query("target_class == 'nurse' and cluster == 0").head(10)
    copies = pd.concat([one.assign(sample=one["sample"] + f"_{k}") for k in range(3)])
    measured = run.measurements[run.measurements["sample"].isin(one["sample"])]
    thrice = pd.concat([measured.assign(sample=measured["sample"] + f"_{k}") for k in range(3)])
    people = pd.DataFrame(
        {"sample": copies["sample"], "subject": copies["sample"].str.rsplit("_", n=1).str[0]}
    )
    plain = enrichment(one, measured, run.samples)
    found = enrichment(copies, thrice, people)
    assert found[["low", "high"]].to_numpy() == pytest.approx(plain[["low", "high"]].to_numpy())
