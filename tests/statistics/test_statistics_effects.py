from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from camaudit.errors import DataError
from camaudit.statistics import benjamini_hochberg, compare_effects, effects, mean_interval, mean_test
from camaudit.statistics.effects import BOUNDS, COLUMNS
from camaudit.statistics.units import units

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

KEYS = list(COLUMNS[:8])


def a_run(
    n: int = 60,
    *,
    seed: int = 0,
    shift: float = 0.1,
    metrics: tuple[str, ...] = ("excess", "mass"),
    targets: tuple[str, ...] = ("predicted",),
) -> tuple[pd.DataFrame, pd.DataFrame]:
    generator = np.random.default_rng(seed)
    samples = pd.DataFrame(
        {
            "sample": [f"s{at}" for at in range(n)],
            "label": np.where(np.arange(n) % 2, "nurse", "doctor"),
            "group_gender": np.where(np.arange(n) % 3, "woman", "man"),
            "group_scene": np.where(np.arange(n) % 10, "ward", None),
            "subject": None,
        }
    )
    rows = [
        (sample, "gradcam", target, label, region, role, metric, generator.normal(shift, 0.2))
        for metric in metrics
        for target in targets
        for region, role in (("hair", "attribute"), ("coat", "object"))
        for sample, label in zip(samples["sample"], samples["label"], strict=True)
    ]
    columns = ["sample", "method", "target", "target_class", "region", "role", "metric", "value"]
    return pd.DataFrame(rows, columns=columns), samples


def table_of(measurements: pd.DataFrame, samples: pd.DataFrame, **changes: Any) -> pd.DataFrame:
    options = {"groups": ["gender", "scene"], "metrics": ["excess", "mass"]}
    return effects(measurements, samples, **(options | changes))


def cell(table: pd.DataFrame, **key: str) -> pd.Series:
    chosen = table
    for name, value in ({"target_class": "", "group": "", "value": ""} | key).items():
        chosen = chosen[chosen[name] == value]
    assert len(chosen) == 1
    return chosen.iloc[0]


def test_one_row_for_every_class_region_and_group() -> None:
    table = table_of(*a_run())
    assert list(table.columns) == list(COLUMNS)
    assert len(table) == 2 * 2 * 3 * (1 + 2 + 1)  # metric, region, class or all, all or man or woman or ward
    assert not table.duplicated(KEYS).any()
    assert list(dict.fromkeys(table["metric"])) == ["excess", "mass"]
    assert table["n"].dtype == "int64"


def test_a_cell_is_the_interval_and_the_test_of_its_samples() -> None:
    measurements, samples = a_run()
    row = cell(table_of(measurements, samples), metric="excess", region="hair", target_class="doctor",
               group="gender", value="woman")  # fmt: skip
    women = samples.loc[samples["group_gender"] == "woman", "sample"]
    values = measurements.query("metric == 'excess' and region == 'hair' and target_class == 'doctor'")
    values = values.loc[values["sample"].isin(women), "value"]
    assert tuple(row[["estimate", "low", "high", "n"]]) == tuple(mean_interval(values))
    assert row["p"] == mean_test(values)


def test_all_classes_are_pooled_and_missing_group_values_are_in_no_group() -> None:
    table = table_of(*a_run())
    assert cell(table, metric="excess", region="hair")["n"] == 60
    assert cell(table, metric="excess", region="hair", group="scene", value="ward")["n"] == 54


def test_only_what_has_a_null_is_tested() -> None:
    table = table_of(*a_run())
    tested = table["metric"] == "excess"
    assert table.loc[tested, ["p", "q"]].notna().all(axis=None)
    assert table.loc[~tested, ["p", "q"]].isna().all(axis=None)
    assert table["low"].notna().all()


def test_q_is_over_one_metric_method_and_target() -> None:
    table = table_of(*a_run(targets=("predicted", "label")))
    for _, block in table.groupby(["metric", "method", "target"]):
        np.testing.assert_array_equal(block["q"], benjamini_hochberg(block["p"]))


