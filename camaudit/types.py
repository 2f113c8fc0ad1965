"""The values that every stage shares. Frozen, without behaviour beyond what follows from their fields.

Arrays in these values are not copied: treat them as read-only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

Role = Literal["object", "attribute", "context"]
Status = Literal["issue", "tip", "passed", "insufficient", "not_applicable"]
Rung = Literal["attended", "trusted", "used", "harms"]
Said = Literal["yes", "no", "open"]

RUNGS: tuple[Rung, ...] = ("attended", "trusted", "used", "harms")


@dataclass(frozen=True)
class MaskFile:
    """A mask on disk, the size of its image.

    Attributes:
        path: a single-channel or palette image.
        values: the pixel values that belong to the region; None: every pixel that is not zero.
    """

    path: Path
    values: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Polygon:
    """Outlines in pixels of the image, x to the right and y down; each ring is ((x, y), ...)."""

    rings: tuple[tuple[tuple[float, float], ...], ...]


@dataclass(frozen=True)
class Box:
    """An axis-parallel box in pixels of the image: left, top, width, height."""

    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True)
class ColourMaskFile:
    """A colour-coded mask on disk, the size of its image, such as COCO's panoptic PNGs.

    Attributes:
        path: an RGB image.
        values: the colours that belong to the region, each as red + 256 · green + 65536 · blue.
    """

    path: Path
    values: tuple[int, ...]


@dataclass(frozen=True)
class RunLengths:
    """A mask as COCO's compressed run lengths: columns from left to right, the first run is background.

    Attributes:
        height: of the mask in pixels.
        width: of the mask in pixels.
        counts: the run lengths in COCO's own coding.
    """

    height: int
    width: int
    counts: str


@dataclass(frozen=True)
class Keypoints:
    """Discs around points in pixels of the image.

    Attributes:
        points: ((x, y), ...), x to the right and y down.
        radius: of each disc in pixels.
    """

    points: tuple[tuple[float, float], ...]
    radius: float


@dataclass(frozen=True)
class Instances:
    """Several shapes as one: their union, which knows how many they are; none: annotated as not there."""

    parts: tuple[Shape, ...] = ()


@dataclass(frozen=True)
class Combined:
    """A shape made of others: what is in all of them (``and``), in any (``or``), or not in the only one (``not``)."""

    operator: Literal["and", "or", "not"]
    parts: tuple[Shape, ...]


@dataclass(frozen=True)
class Relative:
    """A shape whose coordinates are shares of the image's width and height, in the frame of the shown image.

    A mask file is one of the image's proportions that may have another size; a pixel of the image takes the value of the
    mask's pixel that its centre falls on.
    """

    shape: Polygon | Box | Keypoints | MaskFile | ColourMaskFile


@dataclass(frozen=True)
class InFile:
    """A shape in the frame of the pixels as the image file stores them, before its EXIF orientation turns them.

    Attributes:
        shape: the shape.
        image: the file.
        size: (height, width) that the annotation says the image has. Where only the turned image has that size, the
            shape is in the frame of the shown image already; where neither has it, the shape is refused. None: not said.
    """

    shape: Shape
    image: Path
    size: tuple[int, int] | None = None


Shape: TypeAlias = (
    "NDArray[np.bool_] | MaskFile | ColourMaskFile | RunLengths | Polygon | Box | Keypoints | Instances | Combined"
    " | Relative | InFile"
)


@dataclass(frozen=True)
class Region:
    """A named part of one image.

    Attributes:
        name: such as ``stethoscope`` or ``hair``.
        role: ``object`` (what the model should use), ``attribute`` (what it should not), ``context`` (the rest).
        shape: a boolean array (height, width) of the image, or where such a mask comes from.
        made_by: the provider that made it, such as ``segmentation``; None: it was annotated.
    """

    name: str
    role: Role
    shape: Shape
    made_by: str | None = None

    @property
    def instances(self) -> int | None:
        """How many instances the region is the union of; None where that is not known, as of a mask."""
        shape = self.shape.shape if isinstance(self.shape, InFile) else self.shape
        return len(shape.parts) if isinstance(shape, Instances) else None


@dataclass(frozen=True)
class Sample:
    """One labelled image of a dataset.

    Attributes:
        id: unique within the dataset, stable between runs.
        image: path of the image file.
        label: the true class by name; None where it is not known.
        groups: values of the grouping columns, such as ``{"gender": "woman"}``.
        regions: the annotated regions; a region that is absent from the list was not annotated, a region whose
            mask is empty was annotated as not there.
        split: such as ``test``; None where the data has no splits.
        subject: what the sample is an instance of (a person, a patient); the unit that intervals resample.
    """

    id: str
    image: Path
    label: str | None
    groups: Mapping[str, str] = field(default_factory=dict)
    regions: tuple[Region, ...] = ()
    split: str | None = None
    subject: str | None = None


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes the model's input: resize, centre crop, scale to [0, 1], normalise.

    Attributes:
        resize: the shorter side in pixels after resizing, or (height, width); None: not resized.
        crop: the centre crop, side in pixels or (height, width); None: not cropped. A crop larger than the resized
            image pads it with black before normalising; the padding takes no part in any measurement.
        mean: per channel, of values in [0, 1].
        std: per channel, of values in [0, 1].
        interpolation: Pillow's name of the filter: ``bilinear``, ``bicubic`` or ``nearest``.
    """

    resize: int | tuple[int, int] | None
    crop: int | tuple[int, int] | None
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: Literal["bilinear", "bicubic", "nearest"] = "bilinear"


