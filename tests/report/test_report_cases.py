"""Runs that lack something, and names that were not meant for HTML."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from camaudit.errors import DataError
from camaudit.findings import conclude
from camaudit.report import render, render_comparison
from camaudit.types import Effect
from tests.report.html_reader import Reader
from tests.synthetic_run import SyntheticRun

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

ATTACK = "<script>alert(1)</script>"
QUOTED = "\"'><img src=x onerror=alert(1)>"
LONG = "Krankenhausstationsbettenabteilung" * 4
UNICODE = "看護師 👩🏽‍⚕️ ممرضة"


def text(page: str) -> str:
    return " ".join(Reader(page).said)


@pytest.mark.parametrize("compared", [False, True])
def test_names_are_text(compared: bool, tmp_path: Path, differences: pd.DataFrame) -> None:
    run = SyntheticRun(
        tmp_path, classes=(ATTACK, UNICODE), names=(QUOTED, "a&b", LONG, "{{ 7 * 7 }}"), name=ATTACK
    )
    page = render_comparison(run, run, differences.iloc[:0]) if compared else render(run)
    reader = Reader(page)
    assert not reader.find("script")
    assert not reader.find("img")
    assert not [e for e in reader.elements if "onerror" in e.attributes]
    assert ATTACK in text(page)
    assert UNICODE in text(page)
    assert LONG in text(page)
    assert "a&amp;b" in page
    assert "{{ 7 * 7 }}" in text(page)


def test_no_findings(biased: SyntheticRun) -> None:
    nothing = biased.but(findings=(), verdict=conclude(()))
    assert "This run has no findings." in text(render(nothing))


def test_no_groups(biased: SyntheticRun) -> None:
    samples = biased.samples.drop(columns="group_gender")
    manifest = dataclasses.replace(biased.manifest, groups=())
    page = text(render(biased.but(samples=samples, manifest=manifest)))
    assert "No group column was named" in page
    assert "Accuracy by class" in page


def test_no_object_region(biased: SyntheticRun) -> None:
    roles = {name: role for name, role in biased.manifest.roles.items() if role != "object"}
    run = biased.but(
        manifest=dataclasses.replace(biased.manifest, roles=roles),
        measurements=biased.measurements[biased.measurements["role"] != "object"],
        effects=biased.effects[biased.effects["role"] != "object"],
    )
    page = render(run)
    assert not [e for e in Reader(page).find("path") if "object" in e.attributes.get("class", "")]


def test_no_regions_at_all(biased: SyntheticRun) -> None:
    run = biased.but(
        manifest=dataclasses.replace(biased.manifest, roles={}),
        measurements=biased.measurements.iloc[:0],
        effects=biased.effects.iloc[:0],
        findings=(),
        verdict=conclude(()),
        masks=lambda _: {},
    )
    page = text(render(run))
    assert "No regions were annotated" in page
    assert "by chance" not in page


def test_no_clusters(biased: SyntheticRun) -> None:
    assert "were not clustered" in text(render(biased.but(clusters=biased.clusters.iloc[:0])))


def test_nothing_skipped(biased: SyntheticRun) -> None:
    manifest = dataclasses.replace(biased.manifest, skipped=(), warnings=(), samples=48)
    page = text(render(biased.but(manifest=manifest)))
    assert "No image was skipped." in page
    assert "48 of 48 images audited." in page


def test_no_labels(biased: SyntheticRun, differences: pd.DataFrame) -> None:
    samples = biased.samples.assign(label=None, correct=None)
    run = biased.but(samples=samples)
    assert "there is no accuracy" in text(render(run))
    assert "there is no accuracy" in text(render_comparison(run, run, differences))


def test_what_is_not_known_is_a_dash_with_its_reason(biased: SyntheticRun) -> None:
    nan = math.nan
    findings = [
        dataclasses.replace(
            biased.findings[0],
            status="insufficient",
            effect=None,
            evidence={"attended": Effect("excess", nan, nan, nan, nan, nan, n)},
            answers={"attended": "open"},
        )
        for n in (0, 4, 40)
    ]
    effects = biased.effects.assign(estimate=nan, low=nan, high=nan, p=nan, q=nan)
    page = text(render(biased.but(findings=findings, effects=effects)))
    assert "– n = 0; no image in which it is defined" in page
    assert "– n = 4; too few images for an interval, at least 10 are needed" in page
    assert "– n = 40; too few independent images" in page
    assert "nan" not in page.lower()


def test_maps_without_mass(biased: SyntheticRun, differences: pd.DataFrame) -> None:
    empty = dataclasses.replace(biased.attribution("img_000"), values=np.zeros((7, 7), dtype=np.float32))
    run = biased.but(attribution=lambda *_, **__: empty, clusters=biased.clusters.iloc[:0])
    assert "Issue" in text(render(run))
    assert "No image has a map with evidence" in text(render_comparison(run, run, differences))


def test_unknown_exemplars_are_left_out(biased: SyntheticRun) -> None:
    finding = dataclasses.replace(
        biased.findings[0], samples=("nobody", "img_001"), counter_samples=("nobody",)
    )
    assert "nobody" not in text(render(biased.but(findings=(finding,))))


def test_many_findings_are_counted(biased: SyntheticRun) -> None:
    findings = tuple(biased.findings) * 100
    page = text(render(biased.but(findings=findings)))
    assert "And 39 more, in the run’s findings.json." in page
    assert len(render(biased.but(findings=findings))) < 3_000_000


def test_pictures_larger_than_the_frame(tmp_path: Path) -> None:
    page = render(SyntheticRun(tmp_path, original=(160, 128)))
    sizes = {(e.attributes["width"], e.attributes["height"]) for e in Reader(page).find("image")}
    assert sizes == {("64", "64")}


def test_runs_without_a_common_sample_cannot_be_compared(
    biased: SyntheticRun, differences: pd.DataFrame
) -> None:
    other = biased.but(samples=biased.samples.assign(sample="other_" + biased.samples["sample"]))
    with pytest.raises(DataError, match="no sample in common"):
        render_comparison(biased, other, differences)
