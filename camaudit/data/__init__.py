"""Images, labels, groups and regions: where they come from, and their geometry."""

from camaudit.data.batches import Batch, batches
from camaudit.data.dataset import Dataset
from camaudit.data.folder import folder
from camaudit.data.geometry import Frame
from camaudit.data.images import open_image
from camaudit.data.masks import region_mask
from camaudit.data.source import open_dataset
from camaudit.data.table import table

__all__ = [
    "Batch",
    "Dataset",
    "Frame",
    "batches",
    "folder",
    "open_dataset",
    "open_image",
    "region_mask",
    "table",
]
