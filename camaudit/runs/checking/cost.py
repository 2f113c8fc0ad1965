"""What an audit will take: time and disk, from one batch on trial."""

from __future__ import annotations

import io
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from camaudit.data import batches
from camaudit.measure import measured_regions
from camaudit.runs.device import enough_memory, full_precision
from camaudit.runs.job import batch_size
from camaudit.runs.measuring import measure_batch
from camaudit.runs.pool import Pool
from camaudit.runs.settings import settings_of
from camaudit.runs.trusting import plan

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from camaudit.config import AuditConfig
    from camaudit.data import Dataset
    from camaudit.models import LoadedModel
    from camaudit.runs.measuring import Measured

_REPORT = 4_000_000  # bytes of report, findings, effects and clusters: they hardly grow with the dataset


@dataclass(frozen=True)
class Cost:
    """What measuring a whole dataset takes.

    Attributes:
        seconds: wall time on this machine.
        maps: bytes of the attribution maps.
        tables: bytes of the samples and measurements.
        report: bytes of what hardly grows with the dataset.
    """

    seconds: float
    maps: int
    tables: int
    report: int = _REPORT

    @property
    def disk(self) -> int:
        """Bytes of the finished run."""
        return self.maps + self.tables + self.report


def estimate(data: Dataset, model: LoadedModel, config: AuditConfig, device: torch.device) -> Cost:
    """Time and disk of a run, from one batch; what the first pass costs beyond the second comes once."""
    parts, roles = measured_regions(data.regions)
    settings = settings_of(config, data.groups, roles, device)
    pool = Pool(data, model.preprocessing, parts, settings, seed=config.audit.seed)
    size = batch_size(config, device)
    whole = (batch for batch in batches(data.samples, model.preprocessing, parts, size) if batch.samples)
    batch = next(whole)  # an image can be read: else there was a problem
    whole.close()
    with full_precision(), enough_memory(size):
        model.module.to(device)
        measure_batch(batch, model, settings, pool)
        started = time.perf_counter()
        measured = measure_batch(batch, model, settings, pool)
        spent = time.perf_counter() - started
    model.module.to("cpu")
    share = len(data) / len(batch.samples)
    if config.audit.trust.enabled:
        takes = plan(config.audit, measured.samples, measured.measurements, times=share)
        spent *= 1 + takes.taken / takes.passes
    return Cost(spent * share, round(_maps(measured) * share), round(_tables(measured) * share))


def _maps(measured: Measured) -> int:
    return sum(values.nbytes for values in measured.maps.values())


def _tables(measured: Measured) -> int:
    return sum(
        _on_disk(table) - _on_disk(table.head(0)) for table in (measured.samples, measured.measurements)
    )


def _on_disk(table: pd.DataFrame) -> int:
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    return buffer.tell()
