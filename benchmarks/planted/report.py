"""``docs/validity.md`` from the table of audited models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.planted import grid, pictures, rates, table
from benchmarks.planted.shortcuts import GLOBAL, LOCAL
from benchmarks.planted.truth import BIASED, CLEAN
from camaudit.findings import Policy

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd

    from benchmarks.planted.rates import Rate

LEAST: Final = Policy().least_shift
DOCS: Final = Path(__file__).parents[2] / "docs"
STAGES: Final = ("measure", "trust", "effects", "clusters", "findings", "report")


def write(out: Path | None = None, goal: Path = DOCS) -> Path:
    """Write the page and its pictures.

    Args:
        out: a folder of results; the committed table is made anew from it. None: the committed table as it is.
        goal: the folder of the page.
    """
    if out is not None:
        table.save(table.gather(out))
    models, cells = table.load()
    models = models[models["portion"] == "reported"]
    cells = cells[cells["portion"] == "reported"]
    main = rates.main_table(models)
    pictures.dose_and_response(main, goal / "validity-dose.png")
    pictures.by_strength(main, goal / "validity-strength.png")
    pictures.severities(main, goal / "validity-severity.png")
    page = goal / "validity.md"
    page.write_text(text(models, rates.main_table(cells)), encoding="utf-8")
    return page


def text(models: pd.DataFrame, cells: pd.DataFrame) -> str:
    """The page.

    Args:
        models: one row an audit, see `benchmarks.planted.table`.
        cells: one row a cell with an interval, of the main table's models.
    """
    main = rates.main_table(models)
    return (
        "\n\n".join(
            [
                _opening(models, main),
                "## The bounds\n\n" + _bounds(main, cells),
                "![Dose and response](validity-dose.png)",
                "## Shortcut by shortcut\n\n" + _shortcuts(main),
                "![Rates by strength](validity-strength.png)",
                "## Traps\n\n" + _traps(main),
                "## Intervals\n\n" + _intervals(cells),
                "## Severity and exemplars\n\n" + _severity(main),
                "## Beside other decisions\n\n" + _peers(main),
                "![Maps and edits](validity-severity.png)",
                "## Fewer and more images\n\n" + _varied(models, "images", (30, 100, 300, 1000)),
                "## Sloppy masks\n\n"
                + _varied(models, "masks", ("exact", "dilated", "eroded", "shifted", "boxes", "missing")),
                "## Three verdicts\n\n" + _worked(main),
                "## What each rung costs\n\n" + _costs(main),
                _LIMITS,
            ]
        )
        + "\n"
    )


def _opening(models: pd.DataFrame, main: pd.DataFrame) -> str:
    kinds = main["kind"].value_counts()
    local = main[main["shortcut"].isin(LOCAL)]["kind"].value_counts()
    families = ", ".join(f"{count} {name}" for name, count in main["family"].value_counts().items())
    planned = sum(len(jobs) for _, jobs in grid.whole())
    part = f"\n**{len(models)} of {planned} planned audits.**\n" if len(models) < planned else ""
    return f"""# Is the verdict right?
{part}
Shortcuts are planted into photographs, models are trained on them, and `camaudit.audit` is run on each as a user would run it:
{len(models)} audits, {len(main)} of them of 300 images with exact masks ({families}), which is what all figures are about
unless they say otherwise.

- **Tasks**: waterbird or landbird, mammal or bird, nurse or doctor. Cut-outs (or drawn people) in photographed places; kinds and places
  of the test images occur neither in training nor in what the benchmark was developed on.
- **Shortcuts**: {", ".join(LOCAL)} (with a region), {", ".join(GLOBAL)} (without one), in 50 to 100 % of the training
  images in agreement with the label; 50 % is none.
- **Truth** is not the planting but its effect: each of 600 test images is drawn twice, without and with the shortcut. The mean shift
  of the margin between the two, in standard deviations, makes a model *biased* (above {BIASED}), *clean* (below {CLEAN}) or
  neither, where either verdict is right: {kinds.get("biased", 0)}, {kinds.get("clean", 0)} and {kinds.get("between", 0)} models (of
  those with a local shortcut {local.get("biased", 0)}, {local.get("clean", 0)} and {local.get("between", 0)}).
