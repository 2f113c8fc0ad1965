"""What a map, a region and a model say about one sample: localisation and intervention."""

from camaudit.measure.fills import FILLS, Pictures, blur, edited_scores
from camaudit.measure.grid import to_grid
from camaudit.measure.intervention import controls, margins
from camaudit.measure.localisation import LOCALISATION_METRICS, localisation
from camaudit.measure.regions import edited_regions, measured_regions

__all__ = [
    "FILLS",
    "LOCALISATION_METRICS",
    "Pictures",
    "blur",
    "controls",
    "edited_regions",
    "edited_scores",
    "localisation",
    "margins",
    "measured_regions",
    "to_grid",
]