@dataclass(frozen=True)
class OutputTarget:
    """The scalar of the model's output that a map explains, always before the softmax.

    Attributes:
        kind: ``predicted`` (the class with the highest score), ``label`` (the true class), ``class`` (the one in
            `classes`), ``contrast`` (score of the first class in `classes` minus that of the second), ``output`` (an output of a
            regression, named in `classes`).
        classes: class names, as `kind` needs them.
    """

    kind: Literal["predicted", "label", "class", "contrast", "output"]
    classes: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The name used in file names, tables and on the command line, such as ``class:nurse``."""
        return self.kind if not self.classes else f"{self.kind}:{','.join(self.classes)}"


@dataclass(frozen=True)
class AttributionMap:
    """One raw attribution map.

    Attributes:
        values: (h, w) float32 on the target layer's own grid, not normalised, non-negative after the method's own
            ReLU; the unit is that of the score, up to the constants the method leaves out.
        sample: id of the sample.
        method: id of the method, such as ``gradcam``.
        layer: name of the module the map was made at.
        target: id of the output target, such as ``predicted``.
    """

    values: NDArray[np.float32]
    sample: str
    method: str
    layer: str
    target: str


@dataclass(frozen=True)
class Measurement:
    """One number about one sample: a tidy row of ``measurements.parquet``.

    Attributes:
        sample: id of the sample.
        method: what was measured: an attribution method (``gradcam``) or an edit (``blur``).
        target: id of the output target.
        target_class: the class the target stands for in this sample.
        region: a region's name, or several joined by ``+`` for their union.
        role: the role of the region.
        metric: such as ``mass``, ``lift``, ``excess``, ``pointing``, ``shift``.
        value: NaN where the measure is not defined (an empty mask, a map of zero mass).
    """

    sample: str
    method: str
    target: str
    target_class: str
    region: str
    role: Role
    metric: str
    value: float


@dataclass(frozen=True)
class Effect:
    """A mean over samples with its uncertainty.

    Attributes:
        name: the metric.
        estimate: the mean.
        low: lower end of the 95 % interval; NaN where there are too few samples.
        high: upper end.
        p: two-sided p-value against zero; NaN where it is not tested.
        q: p after Benjamini-Hochberg over the table the effect stands in.
        n: number of samples with a defined value.
    """

    name: str
    estimate: float
    low: float
    high: float
    p: float
    q: float
    n: int


@dataclass(frozen=True)
class Cluster:
    """Samples of one class whose maps lie in the same place.

    Attributes:
        target_class: the class whose maps were clustered.
        index: 0 for the largest cluster of its class.
        members: sample ids, the most typical first.
        mean_map: (h, w) float32, the mean of the members' maps, each divided by its sum.
        region_shares: mean share of the map's mass in each region.
        group_shares: for every group column, the share of each of its values among the members.
        error_rate: share of the members that the model gets wrong; NaN without labels.
    """

    target_class: str
    index: int
    members: tuple[str, ...]
    mean_map: NDArray[np.float32]
    region_shares: Mapping[str, float]
    group_shares: Mapping[str, Mapping[str, float]]
    error_rate: float


@dataclass(frozen=True)
class Finding:
    """One decision of the audit, on the ladder attended / trusted / used / harms.

    Attributes:
        code: stable, documented in ``docs/findings.md``, such as ``CAM101``.
        title: one sentence a colleague would say, with the figures that carry it.
        status: ``issue``, ``tip``, ``passed``, ``insufficient`` or ``not_applicable``.
        rung: the highest rung reached; None where none was.
        severity: 0 (nothing) to 1; orders the findings, is not a probability.
        target_class: the class concerned, or None for all.
        region: the region concerned.
        role: its role.
        group: the group concerned, such as ``{"gender": "man"}``; empty for all samples.
        effect: the effect that decided the status.
        evidence: one effect for each rung that was examined, by the rung's name.
        answers: what each examined rung came to, by its name: ``yes``, ``no``, or ``open`` where it cannot be said.
        samples: ids of exemplars, the strongest first.
        counter_samples: ids of samples of the same class that contradict the finding most.
        advice: what to do next.
    """

    code: str
    title: str
    status: Status
    rung: Rung | None
    severity: float
    target_class: str | None
    region: str | None
    role: Role | None
    group: Mapping[str, str]
    effect: Effect | None
    evidence: Mapping[str, Effect]
    answers: Mapping[str, Said]
    samples: tuple[str, ...]
    counter_samples: tuple[str, ...]
    advice: str


@dataclass(frozen=True)
class Verdict:
    """The whole audit in one paragraph.

    Attributes:
        status: the gravest that follows from the findings.
        headline: a few words.
        text: one paragraph in plain words.
        finding: place, in the list of findings, of the one that decided; None where none did.
    """

    status: Status
    headline: str
    text: str
    finding: int | None = None


@dataclass(frozen=True)
class Skipped:
    """An image that could not be audited, and why."""

    sample: str
    path: str
    reason: str


@dataclass(frozen=True)
class RunManifest:
    """What a run is, in ``manifest.json``.

    Attributes:
        schema_version: of the run directory's layout.
        name: the run directory's name.
        stages: state of each stage, ``pending``, ``running`` or ``done``, in order.
        hashes: sha256 of the resolved ``config``, of the ``model``'s weights and of the ``data``'s table.
        versions: of python, camaudit, torch and the other packages that decide the numbers.
        seed: of every random choice in the run.
        device: such as ``cpu`` or ``NVIDIA H200``.
        model: name of the model.
        classes: class names in the order of the head's outputs.
        target_layer: name of the module the maps are made at.
        grid: (h, w) of the maps.
        frame: (height, width) in pixels of the model's input.
        preprocessing: the resolved preprocessing.
        methods: ids of the methods.
        targets: ids of the output targets.
        roles: role of every region, unions included.
        groups: names of the group columns.
        samples: number of samples in the dataset.
        skipped: the images that could not be audited.
        warnings: what the reader of the run should know, one sentence each.
        seconds: wall time of each stage that is done.
        made_by: the provider of every region that was not annotated, of unions their parts' joined by ``+``.
    """

    schema_version: int
    name: str
    stages: Mapping[str, str]
    hashes: Mapping[str, str]
    versions: Mapping[str, str]
    seed: int
    device: str
    model: str
    classes: tuple[str, ...]
    target_layer: str
    grid: tuple[int, int]
    frame: tuple[int, int]
    preprocessing: Preprocessing
    methods: tuple[str, ...]
    targets: tuple[str, ...]
    roles: Mapping[str, Role]
    groups: tuple[str, ...]
    samples: int
    skipped: tuple[Skipped, ...] = ()
    warnings: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    made_by: Mapping[str, str] = field(default_factory=dict)


class AuditedRun(Protocol):
    """The read side of a run: what report, browse and compare see of it."""

    @property
    def path(self) -> Path:
        """The run directory."""
        ...

    @property
    def manifest(self) -> RunManifest:
        """What the run is."""
        ...

    @property
    def config(self) -> Mapping[str, Any]:
        """The resolved configuration as plain values."""
        ...

    @property
    def samples(self) -> pd.DataFrame:
        """One row a sample, in the order of the dataset.

        Columns: ``sample`` (id), ``image`` (path as text), ``label``, ``predicted`` (class names), ``correct``
        (boolean, missing without a label), ``confidence`` (softmax of the predicted class), ``margin`` (score of the
        predicted class minus the next best), ``split``, ``subject``, ``group_NAME`` for every group column,
        ``score_CLASS`` (before softmax) for every class, ``scale_METHOD_TARGET`` (the maximum of the raw map),
        ``look_NAME`` for every look of the whole image in `camaudit.measure.appearance.LOOKS`.
        """
        ...

    @property
    def measurements(self) -> pd.DataFrame:
        """Rows of `Measurement`, tidy."""
        ...

    @property
    def effects(self) -> pd.DataFrame:
        """One row an effect.

        Columns: ``metric, method, target, target_class, region, role, group, value, estimate, low, high, p, q, n``;
        ``group`` is a group column's name and ``value`` one of its values, both empty text for all samples.
        """
        ...

    @property
    def clusters(self) -> pd.DataFrame:
        """One row a clustered sample.

        Columns: ``sample, method, target, target_class, cluster`` (index), ``rank`` (0 for the most typical member),
        ``x, y`` (the 2-d embedding).
        """
        ...

    @property
    def trust(self) -> pd.DataFrame:
        """One row a sample, method and check of the maps; empty where none was made.

        Columns: ``sample, method, check, value, draw``; checks as in ``docs/findings.md`` (CAM201), the areas of the curves by
        ``deletion``, ``deletion_random``, ``deletion_centre`` and the like; samples of one draw share their random networks.
        """
        ...

    @property
    def exchanges(self) -> pd.DataFrame:
        """One row a sample and donor: the sample's image with something of the donor's; empty where none was made.

        Columns: ``sample, donor, region, put`` (``background``: the sample's object before the donor's background;
        ``attribute``: the donor's attribute in the place of the sample's own), ``target, target_class, value`` (margin of the
        class in its standard deviations).
        """
        ...

    @property
    def transplants(self) -> pd.DataFrame:
        """One row a sample and donor: the donor's attribute put into the image of the sample; empty where none was.

        Columns: ``sample, donor, region, target, target_class``, ``shift`` (what it adds to the margin of the class beyond
        what donors without it show in that place, in its standard deviations), ``shift_region`` (what it adds at all).
        """
        ...

    @property
    def recasts(self) -> pd.DataFrame:
        """One row a sample, look and class: what more of a look of the whole image adds; empty where none was changed.

        Columns: ``sample, look, target_class, value`` (margin of the class in units of the score).
        """
        ...

    @property
    def quadrants(self) -> pd.DataFrame:
        """One row a sample, in their order: right or wrong, for the right or the wrong reason.

        Columns: ``sample``, ``quadrant`` (``right_right``, ``right_wrong``, ``wrong_right``, ``wrong_wrong`` or
        ``unknown``: the prediction, then its reason), ``object_shift``, ``attribute_shift`` (SD of the margin of the predicted
        class, NaN where it was not measured).
        """
        ...

    @property
    def findings(self) -> Sequence[Finding]:
        """Every finding, the gravest first."""
        ...

    @property
    def verdict(self) -> Verdict:
        """What follows from the findings."""
        ...

    def attribution(
        self, sample: str, method: str | None = None, target: str | None = None
    ) -> AttributionMap:
        """The raw map of one sample; the first method and target of the run where none is named."""
        ...

    def picture(self, sample: str) -> NDArray[np.uint8]:
        """The image as the model sees it, before normalising: (height, width, 3) in the model's frame."""
        ...

    def masks(self, sample: str) -> Mapping[str, NDArray[np.bool_]]:
        """The single regions of a sample (no unions), each (height, width) in the model's frame."""
        ...

    def source(self, sample: str) -> Sample:
        """The sample as the dataset has it, with masks in the frame of the original image."""
        ...
