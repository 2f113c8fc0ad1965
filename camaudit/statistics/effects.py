"""From measurements to effects: the mean in each cell of class x region x group, with its uncertainty."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from camaudit.errors import DataError
from camaudit.statistics.intervals import mean_interval
from camaudit.statistics.multiplicity import benjamini_hochberg
from camaudit.statistics.permutation import sign_flip_test
from camaudit.statistics.units import units

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

COLUMNS = (
    *("metric", "method", "target", "target_class", "region", "role", "group", "value"),
    *("estimate", "low", "high", "p", "q", "n"),
)
MINIMUM = 10  # units; below, a bootstrap interval is not worth its name
TESTED = frozenset(
    {"excess", "shift", "response"}
)  # metrics that are zero where there is nothing; others have no such null


class Plan(NamedTuple):
    """What every cell of a table has in common."""

    groups: tuple[str, ...]
    seed: int
    resamples: int
    flips: int


def effects(
    measurements: pd.DataFrame,
    samples: pd.DataFrame,
    *,
    groups: Sequence[str],
    metrics: Sequence[str],
    seed: int,
    resamples: int = 2000,
    flips: int = 9999,
) -> pd.DataFrame:
    """The mean of each metric, with interval and test, per class x region x group.

    The class is the one the target stands for (``target_class``), empty for all classes together; ``group``
    and ``value`` are empty for all samples. A cell with fewer than `MINIMUM` units (samples, or subjects
    where samples share them) has only its n. Metrics in `TESTED` are tested against zero; q is Benjamini-
    Hochberg's over all cells of one metric, method and target.

    Args:
        measurements: rows of `camaudit.types.Measurement`.
        samples: the run's samples table; `subject` and the ``group_NAME`` columns are read.
        groups: names of the group columns, without ``group_``.
        metrics: the metrics to summarise, in the order of the result.
        seed: with a cell's own key it decides that cell's random numbers, whatever other cells there are.
        resamples: of the bootstrap.
        flips: of the sign-flip test.

    Returns:
        The columns of `camaudit.types.AuditedRun.effects`.
    """
    plan = Plan(tuple(groups), seed, resamples, flips)
    return _table(measurements, samples, metrics, plan, tested=TESTED)


def compare_effects(
    measurements_a: pd.DataFrame,
    measurements_b: pd.DataFrame,
    samples: pd.DataFrame,
    *,
    groups: Sequence[str],
    metrics: Sequence[str],
    seed: int,
    resamples: int = 2000,
    flips: int = 9999,
) -> pd.DataFrame:
    """The mean paired difference a - b between two models, over the samples that both have measured.

    As `effects`, with two differences: the class is the sample's label, because the two models may predict
    different classes for the same sample, and every metric is tested, because no difference is zero for all
    of them.

    Args:
        measurements_a: rows of `camaudit.types.Measurement` of one model.
        measurements_b: those of the other.
        samples: the samples table of either run; `label`, `subject` and the ``group_NAME`` columns are read.
        groups: as in `effects`.
        metrics: as in `effects`.
        seed: as in `effects`.
        resamples: as in `effects`.
        flips: as in `effects`.
    """
    keys = ["sample", "method", "target", "region", "metric"]
    paired = measurements_a.merge(
        measurements_b[[*keys, "value"]], on=keys, suffixes=("", "_b"), validate="one_to_one"
    )
    labels = samples.set_index("sample")["label"].reindex(paired["sample"])
    paired = paired.assign(value=paired["value"] - paired["value_b"], target_class=labels.to_numpy())
    plan = Plan(tuple(groups), seed, resamples, flips)
    return _table(paired, samples, metrics, plan, tested=frozenset(metrics))


def _table(
    measurements: pd.DataFrame,
    samples: pd.DataFrame,
    metrics: Sequence[str],
    plan: Plan,
    *,
    tested: frozenset[str],
) -> pd.DataFrame:
    """One row a cell; see `effects`."""
    described = samples.set_index("sample")
    for group in plan.groups:
        if f"group_{group}" not in described:
            known = sorted(str(name)[6:] for name in described if str(name).startswith("group_"))
            its = ", ".join(known) or "none"
            msg = f"There is no group {group!r} in the samples table.\nIts groups are: {its}."
            raise DataError(msg)
    rows = []
    for metric in dict.fromkeys(metrics):
        chosen = measurements[measurements["metric"] == metric]
        for key, block in chosen.groupby(["method", "target", "region", "role"], sort=True, observed=True):
            method, target, region, role = (str(part) for part in key)
            for target_class, group, value, numbers, subjects in _cells(block, described, plan.groups):
                name = (metric, method, target, target_class, region, role, group, value)
                rows.append((*name, *_cell(name, numbers, subjects, plan, tested=metric in tested)))
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    if table.empty:
        return _typed(table)
    table["q"] = table.groupby(["metric", "method", "target"])["p"].transform(benjamini_hochberg)
    return _typed(table)


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the columns' types, also where it has no rows."""
    kinds = dict.fromkeys(COLUMNS[:8], "str") | dict.fromkeys(COLUMNS[8:13], "float64") | {"n": "int64"}
    return table.astype(kinds)


def _cells(
    block: pd.DataFrame, samples: pd.DataFrame, groups: Sequence[str]
) -> Iterator[tuple[str, str, str, NDArray[np.float64], NDArray[np.object_] | None]]:
    """Class, group, value, numbers and subjects of every cell of one metric, method, target and region."""
    numbers = block["value"].to_numpy(dtype=np.float64)
    about = samples.reindex(block["sample"])
    subjects = None
    if "subject" in about and about["subject"].notna().any():
        subjects = about["subject"].to_numpy(dtype=object)
    # a missing value compares with nothing, not even as unequal
    classes = block["target_class"].fillna("").to_numpy(dtype=object)
    columns = {group: about[f"group_{group}"].fillna("").to_numpy(dtype=object) for group in groups}
    for name in ("", *distinct(classes)):
        in_class = np.full(len(block), fill_value=True) if name == "" else classes == name
        yield name, "", "", numbers[in_class], None if subjects is None else subjects[in_class]
        for group, column in columns.items():
            for value in distinct(column):
                inside = in_class & (column == value)
                if inside.any():
                    chosen = None if subjects is None else subjects[inside]
                    yield name, group, str(value), numbers[inside], chosen


def distinct(column: NDArray[np.object_]) -> list[str]:
    """The distinct values of a column, sorted; missing and empty ones left out: empty stands for all."""
    return sorted({value for value in column[~pd.isna(column)] if str(value) != ""}, key=str)


def _cell(
    name: tuple[str, ...],
    numbers: NDArray[np.float64],
    subjects: NDArray[np.object_] | None,
    plan: Plan,
    *,
    tested: bool,
) -> tuple[float, float, float, float, float, int]:
    """Estimate, low, high, p, q (not yet known) and n of one cell."""
    nan = float("nan")
    data = units(numbers, subjects)
    if data.sums.size < MINIMUM:
        return nan, nan, nan, nan, nan, data.n
    seed = cell_seed(name, plan.seed)
    found = mean_interval(numbers, subjects, seed=seed, resamples=plan.resamples)
    p = sign_flip_test(numbers, subjects, seed=seed + 1, flips=plan.flips) if tested else nan
    return found.estimate, found.low, found.high, p, nan, found.n


def cell_seed(name: tuple[str, ...], seed: int) -> int:
    """A seed that depends on the cell's key and the run's seed only, the same in every process."""
    text = "\x1f".join((*name, str(seed)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
