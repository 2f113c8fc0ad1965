"""Effects of donors, with samples and donors as crossed clusters: closed forms, a slow twin, coverage."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from benchmarks import simulations
from camaudit.statistics.crossed import (
    LEAST_DONORS,
    LEAST_SAMPLES,
    crossed_contrast,
    crossed_mean,
    crossed_spread,
)
from camaudit.statistics.exchanges import EXCHANGE, SPREAD, exchange_effects
from camaudit.statistics.transplants import transplant_effects


def _design(
    samples: int, donors: int, each: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sample, donor and kind of every pair; a sample meets as many donors of each kind."""
    first = np.arange(donors) < donors // 2
    sides = [np.flatnonzero(first), np.flatnonzero(~first)]
    column = np.concatenate(
        [rng.choice(side, each // 2, replace=False) for _ in range(samples) for side in sides]
    )
    return np.repeat(np.arange(samples), each), column, first[column]


def test_the_contrast_is_the_least_squares_estimate_with_a_level_a_sample() -> None:
    rng = np.random.default_rng(0)
    row, column, kind = _design(15, 14, 6, rng)
    kept = rng.random(row.size) < 0.8  # uneven
    row, column, kind = row[kept], column[kept], kind[kept]
    values = rng.normal(size=15)[row] + 0.5 * kind + rng.normal(size=row.size)
    levels = pd.get_dummies(row).to_numpy(dtype=float)
    expected = sm.OLS(values, np.column_stack([kind, levels])).fit().params[0]
    assert crossed_contrast(values, row, column, kind).estimate == pytest.approx(expected, abs=1e-10)


def _literal(
    values: np.ndarray, row: np.ndarray, column: np.ndarray, kind: np.ndarray
) -> tuple[float, float, np.ndarray]:
    """Variance of the contrast, its degrees of freedom, and the donors' squares: every pair of values by itself."""
    samples, donors = row.max() + 1, column.max() + 1
    levels = np.column_stack([row[:, None] == np.arange(samples), column[:, None] == np.arange(donors)]) * 1.0
    inverse = np.linalg.pinv(levels.T @ levels)
    fitted = inverse @ levels.T @ values
    noise = ((values - levels @ fitted) ** 2).sum() / (values.size - np.linalg.matrix_rank(levels))

    def square(donor: int, among: np.ndarray) -> tuple[float, float]:
        ask = np.zeros(samples + donors)
        ask[samples + among] = -1 / among.size
        ask[samples + donor] += 1
        scale = among.size / (among.size - 1)
        return scale * (ask @ fitted) ** 2, scale * noise * (ask @ inverse @ ask)

    plain = sm.OLS(values, np.column_stack([kind, levels[:, :samples]])).fit()
    weights = np.linalg.pinv(np.column_stack([kind, levels[:, :samples]]))[0]
    residual = values - plain.params[0] * kind
    variance = spread = 0.0
    for sample in range(samples):
        variance += (weights[row == sample] @ residual[row == sample]) ** 2 * samples / (samples - 1)
    spread += variance**2 / (samples - 1)
    of_donors = 0.0
    for side in (True, False):
        among, raw_side = np.unique(column[kind == side]), 0.0
        for donor in among:
            mine = np.flatnonzero(column == donor)
            shared = sum(weights[a] * weights[b] for a in mine for b in mine if row[a] != row[b])
            raw, added = square(donor, among)
            of_donors += shared * (raw - added)
            raw_side += shared * raw
        spread += raw_side**2 / (among.size - 1)
    variance += max(of_donors, 0)
    squares = [square(donor, np.arange(donors)) for donor in range(donors)]
    least = min(samples, *(np.unique(column[kind == side]).size for side in (True, False))) - 1
    return variance, max(variance**2 / spread, least), np.array([raw - added for raw, added in squares])


@pytest.mark.parametrize("between", [0.0, 1.0])
@pytest.mark.parametrize("each", [2, 4])
def test_variance_and_squares_are_those_of_a_literal_twin(each: int, between: float) -> None:
    rng = np.random.default_rng(8)
    row, column, kind = _design(20, 12, each, rng)
    kept = rng.random(row.size) < (0.85 if each > 2 else 1)  # uneven
    row, column, kind = row[kept], column[kept], kind[kept]
    again = rng.integers(0, row.size, 3)  # some pairs twice
    row, column, kind = (np.r_[of, of[again]] for of in (row, column, kind))
    values = rng.normal(size=20)[row] + between * rng.normal(size=12)[column] + rng.normal(size=row.size)
    variance, freedom, squares = _literal(values, row, column, kind)
    found = crossed_contrast(values, row, column, kind)
    assert (found.high - found.low) / 2 == pytest.approx(stats.t.ppf(0.975, freedom) * math.sqrt(variance))
    assert crossed_spread(values, row, column).estimate == pytest.approx(math.sqrt(max(squares.mean(), 0)))


@settings(max_examples=20, deadline=None)
@given(shift=st.floats(-3, 3), scale=st.floats(0.1, 10), seed=st.integers(0, 2**16), effect=st.floats(-2, 2))
def test_the_contrast_does_not_see_levels_and_scales_with_the_values(
    shift: float, scale: float, seed: int, effect: float
) -> None:
    rng = np.random.default_rng(seed)
    row, column, kind = _design(12, 12, 4, rng)
    values = effect * kind + rng.normal(size=12)[column] + rng.normal(size=row.size)
    found = crossed_contrast(values, row, column, kind)
    moved = crossed_contrast(values * scale + shift * row, row, column, kind)
    assert moved.estimate == pytest.approx(found.estimate * scale, abs=1e-8 * scale)
    assert moved.high - moved.low == pytest.approx((found.high - found.low) * scale, rel=1e-6)
    assert crossed_contrast(values, row, column, ~kind).estimate == pytest.approx(-found.estimate, abs=1e-9)
    order = rng.permutation(row.size)
    again = crossed_contrast(values[order], row[order], column[order], kind[order])
    assert again == pytest.approx(found, abs=1e-9)


def test_without_noise_the_contrast_is_exact_and_certain() -> None:
    row, column, kind = _design(12, 12, 4, np.random.default_rng(1))
    found = crossed_contrast(row + 0.25 * kind, row, column, kind)
    assert found[:3] == pytest.approx((0.25, 0.25, 0.25), abs=1e-9)
    assert found.p < 1e-6
    none = crossed_contrast(row.astype(float), row, column, kind)
    assert none[:3] == pytest.approx((0, 0, 0), abs=1e-9)
    rounded = crossed_contrast(
        row + 1e-15 * np.random.default_rng(2).normal(size=row.size), row, column, kind
    )
    assert rounded[:3] == pytest.approx((0, 0, 0), abs=1e-9)


def test_where_every_donor_is_met_once_the_mean_is_students() -> None:
    """One value a sample and a donor: nothing is crossed, and the interval is the one-sample interval."""
    values = np.random.default_rng(2).normal(0.4, 1, 30)
    found = crossed_mean(values, np.arange(30), np.arange(30))
    expected = stats.ttest_1samp(values, 0).confidence_interval()
    assert found.estimate == pytest.approx(values.mean())
    middle = (expected.low + expected.high) / 2
    # twice the one-way variance less the pairs': that of samples alone, with the freedom of both
    assert (found.low + found.high) / 2 == pytest.approx(middle)
    assert found.high - found.low == pytest.approx(expected.high - expected.low, rel=0.06)


def test_the_mean_weighs_samples_alike_however_many_donors_they_met() -> None:
    row = np.array([0] * 8 + list(range(1, 12)))
    values = np.where(row == 0, 5.0, 1.0)
    column = np.arange(row.size) % 9
    assert crossed_mean(values, row, column).estimate == pytest.approx((5 + 11) / 12)


def test_the_spread_is_that_of_the_donors() -> None:
    rng = np.random.default_rng(3)
    row, column, _ = _design(200, 60, 6, rng)
    effects = rng.normal(0, 0.5, 60)
    noise = rng.normal(0, 0.4, row.size)
    found = crossed_spread(rng.normal(0, 2, 200)[row] + effects[column] + noise, row, column)
    assert found.low < 0.5 < found.high
    assert found.estimate == pytest.approx(effects.std(ddof=1), rel=0.1)
    nothing = crossed_spread(rng.normal(0, 2, 200)[row] + noise, row, column)
    assert nothing.low == 0
    assert nothing.estimate < 0.1


@pytest.mark.parametrize(("samples", "donors"), [(LEAST_SAMPLES - 1, 12), (12, 2 * LEAST_DONORS - 2), (0, 0)])
def test_too_few_samples_or_donors_have_no_interval(samples: int, donors: int) -> None:
    if samples:
        row, column, kind = _design(samples, donors, 4, np.random.default_rng(0))
    else:
        row, column, kind = (np.zeros(0, dtype=int) for _ in range(3))
    values = np.arange(row.size, dtype=float)
    for found in (crossed_contrast(values, row, column, kind), crossed_spread(values, row, column)):
        assert math.isnan(found.low)
        assert math.isnan(found.high)
        assert math.isnan(found.p)


def test_nan_is_left_out_and_one_kind_alone_says_nothing() -> None:
    row, column, kind = _design(12, 12, 4, np.random.default_rng(4))
    values = np.random.default_rng(5).normal(size=row.size)
    holed = np.where(np.arange(row.size) % 7 == 0, np.nan, values)
    known = np.isfinite(holed)
    expected = crossed_contrast(holed[known], row[known], column[known], kind[known])
    assert crossed_contrast(holed, row, column, kind) == expected
    alone = crossed_contrast(values[kind], row[kind], column[kind], kind[kind])
    assert math.isnan(alone.estimate)
    assert alone.samples == 0


@pytest.mark.parametrize(("each", "spread"), [(2, 0.0), (2, 1.0), (3, 0.3), (4, 0.0), (4, 1.0)])
def test_the_intervals_cover_what_they_claim_and_no_more(each: int, spread: float) -> None:
    """Nominal 95 %, 200 draws each of 24 and 24 donors: 0.90 and 0.99 are three standard errors of the simulation away."""
    rng = np.random.default_rng(6)
    law = simulations.LAWS["normal"]
    found = [simulations.exchanged((law, spread), (100, 48, each), rng) for _ in range(200)]
    contrast, mean, about = np.mean(found, axis=0)
    assert 0.90 <= contrast <= 0.99
    assert 0.90 <= mean <= 0.99
    assert about >= 0.90


# ------------------------------------------------------------------ tables


def _samples(count: int = 24) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "sample": [f"s{i}" for i in range(count)],
            "label": ["a", "b"] * (count // 2),
            "group_place": ["water", "water", "land", "land"] * (count // 4),
            "subject": pd.array([None] * count, dtype="string"),
        }
    )


def _exchanges(samples: pd.DataFrame, *, effect: float) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = []
    for i, sample in enumerate(samples["sample"]):
        for donor in rng.choice(np.delete(np.arange(len(samples)), i), 6, replace=False):
            water = samples["group_place"][donor] == "water"
            rows.append(
                (sample, f"s{donor}", "background", "predicted", "a", effect * water + rng.normal(0, 0.1) + i)
            )
    return pd.DataFrame(rows, columns=["sample", "donor", "region", "target", "target_class", "value"])


def test_effects_of_backgrounds_are_those_of_the_donors_groups() -> None:
    samples = _samples()
    table = exchange_effects(_exchanges(samples, effect=0.8), samples, ["place"]).set_index(
        ["metric", "value"]
    )
    water, land = table.loc[(EXCHANGE, "water")], table.loc[(EXCHANGE, "land")]
    assert water["low"] < 0.8 < water["high"]
    assert land["estimate"] == pytest.approx(-water["estimate"])
    assert water["q"] < 1e-6
    assert (water["group"], water["n"]) == ("place", 24)
    assert table.loc[(SPREAD, ""), "estimate"] == pytest.approx(0.4, abs=0.1)


def test_labels_are_the_kinds_where_there_are_no_groups_and_rare_kinds_are_not_asked() -> None:
    samples = _samples()
    table = exchange_effects(_exchanges(samples, effect=0.8), samples, [])
    assert set(table["group"]) == {"label", ""}
    samples["group_place"] = ["water"] * 2 + ["land"] * 22
    rare = exchange_effects(_exchanges(samples, effect=0.8), samples, ["place"])
    assert list(rare["metric"]) == [SPREAD]


def test_subjects_are_one_unit() -> None:
    samples = _samples().assign(subject=[f"p{i // 3}" for i in range(24)])
    table = exchange_effects(_exchanges(samples, effect=0.8), samples, ["place"])
    assert table.loc[table["metric"] == EXCHANGE, "low"].isna().all()  # eight subjects


def test_effects_of_transplants_are_means_in_every_cell() -> None:
    samples = _samples()
    rng = np.random.default_rng(1)
    rows = [
        (
            f"s{i}",
            f"s{donor}",
            "mark",
            "predicted",
            "ab"[i % 2],
            [0.5, -0.5][i % 2] + rng.normal(0, 0.05),
        )
        for i in range(24)
        for donor in rng.choice(24, 2, replace=False)
    ]
    columns = ["sample", "donor", "region", "target", "target_class", "shift"]
    transplants = pd.DataFrame(rows, columns=columns).assign(shift_region=lambda of: of["shift"] + 1)
    table = transplant_effects(transplants, samples, ["place"])
    cells = table[table["metric"] == "shift"].set_index(["target_class", "value"])
    assert cells.loc[("a", ""), "estimate"] == pytest.approx(0.5, abs=0.05)
    assert cells.loc[("b", ""), "estimate"] == pytest.approx(-0.5, abs=0.05)
    assert cells.loc[("", "water"), "n"] == 12
    assert cells.loc[("", ""), "low"] < 0 < cells.loc[("", ""), "high"]
    assert math.isnan(cells.loc[("a", "water"), "low"])  # six samples
    assert (table.loc[table["metric"] == "response", "estimate"] == 0.5).all()
    against_nothing = table.loc[table["metric"] == "shift_region", "estimate"]
    assert list(against_nothing) == pytest.approx(list(table.loc[table["metric"] == "shift", "estimate"] + 1))


def test_donor_subjects_of_both_kinds_count_on_both_sides() -> None:
    """Each subject was given the kind of its last row, which left a side with one donor, or none."""
    for seed in range(40):
        rng = np.random.default_rng(seed)
        rows, each = np.repeat(np.arange(30), 4), 4
        donors = rng.integers(0, 7, 30 * each)
        kind = np.tile([True, True, False, False], 30)
        values = rng.normal(size=rows.size) + 0.5 * kind + 0.3 * rng.normal(size=7)[donors]
        found = crossed_contrast(values, rows, donors, kind)
        apart = crossed_contrast(values, rows, 2 * donors + kind, kind)
        assert found == apart
        assert found.donors == len(set(zip(donors.tolist(), kind.tolist(), strict=True)))
        assert found.low < found.estimate < found.high
        order = rng.permutation(rows.size)
        again = crossed_contrast(values[order], rows[order], donors[order], kind[order])
        assert again[:3] == pytest.approx(found[:3])