def test_row_order_and_other_cells_change_nothing() -> None:
    measurements, samples = a_run()
    expected = table_of(measurements, samples)
    shuffled = table_of(measurements.sample(frac=1, random_state=1), samples.sample(frac=1, random_state=2))
    pd.testing.assert_frame_equal(shuffled, expected)
    hair = table_of(
        measurements[measurements["region"] == "hair"], samples, groups=["gender"], metrics=["excess"]
    )
    both = expected.merge(hair, on=KEYS)
    assert len(both) == len(hair)
    for name in ("estimate", "low", "high", "p", "n"):
        np.testing.assert_array_equal(both[f"{name}_x"], both[f"{name}_y"])


def test_few_samples_and_few_subjects_are_suppressed_but_counted() -> None:
    measurements, samples = a_run(n=18)
    row = cell(table_of(measurements, samples), metric="excess", region="hair", target_class="doctor")
    assert row["n"] == 9
    assert np.isnan(row[["estimate", "low", "high", "p", "q"]].to_numpy(dtype=float)).all()
    measurements, samples = a_run()
    few = table_of(measurements, samples.assign(subject=np.arange(60) % 9))
    assert few["estimate"].isna().all()
    assert cell(few, metric="excess", region="hair")["n"] == 60


def test_subjects_are_the_units() -> None:
    measurements, samples = a_run()
    subjects = np.arange(60) % 20
    row = cell(table_of(measurements, samples.assign(subject=subjects)), metric="excess", region="hair")
    values = measurements.query("metric == 'excess' and region == 'hair'")["value"]
    found = mean_interval(values, subjects)
    assert tuple(row[["estimate", "low", "high"]]) == found[:3]


def test_samples_that_are_not_in_the_table_count_for_all_and_for_no_group() -> None:
    measurements, samples = a_run()
    people = samples.assign(subject=np.arange(60) % 20)
    hair = measurements.query("metric == 'excess' and region == 'hair'")
    subjects = [None if at < 30 else at % 20 for at in range(60)]
    table = table_of(measurements, people[30:])
    row = cell(table, metric="excess", region="hair")
    assert tuple(row[["estimate", "low", "high", "n"]]) == mean_interval(hair["value"], subjects)
    assert cell(table, metric="excess", region="hair", group="gender", value="woman")["n"] == 20
    assert cell(table, metric="excess", region="hair", target_class="nurse")["n"] == 30


def test_undefined_values_are_left_out_and_constants_are_certain() -> None:
    measurements, samples = a_run()
    measurements["value"] = 0.25
    measurements.loc[measurements["sample"].isin(["s0", "s1"]), "value"] = np.nan
    row = cell(table_of(measurements, samples), metric="excess", region="hair")
    assert tuple(row[["estimate", "low", "high", "n"]]) == (0.25, 0.25, 0.25, 58)


def test_nothing_gives_an_empty_table_of_the_same_columns() -> None:
    measurements, samples = a_run()
    for empty in (table_of(measurements[:0], samples), table_of(measurements, samples, metrics=["shift"])):
        assert list(empty.columns) == list(COLUMNS)
        assert empty.empty
        assert empty["n"].dtype == "int64"
    undefined = table_of(measurements.assign(value=np.nan), samples)
    assert (undefined["n"] == 0).all()
    assert undefined["estimate"].isna().all()
    assert len(table_of(measurements, samples, groups=[])) == 12
    assert len(table_of(measurements, samples.assign(group_gender=None), groups=["gender"])) == 12


def test_a_group_that_is_not_there_is_named() -> None:
    with pytest.raises(DataError, match=r"no group 'age'.*\nIts groups are: gender, scene"):
        table_of(*a_run(), groups=["age"])


def compared(a: pd.DataFrame, b: pd.DataFrame, samples: pd.DataFrame, **changes: Any) -> pd.DataFrame:
    options = {"groups": ["gender"], "metrics": ["excess", "mass"]}
    return compare_effects(a, b, samples, **(options | changes))


def test_comparison_pairs_by_sample_whatever_was_predicted() -> None:
    a, samples = a_run(shift=0.3)
    generator = np.random.default_rng(5)
    b = a.assign(value=a["value"] - 0.1 - generator.normal(0, 0.01, len(a)), target_class="doctor")
    b = b.sample(frac=1, random_state=0)
    table = compared(a, b, samples)
    assert list(table.columns) == list(COLUMNS)
    row = cell(table, metric="excess", region="hair", target_class="nurse")
    assert row["n"] == 30
    assert row["estimate"] == pytest.approx(0.1, abs=0.01)
    assert row["low"] > 0.09
    assert table["p"].notna().all()
    assert cell(table, metric="mass", region="coat", group="gender", value="man")["n"] == 20


