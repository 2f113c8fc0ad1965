from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import simulations
from benchmarks.laws import CHOSEN, LAWS, REPORTED, SEEN, UNSEEN, bca, seeded, sign_flips, studentised
from camaudit.statistics import mean_interval, mean_test

PAGE = Path(simulations.__file__).parents[1] / "docs" / "statistics.md"


@pytest.mark.parametrize("name", [*CHOSEN, "gamma, shape 0.5", "share, beta 0.5, 4.5", "yes or no, 20% yes"])
@pytest.mark.parametrize("n", [10, 30, 300])
def test_interval_holds_the_mean_about_as_often_as_it_says(name: str, n: int) -> None:
    law = LAWS[name]
    values = law.draw(seeded("tests", name, n), (2000, n)).astype(np.float64)
    assert 0.93 <= simulations.held(simulations.ours(values, law.bounds)[0], law.mean) <= 0.985


@pytest.mark.parametrize("name", ["normal", "exponential", "Poisson, mean 1 (ties)", "Laplace"])
def test_the_mean_is_tested_at_its_level_where_sign_flips_are_not(name: str) -> None:
    values = LAWS[name].draw(seeded("tests", name), (2000, 10)) - LAWS[name].mean
    assert (simulations.ours(values, None)[1] <= 0.05).mean() <= 0.055
    skewed = LAWS["lognormal, σ 1"].draw(seeded("tests"), (400, 10)) - LAWS["lognormal, σ 1"].mean
    assert (sign_flips(skewed, seeded("flips")) <= 0.05).mean() > 0.1
    assert (simulations.ours(skewed, None)[1] <= 0.05).mean() < 0.09


def test_far_tails_are_kept_to_their_level() -> None:
    law = LAWS["lognormal, σ 1"]
    for n in (10, 30):
        p = simulations.ours(law.draw(seeded("tails", n), (20_000, n)) - law.mean, None)[1]
        assert (p <= 0.01).mean() <= 0.012
        assert (p <= 0.002).mean() <= 0.003


@pytest.mark.parametrize("name", [*CHOSEN, *REPORTED])
def test_what_is_simulated_is_what_a_user_gets(name: str) -> None:
    law = LAWS[name]
    values = law.draw(seeded("tests", name), (5, 12)).astype(np.float64)
    (low, high), p = simulations.ours(values, law.bounds)
    for place, row in enumerate(values):
        assert mean_interval(row, bounds=law.bounds)[1:3] == (low[place], high[place])
        assert mean_test(row) == p[place]
    # the law's mean is that of many of its values
    many = law.draw(seeded("many", name), (1, 400_000))
    assert many.mean() == pytest.approx(law.mean, abs=5 * many.std() / 600)


def test_peers_agree_with_each_other_where_all_are_right() -> None:
    values = seeded("peers").normal(size=(1, 400))
    expected = np.array(simulations.student(values))
    for peer in (bca, studentised):
        found = np.array(peer(values, seeded("peer")))
        np.testing.assert_allclose(found, expected, atol=0.02)


@pytest.mark.parametrize("images", [1, 3])
def test_two_groups_of_different_spread_and_number_are_tested_at_their_level(images: int) -> None:
    laws = (LAWS["exponential"], LAWS["normal"], 2)
    covered, rejected = simulations.compared(laws, (20, 60, images), 400, seeded("two groups of a test"))
    assert 0.92 <= covered <= 0.99
    assert rejected <= 0.055 + 3 * 0.011


def test_discoveries_are_seldom_false() -> None:
    false, power = simulations.discovered(LAWS["exponential"], 2, 150, 100, seeded("tables")).mean(axis=0)
    assert false <= 0.05
    assert power > 0.2


@pytest.mark.parametrize("name", UNSEEN)
def test_draws_without_the_tail_are_what_the_law_has_without_it(name: str) -> None:
    unseen = UNSEEN[name](seeded("unseen", name), (1, 100_000))
    every = LAWS[name].draw(seeded("every", name), (1, 100_000))
    if name.startswith("lognormal"):
        every = every[every <= np.quantile(every, SEEN)]
        np.testing.assert_allclose(
            np.quantile(unseen, [0.1, 0.5, 0.9]), np.quantile(every, [0.1, 0.5, 0.9]), rtol=0.02
        )
    else:
        assert (unseen.mean(), unseen.std()) == pytest.approx((0, 1), abs=0.02)
    assert unseen.mean() < LAWS[name].mean


def test_every_table_has_its_place_on_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for name in simulations.tables(quick=True):
        assert f"<!-- {name} -->" in page
        changed = simulations.placed(page, name, "| new |")
        assert f"<!-- {name} -->\n| new |\n<!-- /{name} -->" in changed
        assert len(changed) < len(page) or f"<!-- {name} -->\n<!--" in page
    assert simulations.placed(page, "another", "| new |") == page
    assert "| --- |" in simulations.coverage({"normal": CHOSEN["normal"]}, 10, (10, 20))
    assert simulations.marked(0.9294) == "**0.929**"
