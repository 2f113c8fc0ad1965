"""What samples say together: means with intervals and tests, comparisons, multiplicity, groups.

The unit is the sample, or the subject where samples share one, never the pixel. Every function is a pure
function of its arguments, bit for bit independent of the order of the rows, and answers degenerate data
(nothing, constants, a single class) with NaN or an empty table rather than with an exception.
``docs/statistics.md`` says how each was tested.
"""

from __future__ import annotations

from camaudit.statistics.effects import MINIMUM, TESTED, compare_effects, effects
from camaudit.statistics.groups import association, association_of, group_table
from camaudit.statistics.intervals import Interval, mean_interval, mean_test, proportion_interval
from camaudit.statistics.multiplicity import benjamini_hochberg, holm

__all__ = [
    "MINIMUM",
    "TESTED",
    "Interval",
    "association",
    "association_of",
    "benjamini_hochberg",
    "compare_effects",
    "effects",
    "group_table",
    "holm",
    "mean_interval",
    "mean_test",
    "proportion_interval",
]
