from __future__ import annotations

import pytest

from camaudit.browse.names import Names
from camaudit.errors import RunError


def test_a_key_comes_first_and_the_rest_is_an_identifier() -> None:
    names = Names.of("a", "some run")
    assert names.field("excess", "hair+face") == "a_excess_hair_and_face"
    assert (
        names.heatmap("smooth:gradcam", "contrast:doctor,nurse") == "a_smooth_gradcam_contrast_doctor_nurse"
    )


@pytest.mark.parametrize(("run", "key"), [("Biased model", "biased_model"), ("2024-01-02", "run_2024_01_02")])
def test_without_a_key_the_runs_name_is_one(run: str, key: str) -> None:
    assert Names.of(None, run).key == key


@pytest.mark.parametrize("key", ["", "1a", "a-b", "a b", "_a", "a.b"])
def test_a_key_that_cannot_begin_a_field_is_refused(key: str) -> None:
    with pytest.raises(RunError, match="cannot be a key"):
        Names.of(key, "run")
