"""From measurements to effects: the mean in each cell of class x region x group, with its uncertainty."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from camaudit.errors import DataError
from camaudit.statistics.intervals import bounded
from camaudit.statistics.moments import limits, moments, p_values
from camaudit.statistics.multiplicity import benjamini_hochberg
from camaudit.statistics.units import subject_codes, units_in_cells

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from numpy.typing import NDArray

KEYS = ("metric", "method", "target", "target_class", "region", "role", "group", "value")
BLOCK = ("method", "target", "region", "role")
CODED = ("sample", *BLOCK, "target_class")
COLUMNS = (*KEYS, "estimate", "low", "high", "p", "q", "n")
MINIMUM = 10  # units; below, an interval is not worth its name
TESTED = frozenset(
    {"excess", "shift", "response", "accuracy"}
)  # metrics that are zero where there is nothing; others have no such null
BOUNDS = {
    **dict.fromkeys(("mass", "pointing", "pointing_centre", "flip", "flip_control"), (0.0, 1.0)),
    **dict.fromkeys(("rank_accuracy", "topk_intersection", "auroc", "average_precision"), (0.0, 1.0)),
    **dict.fromkeys(("iou", "iou_25", "iou_50", "iou_75", "box_iou"), (0.0, 1.0)),
    **dict.fromkeys(("accuracy", "accuracy_region", "accuracy_control"), (-1.0, 1.0)),
}  # what a metric cannot leave, and comes near to


class Part(NamedTuple):
    """A way to part the samples.

    Attributes:
        group: name of the group column; empty for all samples together.
        values: of the group, sorted.
        codes: (samples,) place of each sample's value among them, -1 for none.
    """

    group: str
    values: list[str]
    codes: NDArray[np.intp]


class Cells(NamedTuple):
    """Where each row of one metric belongs; every code is a place in the names.

    Attributes:
        blocks: (rows,) code of method, target, region and role together.
        classes: (rows,) code of the class, -1 for none.
        samples: (rows,) place of the sample in the samples table, -1 where it has none.
        block_names: (blocks, 4) method, target, region and role, sorted.
        class_names: the classes, sorted.
    """

    blocks: NDArray[np.intp]
    classes: NDArray[np.intp]
    samples: NDArray[np.intp]
    block_names: NDArray[np.object_]
    class_names: list[str]


def effects(
    measurements: pd.DataFrame,
    samples: pd.DataFrame,
    *,
    groups: Sequence[str],
    metrics: Sequence[str],
) -> pd.DataFrame:
    """The mean of each metric, with interval and test, per class x region x group.

    The class is the one the target stands for (``target_class``), empty for all classes together; ``group``
    and ``value`` are empty for all samples. A cell with fewer than `MINIMUM` units (samples, or subjects
    where samples share them) has only its n. Metrics in `TESTED` are tested against zero; q is Benjamini-
    Hochberg's over all cells of one metric, method and target.

    A cell is `mean_interval` and `mean_test` of its samples, to the last bit, whatever other cells there are.

    Args:
        measurements: rows of `camaudit.types.Measurement`.
        samples: the run's samples table; `subject` and the ``group_NAME`` columns are read.
        groups: names of the group columns, without ``group_``.
        metrics: the metrics to summarise, in the order of the result.

    Returns:
        The columns of `camaudit.types.AuditedRun.effects`.
    """
    return _table(measurements, samples, groups, metrics, tested=TESTED, bounds=BOUNDS)


def compare_effects(
    measurements_a: pd.DataFrame,
    measurements_b: pd.DataFrame,
    samples: pd.DataFrame,
    *,
    groups: Sequence[str],
    metrics: Sequence[str],
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
    """
    keys = ["sample", "method", "target", "region", "metric"]
    paired = measurements_a.merge(
        measurements_b[[*keys, "value"]], on=keys, suffixes=("", "_b"), validate="one_to_one"
    )
    labels = samples.set_index("sample")["label"].reindex(paired["sample"])
    paired = paired.assign(value=paired["value"] - paired["value_b"], target_class=labels.to_numpy())
    bounds = {metric: (least - greatest, greatest - least) for metric, (least, greatest) in BOUNDS.items()}
    return _table(paired, samples, groups, metrics, tested=frozenset(metrics), bounds=bounds)


