"""How often intervals hold the truth, tests reject it, and discoveries are false: the figures of docs/statistics.md.

``python -m benchmarks.simulations [--quick] [--markdown docs/statistics.md]``

The transformation's strength (`camaudit.statistics.moments`) was chosen on `CHOSEN` with seeds that are not used here; the
other distributions were only reported. The tables take the places between ``<!-- NAME -->`` and ``<!-- /NAME -->``.
"""

from __future__ import annotations

import argparse
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import ndtr

from benchmarks.laws import (
    CHOSEN,
    COUNTED,
    HARD,
    LAWS,
    REPORTED,
    RESAMPLES,
    SUBJECTS,
    bca,
    seeded,
    sign_flips,
    student,
    studentised,
    subjects_of,
)
from camaudit.statistics import cliffs_delta, effects, mean_interval
from camaudit.statistics.intervals import bounded
from camaudit.statistics.moments import limits, moments, p_values
from camaudit.statistics.stratified import mean_difference, rate_difference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from benchmarks.laws import Ends, Law

SIZES = (10, 15, 20, 30, 50, 100, 300, 1000)

# ------------------------------------------------------------------ intervals of a mean


def ours(values: NDArray[np.float64], bounds: tuple[float, float] | None) -> tuple[Ends, NDArray[np.float64]]:
    """Ends and p-values of every row, as `camaudit.statistics.mean_interval` and `mean_test` give them."""
    draws, n = values.shape
    ordered = np.sort(values, axis=1)
    found = moments(ordered.ravel(), np.ones(values.size), np.repeat(np.arange(draws), n), draws)
    ends = limits(found)
    if bounds is not None:
        ends = bounded(found, ends, np.isin(values, bounds).all(axis=1), bounds)
    return ends, p_values(found)


def held(ends: Ends, truth: float) -> float:
    """Share of the intervals that hold the truth."""
    low, high = ends
    return float(((low <= truth + 1e-12) & (truth - 1e-12 <= high)).mean())


def coverage(laws: Mapping[str, Law], draws: int, sizes: Sequence[int]) -> str:
    rows = []
    for name, law in laws.items():
        row = []
        for n in sizes:
            values = law.draw(seeded("coverage", name, n), (draws, n)).astype(np.float64)
            row.append(held(ours(values, law.bounds)[0], law.mean))
        rows.append((name, *map(marked, row)))
    return table(("coverage of 95 %, n =", *map(str, sizes)), rows)


def marked(share: float) -> str:
    """A coverage; bold where it is short."""
    return f"**{share:.3f}**" if share < 0.93 else f"{share:.3f}"


def side_by_side(draws: int, sizes: Sequence[int]) -> str:
    rows = []
    names = (*CHOSEN, "gamma, shape 0.5", "share, beta 0.5, 4.5", "fifths, binomial 0.2 (ties)")
    for name in names:
        law = LAWS[name]
        for n in sizes:
            generator = seeded("side by side", name, n)
            values = law.draw(generator, (draws, n)).astype(np.float64)
            ends = [
                ours(values, law.bounds)[0],
                student(values),
                bca(values, generator),
                studentised(values, generator),
            ]
            widths = [float(np.median(high - low)) for low, high in ends]
            cells = [
                f"{held(of, law.mean):.3f}, {width / widths[1]:.2f}"
                for of, width in zip(ends, widths, strict=True)
            ]
            rows.append((name, str(n), *cells))
    header = ("", "n", "camaudit", "Student", f"BCa, {RESAMPLES:,}", f"bootstrap-t, {RESAMPLES:,}")
    return table(header, rows)


# ------------------------------------------------------------------ tests


def rejections(draws: int, sizes: Sequence[int]) -> str:
    rows = []
    for name in (
        *CHOSEN,
        "uniform",
        "Laplace",
        "gamma, shape 0.5",
        "two humps, 1 : 4",
        "Poisson, mean 1 (ties)",
    ):
        law, cells = LAWS[name], []
        for n in sizes:
            values = law.draw(seeded("tests", name, n), (draws, n)) - law.mean
            rejected = float((ours(values, None)[1] <= 0.05).mean())
            flipped = sign_flips(values[:1000], seeded("flips", name, n)) if n <= 30 else None
            cells.append(
                f"{rejected:.3f}" + ("" if flipped is None else f" ({(flipped <= 0.05).mean():.3f})")
            )
        rows.append((name, *cells))
    return table(("rejected at 5 % (by sign flips), n =", *map(str, sizes)), rows)


