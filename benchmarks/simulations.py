"""How often intervals hold the truth, tests reject it, and discoveries are false: the figures of docs/statistics.md.

``python -m benchmarks.simulations [--quick] [--only NAME ...] [--markdown docs/statistics.md]``

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
    SEEN,
    SUBJECTS,
    UNSEEN,
    bca,
    seeded,
    sign_flips,
    student,
    studentised,
    subjects_of,
)
from camaudit.statistics import cliffs_delta, effects, mean_interval
from camaudit.statistics.crossed import crossed_contrast, crossed_mean, crossed_spread
from camaudit.statistics.intervals import bounded
from camaudit.statistics.moments import limits, moments, p_values
from camaudit.statistics.stratified import mean_difference, rate_difference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

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


def floor(draws: int) -> str:
    """What keeps a test of ten values from its size: draws of which none shows the tail that decides the mean."""
    rows, n = [], 10
    for name, draw in UNSEEN.items():
        law = LAWS[name]
        every = law.draw(seeded("floor", name), (draws, n)) - law.mean
        unseen = draw(seeded("unseen", name), (draws, n)) - law.mean
        share = SEEN**n
        low, high = student(unseen)
        size, power = (float((ours(of, None)[1] <= 0.05).mean()) for of in (every, unseen))
        cells = (size, share, power, float(((low > 0) | (high < 0)).mean()), share * power, 0.055 / share)
        rows.append((name, *(f"{of:.3f}" for of in cells)))
    header = (
        "n = 10",
        "rejected at 5 %",
        "draws without the tail",
        "rejected of these",
        "by Student's test",
        "their part of the size",
        "may be rejected of these for a size of 0.055",
    )
    return table(header, rows)


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


COMPARED = (
    ("normal", "normal", 1, 1),
    ("normal", "normal", 2, 1),
    ("exponential", "exponential", 1, 1),
    ("exponential", "normal", 2, 1),
    ("lognormal, σ 1", "lognormal, σ 1", 1, 1),
    ("share, beta 0.5, 4.5", "share, beta 0.5, 4.5", 1, 1),
    ("Poisson, mean 1 (ties)", "Poisson, mean 1 (ties)", 1, 1),
    ("normal", "normal", 1, 3),
    ("exponential", "normal", 2, 3),
)
"""Laws of two groups: the first, the second, how many times as wide that is, and images of each subject."""


def two_groups(
    draws: int, sizes: Sequence[tuple[int, int]], laws: Sequence[tuple[str, str, int, int]] = COMPARED
) -> str:
    """Of the difference within two strata: coverage of its interval, and how often the permutation test rejects."""
    rows = []
    for one, other, wider, images in laws:
        cells = []
        for n, m in sizes:
            key = (one, other, wider, *((images,) if images > 1 else ()), n, m)
            pair, shape = (LAWS[one], LAWS[other], wider), (n, m, images)
            covered, rejected = compared(pair, shape, draws, seeded("two groups", *key))
            if rejected > 0.055:  # by chance? ten times as many, and others
                covered, rejected = compared(pair, shape, 10 * draws, seeded("two groups again", *key))
            cells.append(f"{marked(covered)}, {rejected:.3f}")
        of = f", {images} images each" if images > 1 else ""
        rows.append((one + of, (f"{wider} × {other}" if wider > 1 else other) + of, *cells))
    return table(("first", "second", *(f"{n} and {m}" for n, m in sizes)), rows)


def compared(
    laws: tuple[Law, Law, int], sizes: tuple[int, int, int], draws: int, generator: np.random.Generator
) -> tuple[float, float]:
    """Of the difference of two laws, the second so many times as wide: coverage, and how often the permutation rejects."""
    one, other, wider = laws
    n, m, images = sizes
    whose = np.repeat(np.arange(n + m), images)
    strata, inside = whose % 2, whose >= n
    names = np.array(["a", "b"], dtype=object)[strata]
    subjects = np.char.add("p", whose.astype(str)).astype(object) if images > 1 else None
    found = []
    for place in range(draws):
        first = one.draw(generator, (1, n))[0] - one.mean
        second = wider * (other.draw(generator, (1, m))[0] - other.mean)
        values = np.concatenate([first, second])[whose] + strata
        if images > 1:
            values += generator.normal(size=values.size)
        found.append(mean_difference(values, inside, names, subjects, seed=place, permutations=199))
    covered = float(np.mean([each.low <= 0 <= each.high for each in found]))
    return covered, float(np.mean([each.p <= 0.05 for each in found]))


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


# ------------------------------------------------------------------ donors and samples


def met(
    samples: int, donors: int, each: int, generator: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Sample and donor of every pair: the two kinds of donors in turn, as `camaudit.measure.donors` chooses them."""
    half = donors // 2
    first = generator.integers(0, 2, samples)  # the kind that a sample meets first
    turn = np.arange(each)
    kind = (first[:, None] + turn) % 2
    orders = np.argsort(generator.random((2, samples, half)), axis=-1)
    donor = orders[kind, np.arange(samples)[:, None], turn // 2] + half * kind
    return np.repeat(np.arange(samples), each), donor.ravel()


def crossed(draws: int) -> str:
    """Coverage of what `camaudit.statistics.crossed` says: of a contrast of kinds of donors, a mean, a spread."""
    rows = []
    for samples, donors in ((300, 96), (20, 16)):
        for name, spread in (("normal", 0.0), ("normal", 0.3), ("normal", 1.0), ("exponential", 1.0)):
            cells = []
            for each in (2, 3, 4):
                generator = seeded("crossed", samples, donors, name, spread, each)
                found = [
                    exchanged((LAWS[name], spread), (samples, donors, each), generator) for _ in range(draws)
                ]
                cells.append(", ".join(marked(float(of)) for of in np.mean(found, axis=0)))
            about = f"{name}, SD {spread:g}" if spread else "none"
            rows.append((f"{samples}", f"{donors // 2} + {donors // 2}", about, *cells))
    return table(("samples", "donors", "their effects", *(f"{each} a sample" for each in (2, 3, 4))), rows)


def exchanged(
    donated: tuple[Law, float], sizes: tuple[int, int, int], generator: np.random.Generator
) -> tuple[bool, bool, bool]:
    """Whether the intervals of contrast, mean and spread hold the truth.

    Samples and errors have SD 1; the effect of the kind differs from sample to sample by SD 0.5.
    """
    (law, spread), (samples, donors, each) = donated, sizes
    row, column = met(samples, donors, each, generator)
    inside = column < donors // 2
    effects = spread * (law.draw(generator, (1, donors))[0] - law.mean)
    values = generator.normal(size=samples)[row] + effects[column] + generator.normal(size=row.size)
    own = values + 0.5 * generator.normal(size=samples)[row] * inside
    contrast, mean = crossed_contrast(own, row, column, inside), crossed_mean(values, row, column)
    about = crossed_spread(values, row, column)
    return contrast.low <= 0 <= contrast.high, mean.low <= 0 <= mean.high, about.low <= spread <= about.high


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


def tables(*, quick: bool) -> dict[str, Callable[[], str]]:
    """What makes each table, by its name."""
    draws, few = (1000, 100) if quick else (10_000, 1000)
    sizes = (10, 30, 100) if quick else SIZES
    pairs = ((20, 20), (20, 200), (200, 20), (100, 100))
    return {
        "coverage": lambda: coverage(CHOSEN, draws, sizes),
        "reported": lambda: coverage(REPORTED, draws, sizes),
        "hard": lambda: coverage(HARD, draws, sizes),
        "beside": lambda: side_by_side(few, (10, 20, 50, 200)[: 2 if quick else 4]),
        "size": lambda: rejections(draws, sizes),
        "floor": lambda: floor(20 * draws),
        "subjects": lambda: clustered(draws, sizes[:-1]),
        "groups": lambda: two_groups(few, pairs),
        "rates": lambda: rates(few, pairs),
        "delta": lambda: deltas(few, ((10, 10), *pairs)),
        "crossed": lambda: crossed(few),
        "discoveries": lambda: discoveries(few, (100, 300)),
        "speed": lambda: speed(10_000 if quick else 100_000, 2 if quick else 20),
    }


def placed(page: str, name: str, text: str) -> str:
    """The page with a table in its place."""
    pattern = f"(<!-- {name} -->\n).*?(<!-- /{name} -->)"
    return re.sub(pattern, lambda found: f"{found[1]}{text}\n{found[2]}", page, flags=re.DOTALL)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the draws, three sizes")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these tables; otherwise all")
    parser.add_argument("--markdown", type=Path, help="a page whose tables are written anew")
    chosen = parser.parse_args()
    page = chosen.markdown.read_text(encoding="utf-8") if chosen.markdown else ""
    every = tables(quick=chosen.quick)
    if unknown := set(chosen.only or ()) - every.keys():
        parser.error(f"no table is named {', '.join(sorted(unknown))}; there are {', '.join(every)}")
    for name in chosen.only or every:
        text = every[name]()
        print(f"{name}\n\n{text}\n", flush=True)
        page = placed(page, name, text)
    if chosen.markdown:
        chosen.markdown.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