def _table(
    measurements: pd.DataFrame,
    samples: pd.DataFrame,
    groups: Sequence[str],
    metrics: Sequence[str],
    *,
    tested: frozenset[str],
    bounds: Mapping[str, tuple[float, float]],
) -> pd.DataFrame:
    """One row a cell; see `effects`."""
    parts = _parts(samples, groups)
    subjects = None
    if "subject" in samples and samples["subject"].notna().any():
        subjects = subject_codes(samples["subject"].to_numpy(dtype=object))
    of_metric, names = pd.factorize(measurements["metric"])
    places = {str(name): place for place, name in enumerate(names)}
    values = measurements["value"].to_numpy(dtype=np.float64)
    tables = []
    for metric in dict.fromkeys(metrics):
        if metric not in places:
            continue
        rows = np.flatnonzero(of_metric == places[metric])
        # sorted: a sum of floats would otherwise depend on the order of the rows
        order = np.argsort(values[rows])
        cells = _coded(measurements[list(CODED)].take(rows), samples, order)
        table = _cells(values[rows][order], cells, parts, subjects, bounds.get(metric))
        if metric not in tested:
            table["p"] = np.nan
        tables.append(table.assign(metric=metric))
    if not tables:
        return _typed(pd.DataFrame(columns=list(COLUMNS)))
    table = pd.concat(tables, ignore_index=True)
    table["q"] = table.groupby(["metric", "method", "target"])["p"].transform(benjamini_hochberg)
    return _typed(table[list(COLUMNS)])


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the columns' types, also where it has no rows."""
    kinds = dict.fromkeys(KEYS, "str") | dict.fromkeys(COLUMNS[8:13], "float64") | {"n": "int64"}
    return table.astype(kinds)


def _parts(samples: pd.DataFrame, groups: Sequence[str]) -> list[Part]:
    """Every way to part the samples: all together, and by each group."""
    parts = [Part("", [""], np.zeros(len(samples), dtype=np.intp))]
    for group in groups:
        if f"group_{group}" not in samples:
            known = sorted(str(name)[6:] for name in samples if str(name).startswith("group_"))
            its = ", ".join(known) or "none"
            msg = f"There is no group {group!r} in the samples table.\nIts groups are: {its}."
            raise DataError(msg)
        names, codes = _sorted_codes(samples[f"group_{group}"])
        parts.append(Part(group, names, codes))
    return parts


def _sorted_codes(column: pd.Series[Any]) -> tuple[list[str], NDArray[np.intp]]:
    """The distinct values of a column, as `distinct`, and the place of each row's among them, -1 for none."""
    codes, found = pd.factorize(column)
    names = distinct(np.asarray(found, dtype=object))
    places = {name: place for place, name in enumerate(names)}
    new = np.array([*(places.get(name, -1) for name in found), -1], dtype=np.intp)
    return [str(name) for name in names], new[codes]


def distinct(column: NDArray[np.object_]) -> list[str]:
    """The distinct values of a column, sorted; missing and empty ones left out: empty stands for all."""
    return sorted({value for value in column[~pd.isna(column)] if str(value) != ""}, key=str)


def _coded(chosen: pd.DataFrame, samples: pd.DataFrame, order: NDArray[np.intp]) -> Cells:
    """Where the rows of one metric belong, in their order."""
    of = [_sorted_codes(chosen[name]) for name in BLOCK]
    shape = [len(names) for names, _ in of]
    blocks, found = pd.factorize(np.ravel_multi_index([codes for _, codes in of], shape), sort=True)
    places = np.unravel_index(found, shape)
    block_names = np.column_stack(
        [np.array(names, dtype=object)[place] for (names, _), place in zip(of, places, strict=True)]
    )
    class_names, classes = _sorted_codes(chosen["target_class"])
    ids = pd.Index(samples["sample"].to_numpy(dtype=object))
    codes, names_of_samples = pd.factorize(chosen["sample"])
    known = ids.get_indexer(np.asarray(names_of_samples, dtype=object))[codes]
    return Cells(blocks[order], classes[order], known[order], block_names, class_names)