# ------------------------------------------------------------------ subjects


def clustered(draws: int, sizes: Sequence[int]) -> str:
    rows = []
    for name, (draw, mean, _) in SUBJECTS.items():
        for counted in COUNTED:
            cells, plain = [], []
            for n in sizes:
                generator = seeded("subjects", name, counted, n)
                counts = subjects_of(counted, generator, (draws, n))
                own = draw(generator, (draws, n))
                sums = own * counts + generator.normal(size=(draws, n)) * np.sqrt(counts)
                whose = np.repeat(np.arange(draws), n)
                found = moments(sums.ravel(), counts.ravel(), whose, draws)
                cells.append(marked(held(limits(found), mean)))
                # as if every image stood for itself: variance of the values, within and between
                total = counts.sum(1)
                ratio = sums.sum(1) / total
                spread = (counts * ((own - ratio[:, None]) ** 2 + 1)).sum(1) / total
                reach = 1.96 * np.sqrt(spread / total)
                plain.append(held((ratio - reach, ratio + reach), mean))
            rows.append((name, counted, *cells, f"{min(plain):.2f} to {max(plain):.2f}"))
    return table(
        ("subjects' means", "images", *(f"{n} subjects" for n in sizes), "if images were units"), rows
    )


# ------------------------------------------------------------------ two groups


def two_groups(draws: int, sizes: Sequence[tuple[int, int]]) -> str:
    """Of the difference within two strata: coverage of its interval, and how often the permutation test rejects."""
    rows = []
    for one, other, wider in (
        ("normal", "normal", 1),
        ("normal", "normal", 2),
        ("exponential", "exponential", 1),
        ("exponential", "normal", 2),
        ("lognormal, σ 1", "lognormal, σ 1", 1),
        ("share, beta 0.5, 4.5", "share, beta 0.5, 4.5", 1),
    ):
        cells = []
        for n, m in sizes:
            generator = seeded("two groups", one, other, wider, n, m)
            strata = np.arange(n + m) % 2
            found = []
            for place in range(draws):
                first = LAWS[one].draw(generator, (1, n))[0] - LAWS[one].mean
                second = wider * (LAWS[other].draw(generator, (1, m))[0] - LAWS[other].mean)
                values = np.concatenate([first, second]) + strata
                inside, names = np.arange(n + m) >= n, np.array(["a", "b"], dtype=object)[strata]
                found.append(mean_difference(values, inside, names, seed=place, permutations=199))
            covered = float(np.mean([each.low <= 0 <= each.high for each in found]))
            rejected = float(np.mean([each.p <= 0.05 for each in found]))
            cells.append(f"{marked(covered)}, {rejected:.3f}")
        rows.append((one, f"{wider} × {other}" if wider > 1 else other, *cells))
    return table(("first", "second", *(f"{n} and {m}" for n, m in sizes)), rows)


def rates(draws: int, sizes: Sequence[tuple[int, int]]) -> str:
    """The same of two accuracies."""
    rows = []
    for one, other in ((0.9, 0.9), (0.99, 0.99), (0.9, 0.6), (0.99, 0.8)):
        cells = []
        for n, m in sizes:
            generator = seeded("rates", one, other, n, m)
            strata = np.array(["a", "b"], dtype=object)[np.arange(n + m) % 2]
            inside = np.arange(n + m) >= n
            found = [
                rate_difference(
                    generator.random(n + m) < np.where(inside, other, one),
                    inside,
                    strata,
                    seed=place,
                    permutations=199,
                )
                for place in range(draws)
            ]
            covered = float(np.mean([each.low <= other - one <= each.high for each in found]))
            rejected = f", {np.mean([each.p <= 0.05 for each in found]):.3f}" if one == other else ""
            cells.append(marked(covered) + rejected)
        rows.append((f"{one:.0%}", f"{other:.0%}", *cells))
    return table(("first", "second", *(f"{n} and {m}" for n, m in sizes)), rows)


