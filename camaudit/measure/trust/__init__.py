"""Can the maps be believed, on this model and these images?"""

from camaudit.measure.trust.checks import REFERENCE, Found, Question, changes_of, check_maps
from camaudit.measure.trust.comparing import rank_correlations, to_common_grid
from camaudit.measure.trust.faithful import check_faithfulness, passes_of_faithfulness
from camaudit.measure.trust.randomising import Randomised, reinitialise
from camaudit.measure.trust.rule import NOISE, SAME, randomisation
from camaudit.measure.trust.stages import Stage, find_stages

__all__ = [
    "NOISE",
    "REFERENCE",
    "SAME",
    "Found",
    "Question",
    "Randomised",
    "Stage",
    "changes_of",
    "check_faithfulness",
    "check_maps",
    "find_stages",
    "passes_of_faithfulness",
    "randomisation",
    "rank_correlations",
    "reinitialise",
    "to_common_grid",
]
