"""What the App shows at first sight: the image, the heatmap, the outlines and the prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from camaudit.browse.content import REASONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from camaudit.browse.content import Content
    from camaudit.browse.names import Names

GREEN, RED, GREY, BLUE = "#2fbf71", "#ff4d4f", "#7d848c", "#4d9de0"
MAGENTA = "#e026d4"  # stands out on hot and cold alike
AMBER = "#e5a323"
REASON_COLOURS = {
    "right_right": GREEN,
    "right_wrong": AMBER,
    "wrong_right": BLUE,
    "wrong_wrong": RED,
    "unknown": GREY,
}
ROLE_COLOURS = {"object": GREEN, "attribute": MAGENTA, "context": GREY}
# Cold to hot, as in the papers; the App knows no transparent colours, but paints nothing where a map is 0.
HEAT = ("#4669e1", "#26a5f0", "#1ae4b6", "#a4fc3b", "#fbd338", "#f98a1e", "#e0301a")


def dress(dataset: Any, fiftyone: Any, names: Names, content: Content, key_groups: Sequence[str]) -> None:
    """Adds the run's fields to the dataset's appearance in the App, and shows the run at first sight.

    Args:
        dataset: with the fields of the run; what its user has set up for other fields stays.
        fiftyone: the module.
        names: of the run's fields.
        content: of the run's fields.
        key_groups: names of sidebar groups of the run, for labels and for numbers.
    """
    config = dataset.app_config
    config.active_fields = fiftyone.ActiveFields(paths=_first_sight(names, content))
    config.color_scheme = _colours(config.color_scheme, fiftyone, names, content)
    config.sidebar_groups = _sidebar(dataset, fiftyone, content, key_groups)
    dataset.save()


def undress(
    dataset: Any, fiftyone: Any, fields: Sequence[str], key_groups: Sequence[str], had: dict[str, bool]
) -> None:
    """Takes a run's fields out of the dataset's appearance.

    Args:
        dataset: the dataset.
        fiftyone: the module.
        fields: of the run.
        key_groups: names of the run's sidebar groups.
        had: which parts of the appearance the dataset had before any run; the others become FiftyOne's default where
            nothing is left in them.
    """
    config = dataset.app_config
    if config.sidebar_groups:
        config.sidebar_groups = [group for group in config.sidebar_groups if group.name not in key_groups]
    scheme = config.color_scheme
    if scheme is not None:
        scheme.fields = [entry for entry in scheme.fields or () if entry["path"] not in fields]
        scheme.colorscales = [entry for entry in scheme.colorscales or () if entry["path"] not in fields]
        if not had["color_scheme"] and not scheme.fields and not scheme.colorscales:
            config.color_scheme = None
    if config.active_fields is not None:
        config.active_fields.paths = [path for path in config.active_fields.paths or () if path not in fields]
        if not config.active_fields.paths and not had["active_fields"]:
            config.active_fields = None
    ours = {group.name for group in fiftyone.DatasetAppConfig.default_sidebar_groups(dataset)}
    if not had["sidebar_groups"] and {group.name for group in config.sidebar_groups or ()} <= ours:
        config.sidebar_groups = None
    dataset.save()


def appearance(dataset: Any) -> dict[str, bool]:
    """Which parts of the dataset's appearance are set."""
    config = dataset.app_config
    parts = ("active_fields", "color_scheme", "sidebar_groups")
    return {part: getattr(config, part) is not None for part in parts}


def _first_sight(names: Names, content: Content) -> list[str]:
    fields = content.fields()
    wanted = [names.prediction, names.label, names.outlines, *list(content.heatmaps)[:1]]
    return [name for name in wanted if name in fields]


def _colours(scheme: Any, fiftyone: Any, names: Names, content: Content) -> Any:
    if scheme is None:
        scheme = fiftyone.ColorScheme(
            color_by="value", opacity=0.6, multicolor_keypoints=False, show_skeletons=False
        )
    roles = [{"value": role, "color": colour} for role, colour in ROLE_COLOURS.items()]
    verdicts = [{"value": "true", "color": GREEN}, {"value": "false", "color": RED}]
    known = {label.label for label in content.labels[names.label].values()}
    classes = [{"value": label, "color": GREY} for label in sorted(known)]
    reasons = [{"value": REASONS[name], "color": colour} for name, colour in REASON_COLOURS.items()]
    entries: dict[str, dict[str, Any]] = {
        names.outlines: {"colorByAttribute": "role", "valueColors": roles},
        names.regions: {"colorByAttribute": "role", "valueColors": roles},
        names.prediction: {"colorByAttribute": "correct", "valueColors": verdicts, "fieldColor": BLUE},
        names.quadrant: {"colorByAttribute": "label", "valueColors": reasons, "fieldColor": GREY},
        names.label: {"fieldColor": GREY, "colorByAttribute": "label", "valueColors": classes},
    }
    fields = content.fields()
    ours = [{"path": name, **entry} for name, entry in entries.items() if name in fields]
    stops = [{"value": index / (len(HEAT) - 1), "color": _rgb(colour)} for index, colour in enumerate(HEAT)]
    scales: list[dict[str, Any]] = [
        {"path": name, "list": stops} for name in (*content.heatmaps, names.cluster_map)
    ]
    replaced = {entry["path"] for entry in (*ours, *scales)}
    scheme.fields = [entry for entry in scheme.fields or () if entry["path"] not in replaced] + ours
    scheme.colorscales = [
        entry for entry in scheme.colorscales or () if entry["path"] not in replaced
    ] + scales
    return scheme


def _sidebar(dataset: Any, fiftyone: Any, content: Content, key_groups: Sequence[str]) -> list[Any]:
    """The run's groups first, then what the dataset had; a field stands in one group only."""
    fields = content.fields()
    audit = [
        *content.labels,
        *content.reasons,
        *reversed(list(content.regions)),
        *content.heatmaps,
        *content.clusters,
    ]
    numbers = [*content.groups, *content.scores, *content.looks, *content.record]
    groups = [
        fiftyone.SidebarGroupDocument(
            name=name, paths=[path for path in paths if path in fields], expanded=True
        )
        for name, paths in zip(key_groups, (audit, numbers), strict=True)
    ]
    rest = dataset.app_config.sidebar_groups or fiftyone.DatasetAppConfig.default_sidebar_groups(dataset)
    for group in rest:
        if group.name in key_groups:
            continue
        group.paths = [path for path in group.paths if path.split(".")[0] not in fields]
        groups.append(group)
    return groups


def _rgb(colour: str) -> str:
    return "rgb({}, {}, {})".format(*(int(colour[start : start + 2], 16) for start in (1, 3, 5)))