def deltas(draws: int, sizes: Sequence[tuple[int, int]]) -> str:
    """Coverage of the interval of Cliff's delta of two normal groups, the second moved."""
    rows = []
    for shift in (0.0, 0.5, 1.5):
        truth = 2 * float(ndtr(shift / np.sqrt(2))) - 1
        cells = []
        for n, m in sizes:
            generator = seeded("delta", shift, n, m)
            found = [
                cliffs_delta(generator.normal(size=n), generator.normal(shift, size=m)) for _ in range(draws)
            ]
            cells.append(marked(float(np.mean([each.low <= truth <= each.high for each in found]))))
        rows.append((f"{truth:.2f}", *cells))
    return table(("delta", *(f"{n} and {m}" for n, m in sizes)), rows)


# ------------------------------------------------------------------ many cells


def discoveries(draws: int, sizes: Sequence[int]) -> str:
    """False discovery rate over the tables of `camaudit.statistics.effects`."""
    rows = []
    for law in CHOSEN:
        for real in (0, 1, 3):
            cells = []
            for n in sizes:
                generator = seeded("discoveries", law, real, n)
                found = [discovered(LAWS[law], real, n, 50, generator) for _ in range(draws // 50)]
                false, power = np.concatenate(found).mean(axis=0)
                cells.append(f"{false:.3f}" + (f", {power:.2f}" if real else ""))
            rows.append((law, f"{real} of 4", *cells))
    return table(("values", "regions with an effect", *(f"{n} images" for n in sizes)), rows)


def discovered(
    law: Law, real: int, n: int, draws: int, generator: np.random.Generator
) -> NDArray[np.float64]:
    """False share of the discoveries, and found share of the effects, of tables of 72 cells: (draws, 2)."""
    names = np.array([f"s{place}" for place in range(n)])
    samples = pd.DataFrame(
        {
            "sample": names,
            "group_one": generator.choice(["x", "y", "z"], n),
            "group_two": generator.choice(["u", "v"], n),
        }
    )
    labels = generator.choice(["a", "b"], n)
    # what an image has in all regions makes the cells depend on each other, as the cells' overlap does
    values = law.draw(generator, (draws * 4, n)).reshape(draws, 4, n) - law.mean
    values += law.draw(generator, (draws, n))[:, None] - law.mean
    values[:, :real] += 0.5
    draw, region, sample = (index.ravel() for index in np.indices(values.shape))
    measurements = pd.DataFrame(
        {
            "sample": names[sample],
            "target_class": labels[sample],
            "region": np.array(["r0", "r1", "r2", "r3"])[region],
            "target": np.array([f"t{place}" for place in range(draws)])[draw],  # each has its own q
            "value": values.ravel(),
        }
    ).assign(method="m", role="attribute", metric="excess")
    found = effects(measurements, samples, groups=["one", "two"], metrics=["excess"])
    declared = found["q"].to_numpy() <= 0.05
    true = found["region"].isin([f"r{place}" for place in range(real)]).to_numpy()
    of = pd.factorize(found["target"])[0]
    false, every, power = (np.bincount(of, each) for each in (declared & ~true, declared, declared & true))
    return np.column_stack([false / np.maximum(every, 1), power / max(1, true.sum() / draws)])


def large(samples: int, regions: int, metrics: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Measurements of a large run, its columns of text as categories, and its samples in ten groups of two classes."""
    generator = np.random.default_rng(0)
    names = pd.Categorical([f"s{place:06d}" for place in range(samples)])
    groups = generator.choice([f"g{place}" for place in range(10)], samples)
    labels = generator.integers(0, 2, samples)
    several = regions * metrics
    codes = {
        "sample": (np.tile(names.codes, several), names.categories),
        "target_class": (np.tile(labels, several), ["a", "b"]),
        "region": (
            np.tile(np.repeat(np.arange(regions), samples), metrics),
            [f"r{at:02d}" for at in range(regions)],
        ),
        "metric": (
            np.repeat(np.arange(metrics), samples * regions),
            ["excess", *(f"m{at}" for at in range(1, metrics))],
        ),
        **{
            name: (np.zeros(samples * several, dtype=np.int8), [name])
            for name in ("method", "target", "role")
        },
    }
    columns = {name: pd.Categorical.from_codes(*pair) for name, pair in codes.items()}
    measurements = pd.DataFrame(columns | {"value": generator.normal(0.1, 1, samples * several)}, copy=False)
    return measurements, pd.DataFrame({"sample": names, "group_of": groups})


def speed(samples: int, metrics: int) -> str:
    rows = []
    for several in (1, metrics):
        measurements, about = large(samples, 20, several)
        names = list(measurements["metric"].cat.categories)
        start = time.process_time()
        found = effects(measurements, about, groups=["of"], metrics=names)
        taken = time.process_time() - start
        rows.append(
            (
                f"{samples:,} × 20 × 10, {several} metric{'s' * (several > 1)}",
                f"{len(found):,}",
                f"{taken:.1f} s",
            )
        )
    few, about = large(1000, 20, 1)
    start = time.process_time()
    found = effects(few, about, groups=["of"], metrics=["excess"])
    vectorised = time.process_time() - start
    rows.append(("1,000 × 20 × 10, 1 metric", f"{len(found):,}", f"{vectorised:.2f} s"))
    for name, method in (("cell by cell", mean_interval), (f"cell by cell, BCa of {RESAMPLES:,}", _one_bca)):
        start = time.process_time()
        looped(few, about, found, method)
        taken = time.process_time() - start
        rows.append(
            (f"the same, {name}", f"{len(found):,}", f"{taken:.1f} s, {taken / vectorised:.0f} times as long")
        )
    return table(("samples × regions × groups", "cells", "processor time, one core"), rows)


def _one_bca(values: NDArray[np.float64]) -> Ends:
    return bca(values[None], np.random.default_rng(0))


def looped(
    measurements: pd.DataFrame,
    samples: pd.DataFrame,
    cells: pd.DataFrame,
    method: Callable[[NDArray[np.float64]], object],
) -> list[object]:
    """The literal way: for every cell its rows are looked up and summarised."""
    joined = measurements.merge(samples, on="sample")
    found = []
    for cell in cells.itertuples():
        inside = joined["region"] == cell.region
        inside &= (joined["target_class"] == cell.target_class) if cell.target_class else True
        inside &= (joined["group_of"] == cell.value) if cell.group else True
        found.append(method(joined.loc[inside, "value"].to_numpy()))
    return found


# ------------------------------------------------------------------ the page


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def tables(*, quick: bool) -> Iterator[tuple[str, str]]:
    """Name and text of every table."""
    draws, few = (1000, 100) if quick else (10_000, 1000)
    sizes = (10, 30, 100) if quick else SIZES
    pairs = ((20, 20), (20, 200), (200, 20), (100, 100))
    yield "coverage", coverage(CHOSEN, draws, sizes)
    yield "reported", coverage(REPORTED, draws, sizes)
    yield "hard", coverage(HARD, draws, sizes)
    yield "beside", side_by_side(few, (10, 20, 50, 200)[: 2 if quick else 4])
    yield "size", rejections(draws, sizes)
    yield "subjects", clustered(draws, sizes[:-1])
    yield "groups", two_groups(few, pairs)
    yield "rates", rates(few, pairs)
    yield "delta", deltas(few, ((10, 10), *pairs))
    yield "discoveries", discoveries(few, (100, 300))
    yield "speed", speed(10_000 if quick else 100_000, 2 if quick else 20)


def placed(page: str, name: str, text: str) -> str:
    """The page with a table in its place."""
    pattern = f"(<!-- {name} -->\n).*?(<!-- /{name} -->)"
    return re.sub(pattern, lambda found: f"{found[1]}{text}\n{found[2]}", page, flags=re.DOTALL)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the draws, three sizes")
    parser.add_argument("--markdown", type=Path, help="a page whose tables are written anew")
    chosen = parser.parse_args()
    page = chosen.markdown.read_text(encoding="utf-8") if chosen.markdown else ""
    for name, text in tables(quick=chosen.quick):
        print(f"{name}\n\n{text}\n", flush=True)
        page = placed(page, name, text)
    if chosen.markdown:
        chosen.markdown.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
