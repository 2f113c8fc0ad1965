"""What the decisions are made from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from camaudit.statistics.exchanges import EXCHANGE, LABEL
from camaudit.types import Effect

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from camaudit.types import Role


@dataclass(frozen=True)
class Cell:
    """One class x region x group of the audit.

    Attributes:
        target_class: the class the maps speak for; empty for all classes.
        region: a measured region.
        role: its role.
        group: a group column; empty for all samples.
        value: the group's value; empty for all samples.
    """

    target_class: str
    region: str
    role: Role
    group: str = ""
    value: str = ""


@dataclass(frozen=True)
class Evidence:
    """The tables of a run, and the method and target that decide.

    Attributes:
        effects: see `camaudit.types.AuditedRun`.
        measurements: see there.
        samples: see there.
        roles: role of every measured region.
        parts: annotated regions of every measured region.
        classes: class names.
        groups: group columns.
        method: the attribution method that decides what is attended; empty where no method's maps can be believed.
        fills: the fills that regions were edited with, which together decide what is used; none where nothing was edited.
        target: id of the output target.
        methods: the run's attribution methods, in order.
        trust: see `camaudit.types.AuditedRun`; None where nobody asked whether maps can be believed.
        exchanges: see `camaudit.types.AuditedRun`; None where nothing was exchanged.
        transplants: see there; None where nobody asked.
        seed: of the permutations.
        recasts: see `camaudit.types.AuditedRun`; None where no look of whole images was changed.
        training: the training set's ``label`` and ``group_NAME`` columns, one row an image; None where no table was named.
    """

    effects: pd.DataFrame
    measurements: pd.DataFrame
    samples: pd.DataFrame
    roles: Mapping[str, Role]
    parts: Mapping[str, Sequence[str]]
    classes: Sequence[str]
    groups: Sequence[str]
    method: str
    fills: tuple[str, ...]
    target: str
    methods: Sequence[str] = ()
    trust: pd.DataFrame | None = None
    seed: int = 0
    training: pd.DataFrame | None = None
    recasts: pd.DataFrame | None = None
    exchanges: pd.DataFrame | None = None
    transplants: pd.DataFrame | None = None

    def effect(self, metric: str, method: str, cell: Cell, *, target: str | None = None) -> Effect | None:
        """The effect of one cell, of the deciding target where none is named; None where it was not measured."""
        key = (metric, method, target or self.target, cell.target_class, cell.region, cell.group, cell.value)
        return self._by_cell.get(key)

    @cached_property
    def _by_cell(self) -> dict[tuple[str, ...], Effect]:
        """The effects by metric, method, target, class, region, group and value: looked up often."""
        names = ("metric", "method", "target", "target_class", "region", "group", "value")
        keys = zip(*(self.effects[name].astype(str) for name in names), strict=True)
        numbers = zip(
            *(self.effects[name] for name in ("estimate", "low", "high", "p", "q", "n")), strict=True
        )
        found: dict[tuple[str, ...], Effect] = {}
        for key, (estimate, low, high, p, q, n) in zip(keys, numbers, strict=True):
            effect = Effect(key[0], float(estimate), float(low), float(high), float(p), float(q), int(n))
            found.setdefault(key, effect)
        return found

    def edited(self, metric: str, cell: Cell, *, target: str | None = None) -> Effect | None:
        """The effect of editing a region, over all fills: see `over_fills`; None where nothing was edited."""
        found = [self.effect(metric, fill, cell, target=target) for fill in self.fills]
        return over_fills([effect for effect in found if effect is not None])

    def edited_values(self, metric: str, cell: Cell) -> pd.Series:
        """The mean over the fills of the measurements of one cell, by sample."""
        found = [self.values(metric, fill, cell) for fill in self.fills]
        return pd.concat(found, axis=1).mean(axis=1) if found else pd.Series(dtype="float64")

    def without_controls(self) -> list[str]:
        """The attributes that leave no room for controls in most of the images that have them."""
        shifts = self.measurements[
            (self.measurements["metric"] == "shift")
            & (self.measurements["target"] == self.target)
            & (self.measurements["role"] == "attribute")
            & self.measurements["method"].isin(self.fills[:1])
        ]
        return [
            str(region)
            for region, rows in shifts.groupby("region", sort=True)
            if rows["value"].notna().sum() * 2 < len(self.having(str(region)))
        ]

    def having(self, region: str) -> frozenset[str]:
        """The samples that have a region, whatever their maps show."""
        return self._having.get(region, frozenset())

    @cached_property
    def _having(self) -> dict[str, frozenset[str]]:
        """By region the samples that have it; a region that was not measured in any sample is left out.

        A map without mass has no area; the centre of the image lies on a region, or does not, whatever the map.
        """
        table = self.measurements
        if table.empty:
            return {}
        rows = table[table["metric"].isin(["area", "pointing_centre"])]
        there = rows[rows["value"].notna() & ((rows["metric"] == "pointing_centre") | (rows["value"] > 0))]
        samples = dict(iter(there.groupby("region")["sample"]))
        return {str(region): frozenset(samples.get(region, ())) for region in rows["region"].unique()}

    def shown(self, cell: Cell) -> bool:
        """Whether any image of a cell has its region; where nothing is known of that, they may have it."""
        if cell.region not in self._having:
            return True
        having = self.having(cell.region)
        table = self.measurements
        mine = table[(table["region"] == cell.region) & (table["target"] == self.target)]
        if cell.target_class:
            mine = mine[mine["target_class"] == cell.target_class]
        if cell.group:
            members = self.samples.loc[self.samples[f"group_{cell.group}"] == cell.value, "sample"]
            mine = mine[mine["sample"].isin(members)]
        return not having.isdisjoint(mine["sample"])

    def exchanged(self, region: str, put: str) -> bool:
        """Whether images were given other samples' backgrounds, or attributes, to learn what an attribute does.

        Args:
            region: the attribute.
            put: ``background`` or ``attribute``.
        """
        table = self.exchanges
        return table is not None and bool(((table["region"] == region) & (table["put"] == put)).any())

    def kinds(self, cell: Cell) -> list[tuple[str, str, Effect]]:
        """Each kind of what was exchanged and what it does to the score in a cell: group column, value, effect."""
        if cell.group:
            return []  # the groups of an exchange are those of the donors
        table = self.effects
        rows = table[
            (table["metric"] == EXCHANGE)
            & (table["target"] == self.target)
            & (table["target_class"] == cell.target_class)
            & (table["region"] == cell.region)
        ]
        found = []
        for row in rows.to_dict("records"):
            low, high, p, q = (float(row[name]) for name in ("low", "high", "p", "q"))
            effect = Effect(EXCHANGE, float(row["estimate"]), low, high, p, q, int(row["n"]))
            found.append((str(row["group"]), str(row["value"]), effect))
        return found

    def moved(self, cell: Cell, group: str, value: str) -> pd.Series:
        """By sample, its mean score with donors of one kind minus that with the others, where it met both."""
        if self.exchanges is None:
            return pd.Series(dtype="float64")
        rows = self.exchanges[
            (self.exchanges["target"] == self.target)
            & (self.exchanges["target_class"] == cell.target_class)
            & (self.exchanges["region"] == cell.region)
        ]
        column = group if group == LABEL else f"group_{group}"
        kinds = rows["donor"].map(self.samples.set_index("sample")[column])
        rows = rows.assign(kind=kinds).dropna(subset="kind")
        inside = rows["kind"] == value
        mean = [rows[of].groupby("sample")["value"].mean() for of in (inside, ~inside)]
        return (mean[0] - mean[1]).dropna()

    def transplanted(self, cell: Cell) -> pd.DataFrame:
        """What an attribute did in images of a cell, a row a sample and donor."""
        table = self.transplants
        if table is None:
            return pd.DataFrame(columns=["sample", "shift", "shift_region"])
        return table[
            (table["target"] == self.target)
            & (table["target_class"] == cell.target_class)
            & (table["region"] == cell.region)
        ]

    def values(self, metric: str, method: str, cell: Cell) -> pd.Series:
        """The measurements of one cell by sample, without those that are not defined."""
        table = self.measurements
        rows = table[
            (table["metric"] == metric)
            & (table["method"] == method)
            & (table["target"] == self.target)
            & (table["region"] == cell.region)
        ]
        if cell.target_class:
            rows = rows[rows["target_class"] == cell.target_class]
        if cell.group:
            members = self.samples.loc[self.samples[f"group_{cell.group}"] == cell.value, "sample"]
            rows = rows[rows["sample"].isin(members)]
        return rows.set_index("sample")["value"].dropna()

    def cells(self, role: Role) -> list[Cell]:
        """The cells that are decided on for a role, of those that were measured.

        The union of the role's regions (or its only one) is examined over all classes, in every class and in every
        group; its parts over all classes and in every class where they were edited by themselves: without that nothing
        could be concluded from their maps. Over all classes is left out where there is only one.
        """
        regions = [name for name, of in self.roles.items() if of == role]
        widest = max(regions, key=lambda name: len(self.parts[name]), default=None)
        table = self.effects
        edited = set(
            table.loc[(table["metric"] == "shift") & table["method"].isin(list(self.fills)), "region"]
        )
        examined = [name for name in regions if name == widest or name in edited]
        # the groups of an exchange are those of the donors
        about = table[
            table["region"].isin(examined) & (table["target"] == self.target) & (table["metric"] != EXCHANGE)
        ]
        measured = set(about[["target_class", "region", "group", "value"]].itertuples(index=False, name=None))
        present = [name for name in self.classes if any(cell[0] == name for cell in measured)]
        cells = [
            Cell(target_class, region, role, group, value)
            for target_class in ([""] if len(present) != 1 else []) + present
            for region in sorted(examined, key=lambda name: name != widest)
            for group, value in [("", ""), *(self._groups() if region == widest else [])]
        ]
        # of what a class never shows nothing can be asked there; of what no image shows it is said that none does
        return [
            cell
            for cell in cells
            if (cell.target_class, cell.region, cell.group, cell.value) in measured
            and (self.shown(cell) or not self.having(cell.region))
        ]

    def _groups(self) -> list[tuple[str, str]]:
        return [
            (group, str(value))
            for group in self.groups
            for value in sorted(self.samples[f"group_{group}"].dropna().unique())
        ]


def over_fills(effects: Sequence[Effect]) -> Effect | None:
    """One effect that spans the choice of the fill: the mean of the estimates, the hull of the intervals.

    The hull lies beyond a threshold only where every interval does, and within it only where every one does. q and p are
    the largest, n the smallest; an end is NaN where one of the fills has none.
    """
    if not effects:
        return None
    numbers = {
        name: [float(getattr(effect, name)) for effect in effects]
        for name in ("estimate", "low", "high", "p", "q")
    }
    return Effect(
        name=effects[0].name,
        estimate=float(np.mean(numbers["estimate"])),
        low=float(np.min(numbers["low"])),
        high=float(np.max(numbers["high"])),
        p=float(np.max(numbers["p"])),
        q=float(np.max(numbers["q"])),
        n=min(effect.n for effect in effects),
    )