- **Held out**: rules and thresholds were developed on other cut-outs, scenes and skin tones (`--portion development`), and mended
  three times after reported audits had been looked at: after 24 of them, after the first 17 of another run (what every image has,
  controls, pastes), and after a whole table, for the rim of an edit, which is nothing where images are not resized. None of those
  is in this table: small networks are of seeds from {grid.FIRST_REPORTED_SEED} on, pretrained ones, which see the images as they are, from {grid.FIRST_PRETRAINED_SEED}
  on. The kinds of which that table had few biased models (background, head, JPEG, object) were then given more strong plantings.
  After this table had been made, a review of the code, not of the table, found rules to mend, above all the interval of an exchange
  whose donors' subjects are of both kinds, which was too narrow. 129 of its audits, among them all of the main table's with heads, frames and
  backgrounds, were made again and took their places; six verdicts changed, all about heads of models that are clean or between.
- **Families**: *frozen*: EfficientNet-Lite0 with its ImageNet weights at 128 pixels and a new linear head; *tuned*: its last stage
  trained too; *cnn* and *vit*: a small network and a small vision transformer, at 64 pixels, trained from scratch.

Made by `python -m benchmarks.planted --full`, then `--report`. Intervals are 95 %: Wilson's of a proportion, else a bootstrap that
draws whole test sets, since their models share images."""


def _bounds(main: pd.DataFrame, cells: pd.DataFrame) -> str:
    local, unseen = main[main["shortcut"].isin(LOCAL)], main[main["shortcut"].isin(GLOBAL)]
    biased, clean = local[local["kind"] == "biased"], local[local["kind"] == "clean"]
    hidden = unseen[unseen["kind"] == "biased"]
    clean_all = main[main["kind"] == "clean"]
    rows = [
        (
            "a biased model with a local shortcut is found, at rung used",
            "≥ 0.95",
            rates.proportion(biased["used"]),
        ),
        ("a clean one, traps included, is called used", "≤ 0.02", rates.proportion(clean["used"])),
        (
            "the same of all clean models, global shortcuts included",
            "≤ 0.02",
            rates.proportion(clean_all["used"]),
        ),
        (
            "a biased model with a global shortcut: not visible to a heatmap",
            "≥ 0.9",
            rates.proportion(hidden["invisible"]),
        ),
        ("it is called passed", "never", rates.proportion(hidden["verdict"] == "passed")),
        (
            "a 95 % interval holds what the twins say",
            "≥ 0.9",
            rates.bootstrapped(cells, rates.COVERED, rates.coverage),
        ),
        (
            "rank correlation of edits and twins",
            "≥ 0.9",
            rates.bootstrapped(local, ("estimate", "effect"), rates.rank_correlation),
        ),
    ]
    return _markdown(("", "bound", "measured", ""), [(a, b, c.text(3), _met(b, c)) for a, b, c in rows])


def _met(bound: str, found: Rate) -> str:
    if found.n == 0:
        return "not measured"
    if bound == "never":
        return "met" if found.estimate == 0 else "**missed**"
    limit = float(bound.split()[1])
    return (
        "met" if (found.estimate >= limit if bound[0] == "≥" else found.estimate <= limit) else "**missed**"
    )


def _shortcuts(main: pd.DataFrame) -> str:
    rows = []
    for name in (*LOCAL, *GLOBAL):
        of = main[main["shortcut"] == name]
        biased, clean = of[of["kind"] == "biased"], of[of["kind"] == "clean"]
        said = [rates.proportion(group[rung]).text() for rung in _rungs(name) for group in (biased, clean)]
        while len(said) < 6:
            said.append("–")
        rows.append((name, *said))
    head = ("shortcut", "used: biased", "clean", "attended: biased", "clean", "harms: biased", "clean")
    told = (
        "Share of the models in which an attribute is called used, is attended to, or (the accuracy follows it) harms. Of global "
        "shortcuts the first two columns count “not visible to a heatmap”, the next two a group that pays.\n\n"
    )
    return told + _markdown(head, rows)


def _rungs(name: str) -> tuple[str, ...]:
    return ("used", "attended", "harms") if name in LOCAL else ("invisible", "harms")


def _traps(main: pd.DataFrame) -> str:
    local = main[main["shortcut"].isin(LOCAL)]
    rows = []
    for trap, told in (
        ("present", "salient, present in half of the images whatever the label"),
        (
            "shuffled",
            "goes with the label in 90 % of the audited images, in none of the training's more than by chance",
        ),
    ):
        of = local[local["trap"] == trap]
        clean = of[of["kind"] == "clean"]
        columns = ("used", "attended", "excluded", "settled")
        rows.append((told, *(rates.proportion(clean[column]).text() for column in columns)))
    clean = local[local["kind"] == "clean"]
    unseen = rates.proportion(clean["invisible"]).text()
    told = (
        f"\n\nThat “something the maps cannot show” is used (CAM301, CAM302) is said of {unseen} of these clean models. Nothing of that "
        "kind was planted in them, and no twin tells whether it is true: they may well go by the light or the colour of a scene. "
        f"Single images of a clean model still move, in one direction or the other, by {clean['size'].median():.2f} SD on average (the "
        f"median model; at most {clean['size'].max():.2f}): a bias is here what is left in the mean."
    )
    head = (
        "trap (clean models)",
        "called used",
        "called attended",
        "use excluded by the verdict",
        "everything else too: passed, or a tip",
    )
    return _markdown(head, rows) + told


def _intervals(cells: pd.DataFrame) -> str:
    rows = []
    for (code, name), of in cells.groupby(["code", "name"]):
        wide = float((of["high"] - of["low"]).median())
        rows.append(
            (
                f"{code}, {name}",
                rates.bootstrapped(of, rates.COVERED, rates.coverage).text(),
                f"{wide:.2f}",
                str(len(of)),
            )
        )
    told = (
        "Every interval of a class against the mean over the 600 twins that answers the same question: of the edits the hull over the "
        "fills, whatever a finding makes of it, else (CAM104, CAM105, and CAM101 and CAM102 of a head) that of the finding. The twins take the shortcut away as it was "
        "put there; the audit has to invent what was behind it. Where something else is there instead (a man's head for a woman's, land "
        "for water), no twin says what nothing at all would do: there only what exchanges one for the other is held against twins. "
        "A *response* (what an edit does beyond its controls, in any direction) is left out: twins have no controls.\n\n"
    )
    head = ("finding, effect", "holds the twins' effect", "median width, SD", "cells")
    return told + _markdown(head, rows) + _hidden(cells)


def _hidden(cells: pd.DataFrame) -> str:
    """How much of a head's effect an exchange tells."""
    of = cells[(cells["shortcut"] == "head") & (cells["twins"].abs() > CLEAN)]
    of = of[of["code"].isin(["CAM101", "CAM102"])]
    if of.empty:
        return ""
    share = float((of["estimate"] / of["twins"]).median())
    return (
        f"\n\nThe intervals of heads are too low rather than too narrow: an exchange tells {share:.2f} of what the twins say (the "
        f"median of {len(of)} classes that a head moves by more than {CLEAN} SD). What stands in front of the exchanged head "
        "hides some of it, and it is scaled to the box of the own one; which of the two takes how much was not measured."
    )


