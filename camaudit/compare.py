"""Two runs over the same samples, sample by sample."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from camaudit.errors import RunError
from camaudit.statistics import compare_effects

if TYPE_CHECKING:
    import pandas as pd

    from camaudit.runs import Run

COMPARED = ("excess", "mass", "pointing", "shift", "response", "flip")


@dataclass(frozen=True)
class Comparison:
    """What differs between two audits of the same samples.

    Attributes:
        a: a run.
        b: another run.
    """

    a: Run
    b: Run

    @cached_property
    def effects(self) -> pd.DataFrame:
        """Mean paired differences, a minus b, in the columns of ``run.effects``; the class is the sample's label."""
        return compare_effects(
            self.a.measurements,
            self.b.measurements,
            self.a.samples,
            groups=self.a.manifest.groups,
            metrics=list(COMPARED),
        )

    def report(self, path: Path | str) -> Path:
        """Write the comparison as one HTML file."""
        from camaudit.report import write_comparison
        from camaudit.runs.store import written

        with written(Path(path)):
            return write_comparison(self.a, self.b, self.effects, Path(path))


def compare(a: Run, b: Run) -> Comparison:
    """Compare two runs.

    Raises:
        RunError: they share no sample, or do not measure the same with the same classes.
    """
    if not set(a.samples["sample"]) & set(b.samples["sample"]):
        msg = f"{a.path} and {b.path} share no sample. Compare audits of the same dataset."
        raise RunError(msg)
    for what in ("classes", "groups", "roles"):
        first, second = getattr(a.manifest, what), getattr(b.manifest, what)
        if first != second:
            msg = f"{a.path} and {b.path} differ in their {what}: {_listed(first)} and {_listed(second)}."
            raise RunError(msg)
    for what in ("methods", "targets"):
        if not set(getattr(a.manifest, what)) & set(getattr(b.manifest, what)):
            msg = f"{a.path} and {b.path} have none of their {what} in common."
            raise RunError(msg)
    return Comparison(a, b)


def _listed(names: object) -> str:
    return ", ".join(map(str, names)) if isinstance(names, (tuple, dict)) else str(names)
