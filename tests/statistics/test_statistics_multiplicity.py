from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from camaudit.statistics import benjamini_hochberg, holm

some_p = st.lists(st.one_of(st.floats(0, 1), st.just(float("nan"))), max_size=20)


@given(some_p)
def test_benjamini_hochberg_is_the_definition(p: list[float]) -> None:
    q = benjamini_hochberg(p)
    tested = sorted(value for value in p if not np.isnan(value))
    for value, adjusted in zip(p, q, strict=True):
        if np.isnan(value):
            assert np.isnan(adjusted)
            continue
        worse = [min(1, len(tested) * other / (at + 1)) for at, other in enumerate(tested) if other >= value]
        assert adjusted == pytest.approx(min(worse))
        assert adjusted >= value or adjusted == pytest.approx(value)
    order = np.argsort(p)
    assert (np.diff(q[order][~np.isnan(q[order])]) >= 0).all()


@given(some_p)
def test_holm_is_statsmodels(p: list[float]) -> None:
    values = np.array(p)
    tested = ~np.isnan(values)
    found = holm(p)
    assert np.isnan(found[~tested]).all()
    if tested.any():
        oracle = multipletests(values[tested], method="holm")[1]
        np.testing.assert_allclose(found[tested], oracle, rtol=1e-12)
    assert (found[tested] >= benjamini_hochberg(p)[tested] - 1e-15).all()