def _severity(main: pd.DataFrame) -> str:
    local = main[main["shortcut"].isin(LOCAL)]
    biased = local[(local["kind"] == "biased")].dropna(subset=["precision"])
    rows = [
        (
            "AUROC of severity, biased against clean",
            rates.bootstrapped(local, ("severity", "effect"), rates.auroc).text(),
        ),
        (
            "AUROC of the edits' estimate",
            rates.bootstrapped(local, ("estimate", "effect"), rates.auroc).text(),
        ),
        (
            f"of 10 samples shown with the issues, those the shortcut moves by more than {BIASED} SD",
            rates.bootstrapped(biased, ("precision",), rates.mean).text(),
        ),
        ("the same of all images that show it", rates.bootstrapped(biased, ("base",), rates.mean).text()),
    ]
    return _markdown(("", "measured"), rows)


def _peers(main: pd.DataFrame) -> str:
    local = main[main["shortcut"].isin(LOCAL)].copy()
    local["beyond"] = local["mass"] - local["area"]
    biased, clean = local[local["kind"] == "biased"], local[local["kind"] == "clean"]
    rows = [
        (
            "camaudit: used",
            rates.proportion(biased["used"]).text(),
            rates.proportion(clean["used"]).text(),
            rates.bootstrapped(local, ("severity", "effect"), rates.auroc).text(),
        ),
        _decision(
            "plain mean of the map: more in the mask than its area", local, local["beyond"] > 0, "beyond"
        ),
        _decision(
            f"plain mean of the edit, no control: above {LEAST:g} SD",
            local,
            local["plain"].abs() > LEAST,
            "plain",
        ),
    ]
    for name, told in (("attention", "attention in mask"), ("coverage", "mask coverage"), ("iou", "IoU")):
        best = rates.threshold(local, name)
        rows.append(
            _decision(
                f"ShortKit-ML, {told}: above {best:.2f}, chosen here in its favour",
                local,
                local[name] > best,
                name,
            )
        )
    told = (
        "ShortKit-ML 0.1.0 wants numpy below 2, so it cannot be installed beside; its means are computed here by its definitions. It "
        "publishes no threshold and no decision (“risk unknown”), so its thresholds are chosen afterwards, on these very models, "
        "such that at most 2 % of the clean ones lie above: the best that a reader could do.\n\n"
    )
    return told + _markdown(("decision", "biased models found", "clean models flagged", "AUROC"), rows)


