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
from camaudit.statistics.planning import needed, smallest_effect
from camaudit.statistics.sizes import cliffs_delta, cohens_d

__all__ = [
    "MINIMUM",
    "TESTED",
    "Interval",
    "association",
    "association_of",
    "benjamini_hochberg",
    "cliffs_delta",
    "cohens_d",
    "compare_effects",
    "effects",
    "group_table",
    "holm",
    "mean_interval",
    "mean_test",
    "needed",
    "proportion_interval",
    "smallest_effect",
]
