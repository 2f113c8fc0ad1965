"""How a run was made, and what it cannot show, in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from camaudit.findings import Policy
from camaudit.measure.localisation import POINTING_TOLERANCE
from camaudit.measure.trust import SAME
from camaudit.report import tables, words
from camaudit.statistics import MINIMUM

if TYPE_CHECKING:
    from camaudit.types import AuditedRun, Preprocessing

TOLERANCE = f"{POINTING_TOLERANCE:g}"
"""Of the pointing game, in pixels of the model's input."""
TARGETS = {"predicted": "the predicted class", "label": "the true class"}


def facts(run: AuditedRun) -> list[tuple[str, list[str]]]:
    """Names and values of what decides the numbers; a value of several lines is a list."""
    manifest = run.manifest
    targets = [f"{name} ({TARGETS[name]})" if name in TARGETS else name for name in manifest.targets]
    height, width = manifest.frame
    rows, columns = manifest.grid
    edit = tables.edits(run)
    return [
        ("Run", [manifest.name]),
        ("Model", [manifest.model]),
        ("Classes", [words.listing(manifest.classes)]),
        ("Target layer", [f"{manifest.target_layer}, a grid of {rows} by {columns} cells"]),
        ("Input", [f"{width} by {height} pixels: {preprocessing(manifest.preprocessing)}"]),
        ("Maps", [f"{words.listing(manifest.methods)}; target: {words.listing(targets)}"]),
        ("Edits", [words.listing(edit)] if edit else ["none"]),
        (
            "Regions",
            [
                f"{words.region(name)} ({role}{words.made_by(manifest.made_by.get(name))})"
                for name, role in manifest.roles.items()
            ]
            or ["none"],
        ),
        ("Groups", [words.listing(manifest.groups)] if manifest.groups else ["none"]),
        ("Seed and device", [f"{manifest.seed}, {manifest.device}"]),
        ("Versions", [f"{name} {version}" for name, version in manifest.versions.items()]),
        ("SHA-256", [f"{name} {value}" for name, value in manifest.hashes.items()]),
        ("Time", [f"{name} {words.number(seconds, 1)} s" for name, seconds in manifest.seconds.items()]),
    ]


def paired_facts(a: AuditedRun, b: AuditedRun) -> list[tuple[str, list[str], list[str] | None]]:
    """The facts of two runs, the second one's None where it is the same."""
    return [
        (name, first, None if first == second else second)
        for (name, first), (_, second) in zip(facts(a), facts(b), strict=True)
    ]


def compared(method: str, target: str) -> str:
    """Which maps of two runs are held against each other."""
    return f"The maps that are compared are those of {method}, for {TARGETS.get(target, target)}."


def preprocessing(given: Preprocessing) -> str:
    """The way of an image to the model's input."""

    def size(side: int | tuple[int, int]) -> str:
        return f"to {side[1]} by {side[0]}" if isinstance(side, tuple) else f"the shorter side to {side}"

    steps = [f"{size(given.resize)} ({given.interpolation})"] if given.resize is not None else []
    if given.crop is not None:
        height, width = given.crop if isinstance(given.crop, tuple) else (given.crop, given.crop)
        steps.append(f"centre crop of {width} by {height}")
    mean, deviation = (", ".join(f"{value:g}" for value in values) for values in (given.mean, given.std))
    return "; ".join([*steps, f"mean {mean}", f"standard deviation {deviation}"])


def statistics(run: AuditedRun) -> list[str]:
    """What was counted, how, and how sure it can be."""
    said = [
        "The unit is the image, or the subject where the data names one; never the pixel.",
        (
            "The evidence on a region is the part of the raw map's sum that lies on it. Its chance level is the region's "
            "part of the picture: a map that knows nothing has as much."
        ),
        (
            f"The maximum within {TOLERANCE} px is the pointing game: how often a pixel of the region lies within "
            f"{TOLERANCE} pixels, in the model's input, of the map's maximum. Of several equal maxima the first in "
            "reading order counts."
        ),
        (
            f"Intervals are 95{words.NARROW}% intervals of the mean that allow for skewed values: the hull of Student's and "
            "Hall's. An accuracy's is Wilson's where every image is a unit of its own, or where all are right or all wrong. "
            f"Under {MINIMUM} images no interval is given."
        ),
        (
            "p is the test that belongs to the interval; q is p after Benjamini and Hochberg's correction for the number of "
            "questions asked."
        ),
    ]
    if run.manifest.roles:
        said += thresholds(Policy(), edited=bool(tables.edits(run)))
    if any("trusted" in finding.answers for finding in run.findings):
        said.append(
            f"Trusted is answered no where the map of a model whose head is random has a rank correlation wholly above {SAME:g} "
            "with the model's own, or most maps are empty; yes where that correlation, and that of the wholly random model, lie "
            "wholly below half of what a little noise on the image leaves."
        )
    if tables.edits(run):
        said.append(
            "An edit's shift is what the margin (score of the class minus the best other one, in its standard "
            "deviations over the images) loses when the region is edited, minus what it loses when an equal area "
            "elsewhere is edited: zero means that the place does not matter."
        )
    said.append(
        "Drawn maps are scaled to their own maximum: colours compare places within a picture, not pictures."
    )
    return said


def thresholds(policy: Policy, *, edited: bool) -> list[str]:
    """What the findings are decided by."""
    least = words.number(100 * policy.least_excess, 0)
    said = [
        (
            f"Attended is answered yes where the evidence exceeds the region's share of the area by {least} points or "
            f"more, with an interval above 0 and q ≤ {policy.level:g}; no where the whole interval is below {least} "
            "points. So no means: not more than the area would get by chance. It does not mean that the model is "
            "blind there."
        )
    ]
    if edited:
        said.append(
            f"Used is answered yes where the interval of the shift lies wholly beyond {policy.least_shift:g} SD, or that of its "
            f"size up or down wholly above {policy.least_response:g} SD, and q ≤ {policy.level:g}; no where "
            f"they lie within ± {policy.least_shift:g} SD and ± {policy.least_response:g} SD. Where regions were edited in "
            "several ways, the interval spans them all: they have to agree."
        )
        said.append(
            "Harms is answered yes where more images are right once the attribute is edited away than once as much is edited "
            f"elsewhere, with an interval beyond 0 and q ≤ {policy.level:g}."
        )
    said.append(
        f"Whatever is neither yes nor no cannot be said, nor can anything with fewer than {policy.least_samples} "
        "images."
    )
    return said


def limits(run: AuditedRun) -> list[str]:
    """What a reader must not conclude."""
    rows, columns = run.manifest.grid
    said = [
        (
            "A shortcut that has no place, other than the looks that were measured: a camera's or a scanner's signature, say. "
            "Maps of where cannot show it, and a clean map is no proof that there is none."
        ),
        "Anything outside the annotated regions. What was not outlined was not asked about.",
        f"Details finer than the map. It has {rows} by {columns} cells, and evidence on a small region spills over.",
    ]
    if tables.edits(run):
        said.append(
            "How the model treats real pictures without the region: an edited picture is one it has never met. The "
            "control edits take the mere damage out, where there is room for them."
        )
    if not any("trusted" in finding.answers for finding in run.findings):
        said.append(
            "Whether the maps depend on what the model has learnt at all. The randomisation check, the rung "
            "“trusted”, was not part of this run."
        )
    said.append("Other data. The figures hold for images like these, with these groups in these proportions.")
    return said
