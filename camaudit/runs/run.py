"""A run as a value: its tables, findings and maps, read when they are asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
import yaml

from camaudit.config import parse_config, resolve_paths
from camaudit.data import Frame, open_image
from camaudit.data.masks import region_masks
from camaudit.errors import RunError
from camaudit.findings import read_findings
from camaudit.providers import open_dataset, provide
from camaudit.runs.folder import REGIONS
from camaudit.runs.manifest import PROVIDING, read_manifest
from camaudit.runs.store import damaged, maps_folder, parts, read_table, read_text, scale_column, written
from camaudit.types import AttributionMap

if TYPE_CHECKING:
    from collections.abc import Mapping

    import fiftyone as fo
    from numpy.typing import NDArray

    from camaudit.data import Dataset
    from camaudit.types import Finding, RunManifest, Sample, Verdict


@dataclass(frozen=True)
class Run:
    """A finished audit; an `camaudit.types.AuditedRun`. Made by `camaudit.audit` and `camaudit.open_run`.

    Attributes:
        path: the run directory.
        manifest: what the run is.
        data: the dataset, where it was handed over in Python and cannot be read again.
    """

    path: Path
    manifest: RunManifest
    data: Dataset | None = field(default=None, repr=False)

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """The resolved configuration as plain values; paths are relative to the run directory."""
        path = self.path / "config.yaml"
        try:
            return dict(yaml.safe_load(read_text(path)))
        except (yaml.YAMLError, TypeError, ValueError) as error:
            raise RunError(damaged(path, error)) from None

    @cached_property
    def samples(self) -> pd.DataFrame:
        """One row a sample; see `camaudit.types.AuditedRun`."""
        folder = self.path / "samples"
        shards = parts(folder, "parquet")
        if not shards:
            raise RunError(damaged(folder, FileNotFoundError("it holds no shards")))
        table = pd.concat([read_table(shard) for shard in shards], ignore_index=True)
        if self.manifest.stages["measure"] == "done" and len(table) != self._audited:
            raise RunError(damaged(folder, ValueError(f"{len(table)} of {self._audited} samples are there")))
        return table

    @cached_property
    def measurements(self) -> pd.DataFrame:
        """Rows of `camaudit.types.Measurement`."""
        return read_table(self.path / "measurements.parquet")

    @cached_property
    def effects(self) -> pd.DataFrame:
        """One row an effect; see `camaudit.types.AuditedRun`."""
        return read_table(self.path / "effects.parquet")

    @cached_property
    def clusters(self) -> pd.DataFrame:
        """One row a clustered sample; see `camaudit.types.AuditedRun`."""
        return read_table(self.path / "clusters.parquet")

    @cached_property
    def trust(self) -> pd.DataFrame:
        """One row a sample, method and check of the maps; see `camaudit.types.AuditedRun`."""
        return self._optional("trust.parquet", ("sample", "method", "check", "value", "draw"))

    @cached_property
    def exchanges(self) -> pd.DataFrame:
        """One row a sample and donor of its background or attribute; see `camaudit.types.AuditedRun`."""
        columns = ("sample", "donor", "region", "put", "target", "target_class", "value")
        return self._optional("exchanges.parquet", columns)

    @cached_property
    def recasts(self) -> pd.DataFrame:
        """One row a sample, look and class: the whole image made to look otherwise; see `camaudit.types.AuditedRun`."""
        return self._optional("recasts.parquet", ("sample", "look", "target_class", "value"))

    @cached_property
    def transplants(self) -> pd.DataFrame:
        """One row a sample and donor of an attribute; see `camaudit.types.AuditedRun`."""
        columns = ("sample", "donor", "region", "target", "target_class", "shift", "shift_region")
        return self._optional("transplants.parquet", columns)

    @cached_property
    def quadrants(self) -> pd.DataFrame:
        """One row a sample, right or wrong, for the right or the wrong reason; see `camaudit.types.AuditedRun`."""
        return read_table(self.path / "quadrants.parquet")

    @property
    def findings(self) -> list[Finding]:
        """Every finding, the gravest first; also what passed, was undecided or did not apply."""
        return self._judged[1]

    @property
    def verdict(self) -> Verdict:
        """The verdict that follows from the findings."""
        return self._judged[0]

    def attribution(
        self, sample: str, method: str | None = None, target: str | None = None
    ) -> AttributionMap:
        """The raw map of one sample; the first method and target of the run where none is named.

        Raises:
            RunError: the run has no such sample, method or target.
        """
        method = _known(method or self.manifest.methods[0], self.manifest.methods, "method", self.path)
        target = _known(target or self.manifest.targets[0], self.manifest.targets, "target", self.path)
        row = self._row(sample)
        scale = np.float32(self.samples[scale_column(method, target)].iloc[row])
        values = self._maps(method, target)[row].astype(np.float32) * scale
        return AttributionMap(values, sample, method, self.manifest.target_layer, target)

    def picture(self, sample: str) -> NDArray[np.uint8]:
        """The image as the model sees it, before normalising: (height, width, 3)."""
        image = open_image(self.source(sample).image)
        return Frame.of((image.height, image.width), self.manifest.preprocessing).image(image)

    def masks(self, sample: str) -> dict[str, NDArray[np.bool_]]:
        """The annotated regions of a sample, each (height, width) in the model's frame."""
        source = self.source(sample)
        image = open_image(source.image)
        frame = Frame.of((image.height, image.width), self.manifest.preprocessing)
        masks = region_masks(source.regions, frame.size, image=str(source.image))
        return {name: frame.coverage(mask) > 0.5 for name, mask in masks.items()}

    def source(self, sample: str) -> Sample:
        """The sample as the dataset has it."""
        self._row(sample)
        found = self._dataset.sample(sample)
        if found is None:
            msg = f"The dataset of {self.path} no longer has the sample {sample!r}. Put its data back where it was."
            raise RunError(msg)
        return found

    def report(self, path: Path | str | None = None) -> Path:
        """Write the HTML report; into the run directory where no path is given."""
        from camaudit.report import write

        goal = Path(path) if path is not None else self.path / "report.html"
        with written(goal):
            return write(self, goal)

    def to_fiftyone(self, dataset: str, *, key: str | None = None, overwrite: bool = False) -> fo.Dataset:
        """Export the run to a FiftyOne dataset; see `camaudit.browse.to_fiftyone`."""
        from camaudit.browse import to_fiftyone

        return to_fiftyone(self, dataset, key=key, overwrite=overwrite)

    def _optional(self, name: str, columns: tuple[str, ...]) -> pd.DataFrame:
        path = self.path / name
        return read_table(path) if path.exists() else pd.DataFrame(columns=list(columns))

    @cached_property
    def _judged(self) -> tuple[Verdict, list[Finding]]:
        path = self.path / "findings.json"
        try:
            return read_findings(read_text(path))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise RunError(damaged(path, error)) from None

    @property
    def _audited(self) -> int:
        return self.manifest.samples - len(self.manifest.skipped)

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {sample: row for row, sample in enumerate(self.samples["sample"])}

    @cached_property
    def _loaded(self) -> dict[tuple[str, str], NDArray[np.float16]]:
        return {}

    def _maps(self, method: str, target: str) -> NDArray[np.float16]:
        if (method, target) not in self._loaded:
            files = parts(maps_folder(self.path, method, target), "npy")
            try:
                shards = [np.load(file, allow_pickle=False) for file in files]
                maps = np.concatenate(shards)
            except (OSError, ValueError, EOFError) as error:
                raise RunError(damaged(maps_folder(self.path, method, target), error)) from None
            if len(maps) != len(self.samples):
                lacking = ValueError(f"{len(maps)} maps of {len(self.samples)} samples are there")
                raise RunError(damaged(maps_folder(self.path, method, target), lacking))
            self._loaded[method, target] = maps
        return self._loaded[method, target]

    @cached_property
    def _dataset(self) -> Dataset:
        if self.data is not None:
            return self.data
        values = dict(self.config)
        where = self.path / "config.yaml"
        config = resolve_paths(parse_config(values, where=str(where)), self.path)
        dataset = open_dataset(config.data, config.roles)
        if PROVIDING not in self.manifest.stages:
            return dataset
        return provide(dataset, self.path / REGIONS, torch.device("cpu")).data

    def _row(self, sample: str) -> int:
        if sample not in self._rows:
            msg = f"{self.path} has no sample {sample!r}; run.samples lists them, run.manifest.skipped the unreadable."
            raise RunError(msg)
        return self._rows[sample]


def open_run(path: Path | str, *, data: Dataset | None = None) -> Run:
    """Open a finished run.

    Args:
        path: the run directory.
        data: the dataset, where it was made in Python.

    Raises:
        RunError: the folder is no run, or the run is not finished.
    """
    run = Path(path)
    manifest = read_manifest(run)
    unfinished = [stage for stage, state in manifest.stages.items() if state != "done" and stage != "report"]
    if unfinished:
        msg = f"{run} is not finished: {unfinished[0]} is {manifest.stages[unfinished[0]]}. Go on with --resume."
        raise RunError(msg)
    return Run(run, manifest, data)


def _known(asked: str, known: tuple[str, ...], what: str, run: Path) -> str:
    if asked not in known:
        msg = f"{run} was not made with the {what} {asked!r}; it has {', '.join(known)}."
        raise RunError(msg)
    return asked
