"""Export to a real MongoDB."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from camaudit.browse import remove, to_fiftyone
from camaudit.browse.content import REASONS
from camaudit.errors import DataError, RunError
from camaudit.types import Box, Polygon, Region, Sample
from tests.synthetic_run import SyntheticRun

if TYPE_CHECKING:
    from collections.abc import Sequence

    from camaudit.types import AttributionMap

pytestmark = pytest.mark.mongo


REASON_VIEWS = ("biased: right, for", "biased: wrong, for")


def by_sample(exported: object, field: str, key: str = "biased") -> dict[str, object]:
    return dict(zip(exported.values(f"{key}_sample"), exported.values(field), strict=True))  # type: ignore[attr-defined]


def test_every_sample_is_there_with_its_image(biased: SyntheticRun, dataset: str) -> None:
    exported = to_fiftyone(biased, dataset)
    assert exported.name == dataset
    assert exported.persistent
    images = {sample: Path(path) for sample, path in by_sample(exported, "filepath").items()}
    assert images == {sample: biased.source(sample).image for sample in biased.samples["sample"]}
    assert exported.values("metadata.width") == [90] * 16


def test_predictions_carry_confidence_and_whether_they_are_right(biased: SyntheticRun, dataset: str) -> None:
    exported = to_fiftyone(biased, dataset)
    table = biased.samples.set_index("sample")
    for sample, prediction in by_sample(exported, "biased_prediction").items():
        row = table.loc[sample]
        assert prediction.label == row["predicted"]
        assert prediction.confidence == pytest.approx(row["confidence"])
        assert prediction.correct == row["correct"]
    assert exported.match({"biased_prediction.correct": False}).count() == (~biased.samples["correct"]).sum()
    assert set(exported.distinct("biased_label.label")) == {"doctor", "nurse"}


def test_heatmaps_are_files_on_a_fixed_scale_beside_the_run(biased: SyntheticRun, dataset: str) -> None:
    exported = to_fiftyone(biased, dataset)
    for target in ("predicted", "label"):
        for heatmap in exported.values(f"biased_gradcam_{target}"):
            assert heatmap.map is None
            assert heatmap.range == [0, 255]
            assert Path(heatmap.map_path).is_relative_to(biased.path / "media" / "heatmaps")
            with Image.open(heatmap.map_path) as picture:
                assert picture.mode == "L"
                pixels = np.asarray(picture)
            assert pixels.shape == (64, 90)
            assert pixels.max() > 240
            assert (pixels[:, :13] == 0).all()  # the model saw the 64 columns in the middle
            assert (pixels[:, 77:] == 0).all()


def test_regions_are_masks_with_a_role(biased: SyntheticRun, dataset: str) -> None:
    exported = to_fiftyone(biased, dataset)
    for sample, detections in by_sample(exported, "biased_regions").items():
        assert {d.label: d.role for d in detections.detections}.items() <= biased.roles.items()
        for detection in detections.detections:
            (shape,) = (r.shape for r in biased.source(sample).regions if r.name == detection.label)
            with Image.open(shape.path) as picture:
                truth = np.isin(np.asarray(picture), shape.values)
            left, top, width, height = (
                round(share * side)
                for share, side in zip(detection.bounding_box, (90, 64, 90, 64), strict=True)
            )
            painted = np.zeros((64, 90), dtype=bool)
            painted[top : top + height, left : left + width] = detection.mask
            assert (painted == truth).all()


def test_context_is_not_outlined(biased: SyntheticRun, dataset: str) -> None:
    exported = to_fiftyone(biased, dataset)
    assert set(exported.distinct("biased_outlines.polylines.role")) == {"object", "attribute"}


def test_regions_may_be_boxes_polygons_and_arrays(biased: SyntheticRun, dataset: str) -> None:
    array = np.zeros((64, 90), dtype=bool)
    array[10:20, 30:60] = True
    corners = ((30.0, 10.0), (60.0, 10.0), (60.0, 20.0), (30.0, 20.0))
    shapes: Sequence[object] = (
        array,
        Box(30, 10, 30, 10),
        Polygon((corners,)),
        np.zeros((64, 90), dtype=bool),
    )
    regions = tuple(Region(f"part{i}", "object", shape) for i, shape in enumerate(shapes))

    class Shaped(SyntheticRun):
        def source(self, sample: str) -> Sample:
            old = super().source(sample)
            return Sample(old.id, old.image, old.label, old.groups, regions)

    biased.__class__ = Shaped
    exported = to_fiftyone(biased, dataset)
    detections = exported.first()["biased_regions"].detections
    assert [d.label for d in detections] == ["part0", "part1", "part2"]  # the empty mask is not drawn
    for detection in detections:
        assert detection.bounding_box == pytest.approx([30 / 90, 10 / 64, 30 / 90, 10 / 64])
        assert detection.mask.all()


def test_measures_are_numbers_that_can_be_filtered(biased: SyntheticRun, dataset: str) -> None:
    exported = to_fiftyone(biased, dataset)
    table = biased.measurements.query("target == 'predicted'")
    for metric in ("mass", "excess", "shift"):
        for region in ("tool", "hair", "face", "hair+face"):
            rows = table[(table["metric"] == metric) & (table["region"] == region)].dropna(subset="value")
            truth = rows.groupby("sample")["value"].mean().to_dict()  # over the fills
            field = f"biased_{metric}_{region.replace('+', '_and_')}"
            stored = {
                sample: value for sample, value in by_sample(exported, field).items() if value is not None
            }
            assert stored == pytest.approx(truth)
    assert "biased_mass_coat" not in exported.get_field_schema()  # context


def test_groups_and_clusters_are_text(biased: SyntheticRun, dataset: str) -> None:
    exported = to_fiftyone(biased, dataset)
    assert exported.distinct("biased_group_gender") == ["man", "woman"]
    clusters = {row.sample: f"{row.target_class} {row.cluster + 1}" for row in biased.clusters.itertuples()}
    assert by_sample(exported, "biased_cluster") == clusters


def test_findings_are_saved_views(biased: SyntheticRun, dataset: str) -> None:
    exported = to_fiftyone(biased, dataset)
    issue = biased.findings[0]
    base = "biased: CAM101 nurse hair+face issue"
    assert exported.load_saved_view(f"{base}, exemplars").values("biased_sample") == list(issue.samples)
    counter = exported.load_saved_view(f"{base}, counter-exemplars")
    assert counter.values("biased_sample") == list(issue.counter_samples)
    concerned = exported.load_saved_view(f"{base}, all")
    assert concerned.distinct("biased_prediction.label") == ["nurse"]
    shifts = [value for value in concerned.values("biased_shift_hair_and_face") if value is not None]
    assert shifts == sorted(shifts, reverse=True)
    assert exported.get_saved_view_info(f"{base}, all")["description"] == issue.title


def test_quadrants_are_labels_and_views_of_their_own_colour(biased: SyntheticRun, dataset: str) -> None:
    exported = to_fiftyone(biased, dataset)
    table = biased.quadrants.set_index("sample")
    labels = {sample: value.label for sample, value in by_sample(exported, "biased_quadrant").items()}
    assert labels == {sample: REASONS[quadrant] for sample, quadrant in table["quadrant"].items()}
    views = {
        name: exported.load_saved_view(name) for name in exported.list_saved_views() if ", for the" in name
    }
    assert {name.removeprefix("biased: ") for name in views} == set(labels.values()) - {REASONS["unknown"]}
    for name, view in views.items():
        samples = view.values("biased_sample")
        assert {labels[sample] for sample in samples} == {name.removeprefix("biased: ")}
        assert len(samples) == list(labels.values()).count(name.removeprefix("biased: "))
        apart = (table["object_shift"].fillna(0) - table["attribute_shift"].fillna(0)).abs()[samples]
        assert apart.is_monotonic_decreasing
    (scheme,) = (e for e in exported.app_config.color_scheme.fields if e["path"] == "biased_quadrant")
    colours = {entry["value"]: entry["color"] for entry in scheme["valueColors"]}
    assert set(colours) == set(REASONS.values())
    assert len(set(colours.values())) == len(colours)


def test_looks_are_numbers(biased: SyntheticRun, dataset: str) -> None:
    exported = to_fiftyone(biased, dataset)
    looks = [column for column in biased.samples if column.startswith("look_")]
    assert looks
    for column in looks:
        stored = by_sample(exported, f"biased_{column}")
        assert stored == pytest.approx(
            dict(zip(biased.samples["sample"], biased.samples[column], strict=True))
        )
    (numbers,) = (group for group in exported.app_config.sidebar_groups if group.name == "biased numbers")
    assert {f"biased_{column}" for column in looks} <= set(numbers.paths)


def test_a_finding_about_a_group_shows_its_true_class_the_errors_first(tmp_path: Path, dataset: str) -> None:
    run = SyntheticRun(tmp_path, count=16)
    (harm,) = (finding for finding in run.findings if finding.code == "CAM401")
    (name,) = (
        view
        for view in to_fiftyone(run, dataset).list_saved_views()
        if "CAM401" in view and view.endswith(", all")
    )
    import fiftyone

    view = fiftyone.load_dataset(dataset).load_saved_view(name)
    assert view.distinct("biased_label.label") == [harm.target_class]
    assert view.distinct("biased_group_gender") == ["man"]
    right = view.values("biased_prediction.correct")
    assert right == sorted(right)
    assert False in right
    assert len(right) == 4


def test_the_layout_is_a_visualisation(biased: SyntheticRun, dataset: str) -> None:
    exported = to_fiftyone(biased, dataset)
    results = exported.load_brain_results("biased_layout")
    assert results.points.shape == (16, 2)


def test_the_app_shows_the_audit_at_first_sight(biased: SyntheticRun, dataset: str) -> None:
    exported = to_fiftyone(biased, dataset)
    config = exported.app_config
    assert set(config.active_fields.paths) == {
        "biased_prediction",
        "biased_label",
        "biased_outlines",
        "biased_gradcam_predicted",
    }
    assert [group.name for group in config.sidebar_groups][:2] == ["biased", "biased numbers"]
    fields = [path for group in config.sidebar_groups for path in group.paths]
    assert len(fields) == len(set(fields))


def test_two_runs_lie_side_by_side(biased: SyntheticRun, balanced: SyntheticRun, dataset: str) -> None:
    to_fiftyone(biased, dataset)
    both = to_fiftyone(balanced, dataset, overwrite=True)  # nothing is there to be replaced, and that is fine
    assert len(both) == 16
    assert both.list_runs() == ["balanced", "biased"]
    assert by_sample(both, "biased_sample") == {s: s for s in by_sample(both, "biased_sample", "balanced")}
    assert both.exists("biased_gradcam_predicted").exists("balanced_gradcam_predicted").count() == 16
    remove(dataset, "biased")
    both.reload()
    assert both.list_runs() == ["balanced"]
    assert not any(field.startswith("biased_") for field in both.get_field_schema())
    assert not any(view.startswith("biased: ") for view in both.list_saved_views())
    assert both.exists("balanced_gradcam_predicted").count() == 16
    assert not any("biased" in group.name for group in both.app_config.sidebar_groups)


def test_a_run_joins_a_dataset_of_the_users_that_holds_its_images(biased: SyntheticRun, dataset: str) -> None:
    import fiftyone

    theirs = fiftyone.Dataset(dataset)
    paths = [str(biased.source(sample).image) for sample in biased.samples["sample"]]
    theirs.add_samples([fiftyone.Sample(filepath=path, mine=1.0) for path in reversed(paths)], progress=False)
    before = (theirs.get_field_schema().keys(), theirs.app_config.to_dict(), theirs.info)
    exported = to_fiftyone(biased, dataset, key="a")
    images = by_sample(exported, "filepath", "a")
    assert images == {s: str(biased.source(s).image) for s in biased.samples["sample"]}
    remove(dataset, "a")
    theirs.reload()
    assert (theirs.get_field_schema().keys(), theirs.app_config.to_dict(), theirs.info) == before
    assert len(theirs) == 16


def test_another_dataset_is_refused(biased: SyntheticRun, dataset: str, tmp_path: Path) -> None:
    import fiftyone

    theirs = fiftyone.Dataset(dataset)
    theirs.add_samples([fiftyone.Sample(filepath=str(tmp_path / "cat.jpg"))], progress=False)
    with pytest.raises(RunError, match="holds other images: 16 of the run's 16"):
        to_fiftyone(biased, dataset)
    assert not any(field.startswith("biased") for field in theirs.get_field_schema())
    assert not (biased.path / "media").exists()


def test_a_key_is_taken_once(biased: SyntheticRun, dataset: str) -> None:
    to_fiftyone(biased, dataset)
    with pytest.raises(RunError, match="already holds a run under the key 'biased'"):
        to_fiftyone(biased, dataset)
    again = to_fiftyone(biased.but(findings=()), dataset, overwrite=True)
    assert all(view.startswith(("biased: pattern ", *REASON_VIEWS)) for view in again.list_saved_views())
    assert again.list_runs() == ["biased"]


def test_replacing_one_run_keeps_the_other(
    biased: SyntheticRun, balanced: SyntheticRun, dataset: str
) -> None:
    to_fiftyone(biased, dataset)
    to_fiftyone(balanced, dataset)
    again = to_fiftyone(biased.but(findings=()), dataset, overwrite=True)
    assert again.list_runs() == ["balanced", "biased"]
    assert len(again) == 16
    assert again.list_saved_views()
    assert all(
        view.startswith(("balanced: ", "biased: pattern ", *REASON_VIEWS))
        for view in again.list_saved_views()
    )
    names = [group.name for group in again.app_config.sidebar_groups]
    assert len(names) == len(set(names))


def test_a_users_field_is_not_overwritten(biased: SyntheticRun, dataset: str) -> None:
    exported = to_fiftyone(biased, dataset, key="a")
    exported.add_sample_field("b_notes", __import__("fiftyone").StringField)
    with pytest.raises(RunError, match="has a field 'b_notes' that camaudit did not make"):
        to_fiftyone(biased, dataset, key="b")


def test_remove_leaves_no_trace(biased: SyntheticRun, dataset: str) -> None:
    import fiftyone

    to_fiftyone(biased, dataset)
    remove(dataset, "biased")
    assert not fiftyone.dataset_exists(dataset)
    assert not (biased.path / "media").exists()


def test_a_run_is_removed_by_its_name_as_well(tmp_path: Path, dataset: str) -> None:
    import fiftyone

    to_fiftyone(SyntheticRun(tmp_path, count=16, name="Run-7 b"), dataset)
    remove(dataset, "Run-7 b")
    assert not fiftyone.dataset_exists(dataset)


def test_remove_keeps_what_a_person_tagged(biased: SyntheticRun, dataset: str) -> None:
    exported = to_fiftyone(biased, dataset)
    exported.limit(2).tag_samples("wrong label")
    remove(dataset, "biased")
    exported.reload()
    assert exported.count_sample_tags() == {"wrong label": 2}
    assert set(exported.get_field_schema()) == {
        "id", "filepath", "tags", "metadata", "created_at", "last_modified_at",
    }  # fmt: skip
    assert exported.info == {}
    assert exported.list_runs() == exported.list_saved_views() == exported.list_brain_runs() == []


def test_remove_names_the_keys_there_are(biased: SyntheticRun, dataset: str) -> None:
    with pytest.raises(RunError, match="There is no FiftyOne dataset"):
        remove(dataset, "a")
    to_fiftyone(biased, dataset)
    with pytest.raises(RunError, match="Its keys are: biased"):
        remove(dataset, "a")


@pytest.mark.parametrize("there", [False, True])
def test_an_export_that_fails_leaves_nothing(
    biased: SyntheticRun, balanced: SyntheticRun, dataset: str, there: bool
) -> None:
    import fiftyone

    if there:
        to_fiftyone(balanced, dataset)
    image = biased.source("img_007").image
    aside = image.with_suffix(".aside")
    image.rename(aside)
    with pytest.raises(DataError, match="img_007"):
        to_fiftyone(biased, dataset)
    aside.rename(image)
    assert fiftyone.dataset_exists(dataset) == there
    assert not (biased.path / "media" / "heatmaps").exists()
    if there:
        left = fiftyone.load_dataset(dataset)
        assert not any(field.startswith("biased_") for field in left.get_field_schema())
        assert left.list_runs() == ["balanced"]


def test_an_export_that_fails_leaves_the_run_whose_key_begins_like_its_own(
    biased: SyntheticRun, balanced: SyntheticRun, dataset: str
) -> None:
    whole = to_fiftyone(balanced, dataset, key="a_b")
    fields, views = set(whole.get_field_schema()), whole.list_saved_views()
    image = biased.source("img_007").image
    aside = image.with_suffix(".aside")
    image.rename(aside)
    with pytest.raises(DataError, match="img_007"):
        to_fiftyone(biased, dataset, key="a")
    aside.rename(image)
    whole.reload()
    assert set(whole.get_field_schema()) == fields
    assert whole.list_saved_views() == views
    assert whole.count_values("a_b_sample") != {None: 16}


def test_names_in_other_scripts_do_not_take_each_others_place(tmp_path: Path, dataset: str) -> None:
    run = SyntheticRun(tmp_path, count=16, classes=("医師", "看護師"), names=("器具", "髪", "顔", "白衣"))
    targets = ("predicted", "class:医師", "class:看護師")
    groups = {"group_性別": run.samples["group_gender"], "group_年齢": "若い"}
    samples = run.samples.drop(columns="group_gender").assign(**groups)
    manifest = dataclasses.replace(run.manifest, targets=targets, groups=("性別", "年齢"))

    def attribution(sample: str, method: str | None = None, target: str | None = None) -> AttributionMap:
        return plain(sample, method, "label" if target == targets[2] else "predicted")

    plain = run.attribution
    found = [
        dataclasses.replace(run.findings[0], target_class=name, group={"性別": value})
        for name in ("医師", "看護師")
        for value in ("man", "woman")
    ]
    verdict = dataclasses.replace(run.verdict, finding=0)
    exported = to_fiftyone(
        run.but(samples=samples, manifest=manifest, attribution=attribution, findings=found, verdict=verdict),
        dataset,
        key="a",
    )
    assert set(exported.distinct("a_group_性別")) == {"man", "woman"}
    assert exported.distinct("a_group_年齢") == ["若い"]
    paths = [{h.map_path for h in exported.values(f"a_gradcam_class_{name}")} for name in ("医師", "看護師")]
    assert len(paths[0] | paths[1]) == 32
    listed = {view for view in exported.list_saved_views() if ", all" in view}
    assert len(listed) == 4
    for view in listed:
        assert len(set(exported.load_saved_view(view).values("a_group_性別"))) <= 1


def test_clusters_are_saved_views_with_the_exemplars_first(biased: SyntheticRun, dataset: str) -> None:
    exported = to_fiftyone(biased, dataset)
    for (name, index), part in biased.clusters.groupby(["target_class", "cluster"]):
        view = f"biased: pattern {name} {index + 1}"
        members = exported.load_saved_view(view)
        assert members.values("biased_sample") == list(part.sort_values("rank")["sample"])
        assert members.values("biased_cluster_rank") == [float(place) for place in range(len(part))]
        shown = [heatmap is not None for heatmap in members.values("biased_cluster_map")]
        assert shown == [place < 6 for place in range(len(part))]
        description = exported.get_saved_view_info(view)["description"]
        assert description.startswith(f"{len(part)} image")
        for said in ("of them wrong", "of the evidence on tool", "of the evidence on hair"):
            assert said in description
        assert "hair+face" not in description


def test_a_view_with_a_long_name_is_saved(biased: SyntheticRun, dataset: str) -> None:
    long = [
        dataclasses.replace(biased.findings[0], region=f"{'region+' * 30}{end}") for end in ("hair", "face")
    ]
    exported = to_fiftyone(biased.but(findings=long), dataset)
    assert sum(view.endswith(", all") or ", all (" in view for view in exported.list_saved_views()) == 2