def _cells(
    values: NDArray[np.float64],
    cells: Cells,
    parts: Sequence[Part],
    subjects: NDArray[np.intp] | None,
    bounds: tuple[float, float] | None,
) -> pd.DataFrame:
    """One row a cell of one metric: block by block, all classes before each, all samples before each group."""
    whose = None
    if subjects is not None:
        whose = _of_samples(subjects, cells.samples)
        # a row whose sample is not in the table is a unit of its own
        unknown = whose < 0
        whose[unknown] = len(subjects) + np.arange(unknown.sum())
    pooled = np.zeros_like(cells.classes)
    class_names = np.array(["", *cells.class_names], dtype=object)
    order = ["_block", "_class", "_value"]
    tables = []
    for place, part in enumerate(parts):
        # a row whose sample is not in the table is in no group
        inside = _of_samples(part.codes, cells.samples) if part.group else pooled
        shape = (len(cells.block_names), len(class_names), len(part.values))
        for classes in (pooled, np.where(cells.classes >= 0, cells.classes + 1, -1)):
            known = (classes >= 0) & (inside >= 0)
            rows = slice(None) if known.all() else np.flatnonzero(known)
            if not known.any():
                continue
            cell = np.ravel_multi_index((cells.blocks[rows], classes[rows], inside[rows]), shape)
            table = _numbers(values[rows], cell, None if whose is None else whose[rows], bounds)
            block, in_class, in_group = np.unravel_index(table.index, shape)
            names = {name: cells.block_names[block, at] for at, name in enumerate(BLOCK)}
            names["target_class"] = class_names[in_class]
            names["value"] = np.array(part.values, dtype=object)[in_group]
            keys = pd.DataFrame(names, index=table.index).assign(group=part.group)
            places = pd.DataFrame(np.column_stack([block, in_class, in_group]), table.index, order)
            tables.append(pd.concat([keys, table, places.assign(_part=place)], axis=1))
    return pd.concat(tables).sort_values(["_block", "_class", "_part", "_value"])


def _numbers(
    values: NDArray[np.float64],
    cells: NDArray[np.intp],
    subjects: NDArray[np.intp] | None,
    bounds: tuple[float, float] | None,
) -> pd.DataFrame:
    """Estimate, low, high, p and n of every cell that has a row, by the number of the cell.

    Args:
        values: (rows,), sorted.
        cells: (rows,) the cell of each.
        subjects: (rows,) of each, a number; None: every row is a unit.
        bounds: of the values; None: not known.
    """
    cells, there = pd.factorize(cells, sort=True)
    defined = np.isfinite(values)
    if not defined.all():
        values, cells = values[defined], cells[defined]
        subjects = None if subjects is None else subjects[defined]
    data, of = units_in_cells(values, cells, subjects)
    found = moments(data.sums, data.counts, of, there.size)
    low, high = limits(found)
    if bounds is not None:
        inner = ~np.isin(data.sums, bounds) | (data.counts != 1)
        at_ends = np.bincount(of, weights=inner, minlength=there.size) == 0
        low, high = bounded(found, (low, high), at_ends, bounds)
    table = pd.DataFrame(
        {"estimate": found.mean, "low": low, "high": high, "p": p_values(found)}, index=there
    )
    table.loc[found.units < MINIMUM] = np.nan
    return table.assign(n=found.n)


def _of_samples(codes: NDArray[np.intp], places: NDArray[np.intp]) -> NDArray[np.intp]:
    """What each row's sample has; -1 where the sample is not in the table."""
    return np.append(codes, -1)[places]
