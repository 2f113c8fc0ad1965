"""The sections of the rungs: quadrants, checks of the maps, edits, groups, and what no heatmap shows."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from camaudit.report import believed, judgement, paying, reasons, render, unseen, used, words
from camaudit.report.album import Album
from camaudit.types import Effect
from tests.report.html_reader import Reader
from tests.synthetic_run import FILLS, SyntheticRun

if TYPE_CHECKING:
    from pathlib import Path

    from camaudit.types import Finding, Said, Status

NAN = math.nan


def text(page: str) -> str:
    return " ".join(Reader(page).said)


# ------------------------------------------------------------------ images put together anew


def test_a_kind_that_an_exchange_told_of_stands_beside_the_edits(biased: SyntheticRun) -> None:
    first = next(finding for finding in biased.findings if finding.code == "CAM101")
    told = dataclasses.replace(
        first, title="Hair tells.", evidence={"used": Effect("exchange", 0.5, 0.4, 0.6, 0.0, 0.0, 40)}
    )
    beside = judgement.cards(biased.but(findings=(told, first)), used.EXCHANGED, "exchange")
    assert [card.finding.title for card in beside] == ["Hair tells."]
    assert "Images put together anew" in text(render(biased.but(findings=(told,))))
    assert "Images put together anew" not in text(render(biased.but(findings=(first,))))


# ------------------------------------------------------------------ quadrants


def test_quadrants_are_counted_and_shown_clearest_first(biased: SyntheticRun) -> None:
    found = reasons.reasons(biased, Album(), 2)
    assert found is not None
    table = biased.quadrants
    for quadrant in found.quadrants:
        mine = table[table["quadrant"] == quadrant.name]
        assert quadrant.size == len(mine)
        apart = (mine["object_shift"].fillna(0) - mine["attribute_shift"].fillna(0)).abs()
        expected = mine["sample"][apart.sort_values(ascending=False, kind="stable").index][:2]
        assert [shot.caption.sample for shot in quadrant.shots] == list(expected)
    assert found.known + found.unknown == len(biased.samples)
    assert sum(quadrant.size for quadrant in found.quadrants) == found.known


def test_without_quadrants_the_page_says_why(biased: SyntheticRun) -> None:
    page = text(render(biased.but(quadrants=biased.quadrants.assign(quadrant="unknown"))))
    assert "No image was sorted" in page
    assert "it would fail where the two part" not in page


# ------------------------------------------------------------------ can the maps be believed?


def _trust(finding: Finding, said: Said, status: Status, method: str = "gradcam") -> Finding:
    title = finding.title.replace("gradcam", method)
    return dataclasses.replace(finding, title=title, answers={"trusted": said}, status=status)


def test_checks_stand_in_order_beside_the_ceiling(biased: SyntheticRun) -> None:
    (method,) = believed.believed(biased)
    assert method.method == "gradcam"
    assert [row.name for row in method.rows][:2] == ["a little noise on the image", "the head re-initialised"]
    head = biased.trust.query("check == 'head'")["value"]
    assert method.rows[1].estimate == words.number(float(head.mean()), 2)
    for row in method.rows:
        assert row.plot is not None
        assert 'class="chance"' in row.plot
        assert ('class="band"' in row.plot) == row.meaning.startswith("unlike")
    assert [row.what for row in method.others] == ["maps without any evidence"]


def test_the_methods_stand_in_the_order_of_the_run(biased: SyntheticRun) -> None:
    (own,) = (finding for finding in biased.findings if finding.code == "CAM201")
    both = (_trust(own, "no", "issue", "smooth:gradcam"), own)
    manifest = dataclasses.replace(biased.manifest, methods=("gradcam", "smooth:gradcam"))
    found = believed.believed(biased.but(findings=both, manifest=manifest))
    assert [(method.method, method.card.finding.status) for method in found] == [
        ("gradcam", "passed"),
        ("smooth:gradcam", "issue"),
    ]


def test_gains_over_what_is_no_map_share_an_axis(biased: SyntheticRun) -> None:
    (own,) = (finding for finding in biased.findings if finding.code == "CAM201")
    gains = {f"{curve}_over_random": _effect(value, value - 0.1, value + 0.1) for curve, value in
             (("insertion", 0.3), ("deletion", 0.2))}  # fmt: skip
    more = dataclasses.replace(own, evidence={**own.evidence, **gains})
    (method,) = believed.believed(biased.but(findings=(more,)))
    assert [(row.name, row.estimate, row.interval) for row in method.gains] == [
        ("taken away, against random places", "+0.20", "+0.10 to +0.30"),
        ("given back, against random places", "+0.30", "+0.20 to +0.40"),
    ]
    assert "Does the score follow what the map marks?" in text(render(biased.but(findings=(more,))))


def test_the_accuracy_of_an_edit_is_not_that_of_a_group(biased: SyntheticRun) -> None:
    lost = Effect("accuracy", -0.2, -0.3, -0.1, 0.01, 0.01, 20)
    edited = dataclasses.replace(biased.findings[0], evidence={"harms": lost})
    compared = dataclasses.replace(edited, region=None, role=None)
    said = [judgement.card(biased, finding, {}, None, 0).rows[0].what for finding in (edited, compared)]
    assert said == ["accuracy lost when it is edited away", "difference of the accuracy"]


def test_only_rungs_that_apply_are_climbed(biased: SyntheticRun) -> None:
    (own,) = (finding for finding in biased.findings if finding.code == "CAM201")
    (look,) = (finding for finding in biased.findings if finding.code == "CAM301")
    assert [step.name for step in judgement.ladder(own)] == ["trusted"]
    assert judgement.ladder(look) == ()
    assert len(judgement.ladder(biased.findings[0])) == 4


def test_where_all_methods_fail_the_page_says_so(biased: SyntheticRun) -> None:
    (own,) = (finding for finding in biased.findings if finding.code == "CAM201")
    failed = dataclasses.replace(_trust(own, "no", "issue"), advice="Name another method.")
    page = text(render(biased.but(findings=(failed,))))
    assert "Can the maps be believed?" in page
    assert "Name another method." in page
    assert "not part of this run" not in page


def test_trust_is_not_examined_only_where_it_was_not(biased: SyntheticRun) -> None:
    without = [finding for finding in biased.findings if finding.code != "CAM201"]
    page = text(render(biased.but(findings=without)))
    assert "Not examined in this run" in page
    assert "was not part of this run" in page
    there = text(render(biased))
    assert "Not examined in this run" not in there
    assert "was not part of this run" not in there


# ------------------------------------------------------------------ does the model use it?


def _effect(estimate: float, low: float, high: float, n: int = 20) -> Effect:
    return Effect("shift", estimate, low, high, 0.01, 0.01, n)


@pytest.mark.parametrize(
    ("effects", "expected"),
    [
        ([_effect(0.2, 0.1, 0.3), _effect(0.4, 0.3, 0.6, 12)], (0.3, 0.1, 0.6, 12)),
        ([_effect(0.2, 0.1, 0.3), _effect(NAN, NAN, NAN, 0)], (0.2, 0.1, 0.3, 20)),
        ([_effect(0.2, 0.1, 0.3), _effect(0.4, NAN, NAN, 5)], (0.3, NAN, NAN, 5)),
        ([], (NAN, NAN, NAN, 0)),
    ],
)
def test_the_hull_spans_the_fills(effects: list[Effect], expected: tuple[float, float, float, int]) -> None:
    found = used.hull(effects)
    assert (found.estimate, found.low, found.high, found.n) == pytest.approx(expected, nan_ok=True)


def test_every_fill_has_its_line_and_the_hull_is_last(biased: SyntheticRun) -> None:
    first = used.used_tables(biased)[0]
    assert first.target_class == ""
    rows = {row.region: row for row in first.rows}
    assert set(rows) == {"tool", "hair", "face", "hair+face"}
    assert [line.fill for line in rows["hair+face"].lines] == [*FILLS, "together"]
    table = biased.effects.query(
        "metric == 'shift' and region == 'hair+face' and target_class == '' and group == ''"
    )
    together = rows["hair+face"].lines[-1]
    assert together.estimate == words.amount("shift", float(table["estimate"].mean()))
    low, high = (words.number(value, 2, signed=True) for value in (table["low"].min(), table["high"].max()))
    assert together.interval == f"{low} to {high}"


def test_one_fill_decides_alone(biased: SyntheticRun) -> None:
    one = biased.but(
        effects=biased.effects[biased.effects["method"] != "mean"],
        measurements=biased.measurements[biased.measurements["method"] != "mean"],
    )
    assert {line.fill for row in used.used_tables(one)[0].rows for line in row.lines} == {"blur"}


def test_where_nothing_was_edited_the_page_says_so(biased: SyntheticRun) -> None:
    maps = biased.measurements["method"] == "gradcam"
    page = text(render(biased.but(measurements=biased.measurements[maps])))
    assert "Nothing was edited in this run" in page


# ------------------------------------------------------------------ who pays?


def test_gaps_are_largest_first(biased: SyntheticRun) -> None:
    found = paying.gaps(biased)
    assert found is not None
    first = found.rows[0]
    judged = biased.samples[biased.samples["label"] == "nurse"]
    rates = judged.groupby("group_gender")["correct"].mean()
    assert (first.label, first.group, first.worst, first.best) == ("nurse", "gender", "man", "woman")
    assert first.worst_accuracy == words.rate(float(rates["man"]))
    assert first.estimate == f"{100 * (rates['woman'] - rates['man']):.0f} points"
    assert paying.intersections(biased) == []


def test_intersections_of_two_columns_are_shown_worst_first(biased: SyntheticRun) -> None:
    ages = ["old" if index % 8 < 4 else "young" for index in range(len(biased.samples))]
    run = biased.but(
        samples=biased.samples.assign(group_age=ages),
        manifest=dataclasses.replace(biased.manifest, groups=("gender", "age")),
    )
    (table,) = paying.intersections(run)
    assert table.group == "gender × age"
    shares = [float(row.accuracy.split("\N{NARROW NO-BREAK SPACE}")[0]) for row in table.rows]
    assert shares == sorted(shares)
    assert "Accuracy by class and gender × age" in text(render(run))


# ------------------------------------------------------------------ what no heatmap shows


def test_a_strip_goes_from_the_least_to_the_most(biased: SyntheticRun) -> None:
    found = unseen.looks(biased, Album())
    assert found is not None
    assert found.constant == "resolution"
    names = [look.name for look in found.rows]
    assert "brightness" in names
    look = found.rows[names.index("brightness")]
    values = biased.samples.set_index("sample")["look_brightness"]
    shown = [values[picture.split("<title>")[1].split(";")[0]] for picture in look.strip]
    assert len(shown) == unseen.STRIP
    assert shown == sorted(shown)
    assert (shown[0], shown[-1]) == (values.min(), values.max())
    assert sum(side.n for side in look.sides) == len(values)


@pytest.mark.parametrize("column", [NAN, 3.0])
def test_a_look_that_does_not_vary_is_only_named(biased: SyntheticRun, column: float) -> None:
    names = [name for name in biased.samples if name.startswith("look_")]
    run = biased.but(samples=biased.samples.assign(**dict.fromkeys(names, column)))
    found = unseen.looks(run, Album())
    assert found is not None
    assert found.rows == ()
    assert "The same in every image" in text(render(run))


def test_without_labels_looks_have_pictures_and_no_accuracy(biased: SyntheticRun) -> None:
    found = unseen.looks(biased.but(samples=biased.samples.assign(label=None, correct=None)), Album())
    assert found is not None
    assert all(look.plot is None and look.strip and not look.sides for look in found.rows)


def test_without_looks_the_page_says_so(biased: SyntheticRun) -> None:
    plain = biased.samples.drop(columns=[name for name in biased.samples if name.startswith("look_")])
    rest = [finding for finding in biased.findings if finding.code != "CAM301"]
    assert "was not measured in this run" in text(render(biased.but(samples=plain, findings=rest)))


# ------------------------------------------------------------------ sizes


def test_the_page_does_not_grow_with_the_samples(tmp_path: Path) -> None:
    pages = [render(SyntheticRun(tmp_path, count=count)) for count in (48, 96)]
    images = [len(Reader(page).find("image")) for page in pages]
    assert images[1] <= images[0] * 1.2
    assert len(pages[1]) <= len(pages[0]) * 1.2


def test_a_finding_about_a_whole_column_names_the_column(biased: SyntheticRun) -> None:
    about = dataclasses.replace(biased.findings[0], group={"gender": ""})
    page = render(biased.but(findings=(about,)))
    assert "gender: </span>" not in page
    assert "<span>gender</span>" in page


def test_no_table_holds_a_sample_that_is_not_there(biased: SyntheticRun) -> None:
    empty = pd.DataFrame(columns=list(biased.quadrants)).astype(biased.quadrants.dtypes)
    assert "No image was sorted" in text(render(biased.but(quadrants=empty)))
