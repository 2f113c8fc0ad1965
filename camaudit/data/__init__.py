"""Images, labels, groups and regions: where they come from, and their geometry.

How a reader is added
    A format is one word of `data.format`. Its reader is one module ``camaudit/data/WORD.py`` with two functions: the
    public ``WORD(...) -> Dataset``, exported here, which only spells a configuration with `parse_section` and goes on to
    ``read_WORD(source: DataConfig, roles: RolesConfig) -> Dataset``, which `source.open_dataset` finds by its name
    (`source.READERS`). Keys that only this format has are a class in `camaudit.config.formats` or
    `camaudit.config.collections`, read by ``source.options_as(WordOptions)``; a key that no format needs alone
    (`images`, `table`, `columns`, `label`, `regions`, `derive`, `split`) is in `DataConfig`. Heavy libraries are imported
    inside the functions.

    ``read_WORD`` makes a generator of `records.Record`, one an image, and hands it to `records.assemble`, which joins the
    side table, derives regions, gives roles, checks that ids are unique, writes everything to disk and selects the split.
    So a reader keeps no list of its images: memory does not grow with the dataset. It resolves every path that the data
    names with `paths.Root`, which refuses one that leads out of the dataset's folder; notes what it goes on without in a
    `problems.Problems` (a kind says what is done about it; add kinds there); and raises `DataError` for what cannot be
    gone on with. Rows of CSV, TSV, Parquet and JSON Lines come from `rows.open_rows`, labels from `labels`.

What a `Dataset` is
    ``samples`` (a sequence; a reader's lies on disk), ``roles``, ``groups``, ``source``, ``problems`` and
    ``problem_counts``; `Dataset.of` makes one of samples from Python, in memory; ``sample(id)`` finds one.

What a region is
    `camaudit.types.Region` with a shape: a boolean array; `MaskFile` (indexed), `ColourMaskFile`, `RunLengths` (COCO's);
    `Polygon`, `Box`, `Keypoints` in pixels, `Relative` of one of these in shares of the image, or of a mask file of another
    size; `Instances`, the union of several that counts them, without any: annotated as not there; `Combined`, what
    `data.derive` makes; `InFile`, of a shape in the frame of the stored pixels, before EXIF turns them. Everything else is in
    the frame of the shown image. A region that a record does not have was not annotated. `masks.region_masks` draws them all.

What a path is
    Of a file; or one that goes on inside an Arrow file or leads into a dataset in memory (`stored.open_stored`), which is
    how images and masks without a file of their own are read when they are needed, and never extracted.
"""

from camaudit.data.batches import Batch, batches
from camaudit.data.celeba import celeba
from camaudit.data.coco import coco
from camaudit.data.dataset import Dataset
from camaudit.data.duplicates import Duplicates, duplicates, one_subject_each
from camaudit.data.fiftyone import fiftyone
from camaudit.data.folder import folder
from camaudit.data.geometry import Frame
from camaudit.data.huggingface import huggingface
from camaudit.data.images import open_image
from camaudit.data.isic import isic
from camaudit.data.masks import region_mask
from camaudit.data.pets import pets
from camaudit.data.source import open_dataset
from camaudit.data.table import table
from camaudit.data.torch_dataset import torch_dataset
from camaudit.data.voc import voc
from camaudit.data.waterbirds import waterbirds
from camaudit.data.yolo import yolo

__all__ = [
    "Batch",
    "Dataset",
    "Duplicates",
    "Frame",
    "batches",
    "celeba",
    "coco",
    "duplicates",
    "fiftyone",
    "folder",
    "huggingface",
    "isic",
    "one_subject_each",
    "open_dataset",
    "open_image",
    "pets",
    "region_mask",
    "table",
    "torch_dataset",
    "voc",
    "waterbirds",
    "yolo",
]
