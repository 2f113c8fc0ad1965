"""The donors of a run, drawn and read when an edit first needs them."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch

from camaudit.measure.donors import Donors, draw_donors
from camaudit.measure.exchange import Backgrounds
from camaudit.measure.replacement import Replacements
from camaudit.measure.transplant import Attributes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from camaudit.data import Dataset
    from camaudit.runs.settings import Settings
    from camaudit.types import Preprocessing

SWAPPED = 6
"""Donors that a swap may choose from: one of them has nothing annotated in the place."""


class Pool:
    """What the edits of a run take from other samples.

    Args:
        data: the dataset.
        preprocessing: of the model.
        parts: the annotated regions of every measured one.
        settings: what is measured.
        seed: of the run.
    """

    def __init__(
        self,
        data: Dataset,
        preprocessing: Preprocessing,
        parts: Mapping[str, Sequence[str]],
        settings: Settings,
        *,
        seed: int,
    ) -> None:
        self._data = data
        self._preprocessing = preprocessing
        self._parts = parts
        self._settings = settings
        self._seed = seed
        self._attributes: dict[str, Attributes] = {}
        self._replacements: dict[str, Replacements] = {}

    @cached_property
    def donors(self) -> Donors:
        """The pool itself."""
        return draw_donors(
            self._data.samples, self._preprocessing, self._parts, self._data.groups, seed=self._seed
        )

    @cached_property
    def backgrounds(self) -> Backgrounds | None:
        """Its members without their objects; None where no region is an object."""
        item = self._settings.item
        return None if item is None else Backgrounds(self.donors, list(self._settings.roles).index(item))

    def attributes(self, region: str) -> Attributes:
        """Its members that have an attribute to give."""
        if region not in self._attributes:
            column = list(self._settings.roles).index(region)
            self._attributes[region] = Attributes(self.donors, column, self.taken)
        return self._attributes[region]

    def replacements(self, region: str) -> Replacements:
        """Its members' own attributes, where every image has one."""
        if region not in self._replacements:
            column = list(self._settings.roles).index(region)
            self._replacements[region] = Replacements(self.donors, column)
        return self._replacements[region]

    @cached_property
    def replaceable(self) -> tuple[str, ...]:
        """The edited attributes that (nearly) every image has, and whose kinds a group column tells."""
        settings = self._settings
        if not (settings.exchange and settings.groups):
            return ()
        attributes = [name for name in settings.edited if settings.roles[name] == "attribute"]
        return tuple(name for name in attributes if self.replacements(name).possible)

    @cached_property
    def taken(self) -> torch.Tensor:
        """What is annotated in its members as object or attribute, (donors, height, width) in [0, 1]."""
        roles = self._settings.roles
        matters = [column for column, role in enumerate(roles.values()) if role != "context"]
        return torch.from_numpy(self.donors.coverage[:, matters].max(1).astype(np.float32) / 255)
