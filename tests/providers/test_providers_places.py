"""Regions that lie at the same place in every image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from camaudit.config import DataConfig, RolesConfig, parse_section
from camaudit.config.providers import OPTIONS
from camaudit.data import Dataset, region_mask
from camaudit.data.codec import decode, encode
from camaudit.errors import ConfigError, DataError
from camaudit.providers import all_providers, with_regions
from camaudit.types import Box, Region, Sample
from tests.providers.planted import SCENES


def drawn(word: str, size: tuple[int, int], **options: object) -> dict[str, np.ndarray]:
    place = all_providers()[word].place
    assert place is not None
    shapes = place(OPTIONS[word].model_validate(options))
    return {name: region_mask(Region("x", "context", shape), size) for name, shape in shapes.items()}


sides = st.tuples(st.integers(1, 90), st.integers(1, 90))


@given(sides, st.integers(1, 12), st.integers(1, 12))
def test_the_cells_of_a_grid_share_every_pixel_out(size: tuple[int, int], rows: int, columns: int) -> None:
    cells = drawn("grid", size, rows=rows, columns=columns)
    assert next(iter(cells)) == "_1_1"
    assert len(cells) == rows * columns
    assert (np.sum(list(cells.values()), axis=0) == 1).all()


@given(sides)
def test_the_quadrants_share_every_pixel_out(size: tuple[int, int]) -> None:
    quarters = drawn("quadrants", size)
    assert (np.sum(list(quarters.values()), axis=0) == 1).all()
    rows, columns = (np.arange(side) + 0.5 for side in size)
    literal = (rows[:, None] < size[0] / 2) & (columns[None] < size[1] / 2)
    assert np.array_equal(quarters["_top_left"], literal)


@given(sides, st.floats(0.05, 0.45))
def test_a_border_is_what_a_centre_leaves(size: tuple[int, int], share: float) -> None:
    border = drawn("border", size, share=share)[""]
    rows, columns = ((np.arange(side) + 0.5) / side for side in size)
    outer = (np.minimum(rows, 1 - rows)[:, None] < share) | (np.minimum(columns, 1 - columns)[None] < share)
    near = np.isclose(np.minimum(rows, 1 - rows)[:, None], share) | np.isclose(
        np.minimum(columns, 1 - columns)[None], share
    )
    assert np.array_equal(border[~near], outer[~near])
    centre = drawn("centre", size, share=1 - 2 * share)[""]
    assert np.array_equal(centre[~near], ~outer[~near])


def dataset() -> Dataset:
    regions = (Region("tower", "object", Box(10, 10, 50, 80)),)
    path = min(SCENES.glob("*.jpg"))
    return Dataset.of([Sample(str(number), path, "a", regions=regions) for number in range(3)])


def test_provided_regions_take_part_in_expressions_and_roles() -> None:
    data = with_regions(
        dataset(),
        {"middle": {"provider": "centre", "share": 0.5}},
        roles={"object": ["tower"], "attribute": ["around"]},
        derive={"around": "not (middle or tower)"},
    )
    assert data.regions == {"tower": "object", "around": "attribute", "middle": "context"}
    found = {region.name: region for region in data.samples[0].regions}
    assert {name: region.made_by for name, region in found.items()} == {
        "tower": None,
        "middle": "centre",
        "around": "centre",
    }
    size = (320, 481)
    middle, tower, around = (region_mask(found[name], size) for name in ("middle", "tower", "around"))
    assert np.array_equal(around, ~(middle | tower))
    assert decode(encode(data.samples[0], "here")) == data.samples[0]


@pytest.mark.parametrize(
    ("provide", "roles", "derive", "said"),
    [
        ({"tower": {"provider": "centre"}}, {}, {}, "there is a region 'tower' already"),
        ({"mid": {"provider": "centre"}}, {"object": ["midd"]}, {}, "did you mean 'mid'"),
        ({"mid": {"provider": "centre"}}, {}, {"x": "not midd"}, "did you mean 'mid'"),
        ({"mid": {"provider": "center"}}, {}, {}, "did you mean 'centre'"),
        ({"mid": {}}, {}, {}, "provider is missing"),
        ({"mid": "centre"}, {}, {}, "write it as {provider: centre}"),
        ({"mid": {"provider": "centre", "shar": 0.5}}, {}, {}, "did you mean 'share'"),
        ({"mid": {"provider": "centre", "share": 1.5}}, {}, {}, "less than 1"),
        ({"a": {"provider": "segmentation", "labels": ["x"]}}, {}, {}, "model is missing"),
    ],
)
def test_what_cannot_be_provided_is_refused(
    provide: dict[str, dict[str, object]], roles: dict[str, list[str]], derive: dict[str, str], said: str
) -> None:
    with pytest.raises((ConfigError, DataError), match=said):
        with_regions(dataset(), provide, roles=roles, derive=derive)


def test_every_word_has_its_function_and_its_options() -> None:
    assert set(all_providers()) == set(OPTIONS)
    for word, provider in all_providers().items():
        assert (provider.place is None) != (provider.finder is None)
        assert provider.summary.endswith((".", "`."))
        values = {"model": "m", "labels": ["x"]} if provider.by_model else {}
        source = parse_section(
            DataConfig,
            {"format": "table", "path": "t.csv", "provide": {"x": {"provider": word, **values}}},
            where="a.yaml",
        )
        assert source.provide["x"].provider == word
    assert RolesConfig() == parse_section(RolesConfig, {}, where="")
