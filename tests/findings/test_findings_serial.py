"""Order, exemplars, cells, wording, and JSON."""

from __future__ import annotations

import json
from dataclasses import replace

import pandas as pd
import pytest

from camaudit.findings import conclude, decide, read_findings, write_findings
from camaudit.findings.building import share
from camaudit.findings.evidence import Cell
from camaudit.findings.exemplars import exemplars
from camaudit.findings.wording import follows
from tests.findings.tables import NAN, effect, evidence, measurements

CELL = Cell("nurse", "hair", "attribute")


def test_a_round_trip_through_json_keeps_everything() -> None:
    findings = [
        *decide(evidence("attribute", "yes", "raises")),
        *decide(evidence("attribute", "few", "few")),
        *decide(evidence("object", "unasked", "unasked")),
    ]
    verdict = conclude(findings)
    text = write_findings("ärzte", verdict, findings)
    content = json.loads(text)
    assert (content["schema_version"], content["run"]) == (1, "ärzte")
    assert content["verdict"]["status"] == "issue"
    assert "NaN" not in text
    again, found = read_findings(text)
    assert again == verdict
    assert write_findings("ärzte", again, found) == text
    assert repr(found) == repr(findings)  # NaN is not equal to itself


def test_what_is_not_defined_is_null() -> None:
    finding = decide(evidence("attribute", "few", "few"))[0]
    assert finding.effect is not None
    plain = json.loads(write_findings("a", conclude([finding]), [finding]))["findings"][0]
    assert plain["effect"] == {
        "name": "excess",
        "estimate": 0.2,
        "low": None,
        "high": None,
        "p": None,
        "q": None,
        "n": 4,
    }
    assert list(plain) == [
        *("code", "title", "status", "rung", "severity", "class", "region", "role", "group", "effect"),
        *("evidence", "answers", "samples", "counter_samples", "advice"),
    ]


def test_the_gravest_comes_first() -> None:
    tables = evidence("attribute", "yes", "yes")
    order = {"issue": 0, "tip": 1, "insufficient": 2, "passed": 3, "not_applicable": 4}
    effects = tables.effects.copy()
    effects.loc[
        effects["target_class"].eq("nurse") & effects["metric"].eq("shift"), ["estimate", "low", "high"]
    ] = (
        0.6,
        0.5,
        0.7,
    )
    findings = decide(replace(tables, effects=effects))
    assert [order[f.status] for f in findings] == sorted(order[f.status] for f in findings)
    assert [f.target_class for f in findings[:2]] == ["nurse", None]
    assert [f.severity for f in findings[:2]] == [0.6, 0.4]


# ------------------------------------------------------------------ exemplars


