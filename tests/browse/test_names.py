from __future__ import annotations

import pytest

from camaudit.browse.names import Directory, Names
from camaudit.errors import RunError


def test_a_key_comes_first_and_the_rest_is_an_identifier() -> None:
    names = Names.of("a", "some run")
    assert names.field("excess", "hair+face") == "a_excess_hair_and_face"
    assert names.field("smooth:gradcam", "contrast:doctor,nurse") == "a_smooth_gradcam_contrast_doctor_nurse"


@pytest.mark.parametrize(("run", "key"), [("Biased model", "biased_model"), ("2024-01-02", "run_2024_01_02")])
def test_without_a_key_the_runs_name_is_one(run: str, key: str) -> None:
    assert Names.of(None, run).key == key


@pytest.mark.parametrize("key", ["", "1a", "a-b", "a b", "_a", "a.b"])
def test_a_key_that_cannot_begin_a_field_is_refused(key: str) -> None:
    with pytest.raises(RunError, match="cannot be a key"):
        Names.of(key, "run")


def test_other_scripts_keep_their_letters() -> None:
    names = Names.of("a", "some run")
    assert names.field("group", "性別") == "a_group_性別"
    assert names.field("gradcam", "class:医師") != names.field("gradcam", "class:看護師")
    assert Names.of(None, "医師").key != Names.of(None, "看護師").key
    assert Names.of(None, "医師").key.isascii()


def test_names_that_differ_in_what_a_field_cannot_hold_get_fields_of_their_own() -> None:
    directory = Directory(Names.of("a", "some run"))
    parts = [
        ("group", "Age"),
        ("group", "age"),
        ("group", "age!"),
        ("group", "👩"),
        ("group", "👨"),
        ("label",),
    ]
    fields = [directory[part] for part in parts]
    assert fields == ["a_group_age", "a_group_age_2", "a_group_age_3", "a_group", "a_group_2", "a_label_2"]
    assert [directory[part] for part in parts] == fields