def test_comparison_is_over_what_both_have() -> None:
    a, samples = a_run()
    b = a[a["sample"] != "s3"]
    table = compared(a, b, samples)
    row = cell(table, metric="excess", region="hair")
    assert row["n"] == 59
    assert tuple(row[["estimate", "low", "high", "p"]]) == (0, 0, 0, 1)
    assert compared(a, b[:0], samples).empty
    unlabelled = compared(a, b, samples.assign(label=None))
    assert set(unlabelled["target_class"]) == {""}


def test_comparison_is_antisymmetric() -> None:
    a, samples = a_run(seed=0)
    b, _ = a_run(seed=1)
    there, back = compared(a, b, samples), compared(b, a, samples)
    np.testing.assert_allclose(there["estimate"], -back["estimate"])
    np.testing.assert_allclose(there["low"], -back["high"])
    np.testing.assert_allclose(there["p"], back["p"])


ODD = (0.0, 0.0, 1.0, -2.5, 1e300, 1e-300, math.nan, math.inf, -math.inf)


def chosen(generator: np.random.Generator, values: Sequence[object], n: int) -> list[object]:
    return [values[at] for at in generator.integers(0, len(values), n)]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("shared", [False, True])
def test_every_cell_is_what_a_loop_finds_whatever_the_data(seed: int, shared: bool) -> None:
    generator = np.random.default_rng(seed)
    n = int(generator.integers(1, 150))
    ends = np.array(chosen(generator, ODD[: 2 + seed], n), dtype=np.float64)
    measurements = pd.DataFrame(
        {
            "sample": [f"s{at}" for at in generator.integers(0, 32, n)],
            "target_class": chosen(generator, ["a", "b", None, ""], n),
            "region": chosen(generator, ["hair", "coat"][: 1 + seed % 2], n),
            "value": np.where(generator.random(n) < 0.5, ends, generator.normal(size=n)),
            "metric": chosen(generator, ["excess", "mass", "flip"], n),
        }
    ).assign(method="m", target="t", role="attribute")
    measurements = measurements.drop_duplicates(["sample", "region", "metric"])
    samples = pd.DataFrame({"sample": [f"s{at}" for at in range(30)]})
    samples["group_g"] = chosen(generator, ["x", "y", "", None], 30)
    samples["subject"] = chosen(generator, [*"pqrstuvwxyzäöü", None], 30) if shared else None
    found = effects(measurements, samples, groups=["g"], metrics=["excess", "mass", "flip"])
    joined = measurements.merge(samples, on="sample", how="left")
    for row in found.itertuples():
        inside = (joined["metric"] == row.metric) & (joined["region"] == row.region)
        inside &= (joined["target_class"] == row.target_class) if row.target_class else True
        inside &= (joined["group_g"] == row.value) if row.group else True
        values = joined.loc[inside, "value"]
        subjects = joined.loc[inside, "subject"] if joined["subject"].notna().any() or shared else None
        several = units(values, subjects).sums.size
        expected = (
            *mean_interval(values, subjects, bounds=BOUNDS.get(row.metric))[:3],
            mean_test(values, subjects),
        )
        if several < 10:
            expected = (math.nan,) * 4
        elif row.metric != "excess":
            expected = (*expected[:3], math.nan)
        np.testing.assert_array_equal((row.estimate, row.low, row.high, row.p), expected)
        assert row.n == np.isfinite(values).sum()
    in_groups = joined[joined["group_g"].notna() & (joined["group_g"] != "")]
    for table, cells in ((joined, found[found["group"] == ""]), (in_groups, found[found["group"] != ""])):
        by = ["metric", "region", *(["group_g"] if table is in_groups else [])]
        everywhere = table[by].drop_duplicates()
        with_class = table[table["target_class"].fillna("") != ""][[*by, "target_class"]].drop_duplicates()
        assert len(cells) == len(everywhere) + len(with_class)