@pytest.mark.parametrize("count", [1, 3, 6])
@pytest.mark.parametrize("samples", [0, 1, 2, 5, 11, 30])
def test_no_sample_is_exemplar_and_counter_exemplar(count: int, samples: int) -> None:
    values = {f"s{i:02}": float(i) for i in range(samples)}
    tables = replace(evidence("attribute", "yes", "yes"), measurements=measurements(values, values))
    shown, against = exemplars(tables, CELL, effect(0.3, 0.2, 0.4), count)
    names = list(values)
    assert list(shown) == names[::-1][: min(count, samples - samples // 2)]
    assert list(against) == names[: min(count, samples // 2)]
    assert not set(shown) & set(against)


def test_the_direction_of_the_claim_turns_the_shift() -> None:
    values = {f"s{i}": float(i) for i in range(6)}
    flat = dict.fromkeys(values, 0.0)
    tables = replace(evidence("attribute", "yes", "yes"), measurements=measurements(flat, values))
    assert exemplars(tables, CELL, effect(0.3, 0.2, 0.4), 2)[0] == ("s5", "s4")
    assert exemplars(tables, CELL, effect(-0.3, -0.4, -0.2), 2)[0] == ("s0", "s1")


def test_both_measures_count_the_same_and_undefined_ones_do_not() -> None:
    excess = {"a": 1e6, "b": 2e6, "c": 3e6, "d": NAN, "e": NAN}
    shift = {"a": 0.3, "b": 0.2, "c": NAN, "d": 0.1, "e": NAN}
    tables = replace(evidence("attribute", "yes", "yes"), measurements=measurements(excess, shift))
    shown, against = exemplars(tables, CELL, effect(0.3, 0.2, 0.4), 9)
    # "c" was not edited, so it shows nothing of what an edit does, however much of its evidence lies there
    assert {*shown, *against} == {"a", "b", "d"}
    assert against[0] == "d"


def test_without_an_edit_the_maps_alone_choose() -> None:
    tables = replace(
        evidence("attribute", "yes", "unasked"), measurements=measurements({"a": 1, "b": 2, "c": 3}, {})
    )
    assert exemplars(tables, CELL, None, 2) == (("c", "b"), ("a",))


# ------------------------------------------------------------------ cells


def test_groups_are_examined_and_an_unknown_group_is_not() -> None:
    samples = pd.DataFrame(
        {
            "sample": [f"s{i}" for i in range(4)],
            "group_gender": pd.array(["man", "woman", "", None], dtype="string"),
        }
    )
    tables = replace(
        evidence("attribute", "yes", "yes", region="hair+face"),
        samples=samples,
        groups=["gender"],
        roles={"hair": "attribute", "face": "attribute", "hair+face": "attribute"},
        parts={"hair": ("hair",), "face": ("face",), "hair+face": ("hair", "face")},
    )
    rows = [tables.effects.assign(group="gender", value=value) for value in ("man", "woman")]
    tables = replace(tables, effects=pd.concat([tables.effects, *rows]))
    cells = tables.cells("attribute")
    assert [(cell.target_class, cell.region, cell.value) for cell in cells] == [
        (of, "hair+face", value) for of in ("", "nurse", "doctor") for value in ("", "man", "woman")
    ]
    assert tables.cells("object") == []
    values = tables.values("excess", "gradcam", Cell("nurse", "hair+face", "attribute", "gender", "man"))
    assert list(values.index) == ["s0"]


# ------------------------------------------------------------------ wording


@pytest.mark.parametrize(
    ("numbers", "name", "words"),
    [
        ((0.3, 0.2, 0.4), "shift", "lowers its score by 0.30 SD (0.20 to 0.40)"),
        ((-0.3, -0.4, -0.2), "shift", "raises its score by 0.30 SD (0.20 to 0.40)"),
        (
            (0.4, 0.3, 0.5),
            "response",
            "changes its score, in one direction or the other, by 0.40 SD (0.30 to 0.50)",
        ),
    ],
)
def test_a_size_has_no_sign_and_its_interval_rises(
    numbers: tuple[float, float, float], name: str, words: str
) -> None:
    assert follows(effect(*numbers, name=name)) == words


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("predicted", "Where the model says nurse, "),
        ("label", "In images of nurse, "),
        ("class:nurse", "For the score of nurse, "),
    ],
)
def test_the_class_is_what_the_target_makes_it(target: str, words: str) -> None:
    findings = decide(evidence("attribute", "yes", "yes", target=target))
    titles = {finding.target_class: finding.title for finding in findings if finding.region}
    assert titles["nurse"].startswith(words)
    assert titles[None].startswith("Over all classes")


def test_a_class_that_no_image_shows_is_not_examined() -> None:
    tables = evidence("attribute", "no", "no")
    found = decide(replace(tables, classes=[*tables.classes, "zebra"]))
    assert {finding.target_class for finding in found} == {None, "nurse", "doctor"}
    assert conclude(found).status == "passed"


def test_the_effect_that_leaves_it_open_is_the_one_that_is_shown() -> None:
    tables = evidence("attribute", "yes", "open")
    effects = tables.effects.copy()
    effects.loc[effects["metric"] == "response", ["estimate", "low", "high"]] = (0.01, -0.03, 0.04)
    finding = decide(replace(tables, effects=effects))[0]
    assert finding.evidence["used"].name == "shift"
    assert "(−0.05 to +0.21)" in finding.title


def test_what_both_directions_show_ranks_by_size() -> None:
    shift = {f"s{i}": float(i - 5) for i in range(11)}
    flat = dict.fromkeys(shift, 0.0)
    tables = replace(evidence("attribute", "yes", "both ways"), measurements=measurements(flat, shift))
    finding = next(f for f in decide(tables) if f.target_class == "nurse")
    assert set(finding.samples[:2]) == {"s0", "s10"}
    assert finding.counter_samples[0] == "s5"


def _shown(region_of: dict[str, float], *, metric: str = "area", target_class: str = "nurse") -> pd.DataFrame:
    return (
        measurements({}, {})
        .reindex(range(len(region_of)))
        .assign(
            sample=list(region_of),
            value=list(region_of.values()),
            metric=metric,
            method="gradcam",
            target="predicted",
            target_class=target_class,
            region="hair",
            role="attribute",
        )
    )


def test_what_a_class_never_shows_is_not_asked_there() -> None:
    base = evidence("attribute", "no", "no")
    shown = pd.concat(
        [_shown({"s0": 0.1, "s1": 0.2}), _shown({"s2": NAN, "s3": NAN}, target_class="doctor")],
        ignore_index=True,
    )
    tables = replace(base, measurements=shown)
    assert {cell.target_class for cell in tables.cells("attribute")} == {"", "nurse"}
    nowhere = replace(base, measurements=shown.assign(value=NAN))
    assert {cell.target_class for cell in nowhere.cells("attribute")} == {"", "nurse", "doctor"}
    assert not nowhere.shown(CELL)


def test_a_map_without_mass_hides_no_region() -> None:
    """Its area is not known; the centre of the image lies on a region or beside it whatever the map."""
    empty = pd.concat(
        [
            _shown({"s0": NAN, "s1": 0.2, "s2": NAN}),
            _shown({"s0": 0.0, "s1": 1.0, "s2": NAN}, metric="pointing_centre"),
        ],
        ignore_index=True,
    )
    tables = replace(evidence("attribute", "no", "no"), measurements=empty)
    assert tables.having("hair") == {"s0", "s1"}


def test_a_share_that_is_not_known_is_no_number() -> None:
    assert share(NAN) == "an unknown share"
    assert (share(0.999), share(0.001), share(1.0), share(0.35)) == ("99.9 %", "0.1 %", "100 %", "35 %")