def _decision(told: str, models: pd.DataFrame, said: pd.Series, score: str) -> tuple[str, ...]:
    known = models[score].notna()
    biased, clean = (said[known & (models["kind"] == kind)] for kind in ("biased", "clean"))
    # not the size: a map that avoids the mask is no sign of use
    own = models.assign(score=models[score].clip(lower=0) if score == "beyond" else models[score])
    told_by = rates.bootstrapped(own, ("score", "effect"), rates.auroc).text()
    return told, rates.proportion(biased).text(), rates.proportion(clean).text(), told_by


def _varied(models: pd.DataFrame, column: str, values: Sequence[object]) -> str:
    other = "masks" if column == "images" else "images"
    usual = "exact" if other == "masks" else rates.AUDITED
    changed = models[(models[column] != (300 if column == "images" else "exact")) & (models[other] == usual)]
    keys = ["task", "shortcut", "station_seed", "along", "family", "strength", "seed"]
    same = changed[keys].drop_duplicates()
    if changed.empty:
        return "Not measured yet."
    rows = []
    for value in values:
        of = models[(models[column] == value) & (models[other] == usual)].merge(same, on=keys)
        biased, clean = of[of["kind"] == "biased"], of[of["kind"] == "clean"]
        off = (of["estimate"] - of["effect"]).abs().dropna()
        said = (
            rates.proportion(biased["used"]),
            rates.proportion(clean["used"]),
            rates.proportion(clean["excluded"]),
        )
        rows.append((str(value), *(rate.text() for rate in said), f"{off.mean():.2f}" if len(off) else "–"))
    head = (
        column,
        "biased: used",
        "clean: used",
        "clean: use excluded",
        "mean distance of edits and twins, SD",
    )
    return f"The same {len(same)} models throughout.\n\n" + _markdown(head, rows)


def worked(main: pd.DataFrame) -> dict[str, pd.Series]:
    """The rows of a biased model, a trap that was seen through and a global shortcut: those examined most, and gravest."""
    local = main["shortcut"].isin(LOCAL)
    chosen = {
        "used": main[local & (main["kind"] == "biased") & main["used"]],
        "trap": main[local & (main["kind"] == "clean") & (main["trap"] == "shuffled") & main["excluded"]],
        "unseen": main[~local & (main["kind"] == "biased") & main["invisible"]],
    }
    order = ["trusted", "attended", "severity", "strength"]
    return {
        name: of.sort_values(order, ascending=False, kind="stable").iloc[0]
        for name, of in chosen.items()
        if not of.empty
    }


_WORKED: Final = {
    "used": "A shortcut that is used",
    "trap": "A trap",
    "unseen": "A shortcut without a place",
}


def _worked(main: pd.DataFrame) -> str:
    """What the audit wrote about each of them, and how its report begins."""
    told = []
    for name, one in worked(main).items():
        twins = f"{one['effect']:+.2f}".replace("-", "−")
        about = f"{one['task']}, {one['shortcut']}, {one['family']}, {one['strength']} %; twins {twins} SD"
        told.append(f"**{_WORKED[name]}** ({about}). *{one['headline']}.* {one['says']}")
        told.append(f"[![The report of it](validity-{name}.jpg)](validity-{name}.jpg)")
    return "\n\n".join(told)


def _costs(main: pd.DataFrame) -> str:
    rows = []
    for family, of in main[main["seconds_trust"] > 0].groupby("family"):
        whole = of[[f"seconds_{stage}" for stage in STAGES if f"seconds_{stage}" in of]].sum(axis=1)
        shares = [
            f"{(of[f'seconds_{stage}'] / whole).median():.0%}" if f"seconds_{stage}" in of else "–"
            for stage in STAGES
        ]
        rows.append((str(family), *shares, f"{of['seconds_all'].median():.0f} s"))
    told = "Median share of a run's wall time, on one core with other work beside it, of the audits that examined trust.\n\n"
    return told + _markdown(("family", *STAGES, "run"), rows)


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


_LIMITS: Final = """## What this does not show

- Cut-outs in photographed places are not photographs: edges are sharper, and an inpainted disc leaves less behind than a removed person.
- Models are small, and two classes are told apart. A network with a thousand classes may use an attribute in ways that no pair shows.
- Of a shortcut that no model uses by more than 0.5 SD (– above) only the false alarms are measured.
- The doses by which whole images are changed (CAM301) were set by somebody who had read how they are planted here.
- The masks of the main table are exact. The tables of sloppy masks and of fewer images rest on small networks and three shortcuts."""
