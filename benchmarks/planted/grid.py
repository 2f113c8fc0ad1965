"""Which models are audited, on what, in which order."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.planted.catalogue import Portion
    from benchmarks.planted.composing import Task
    from benchmarks.planted.networks import Family
    from benchmarks.planted.sets import Masks
    from benchmarks.planted.shortcuts import Name

STRENGTHS: Final = (50, 60, 70, 80, 90, 95, 100)
AUDITED: Final = 300  # images, unless said otherwise
TWINS: Final = 600  # pairs that tell the truth; the audited images are the first of them
POOL: Final = 800  # training pairs of a station
TRAINING: Final = 600  # of them a model is trained on
FIRST_REPORTED_SEED: Final = 3000
"""Of earlier seeds some were looked at, and rules were changed for what was seen."""
FIRST_PRETRAINED_SEED: Final = 2000
"""The same of pretrained networks: what was changed last, the rim of an edit, is nothing where images are not resized."""


@dataclass(frozen=True)
class Station:
    """A test set and the pool that its models are trained on.

    Attributes:
        task: which task.
        shortcut: which shortcut.
        portion: development or reported: whose cut-outs and scenes the test set shows.
        seed: of both; from `FIRST_REPORTED_SEED` or `FIRST_PRETRAINED_SEED` on where it is reported.
        along: share of the test images, in percent, that go along with the shortcut's association. More than 50 makes a
            trap of models trained at 50: the attribute goes with the label, and nobody has learnt it.
    """

    task: Task
    shortcut: Name
    portion: Portion
    seed: int
    along: int = 50

    @property
    def id(self) -> str:
        """Such as ``waterbird-patch-reported-2000-50``."""
        return "-".join(str(value) for value in asdict(self).values())


@dataclass(frozen=True)
class Job:
    """One model and how it is audited.

    Attributes:
        family: how it is trained.
        strength: share of its training images, in percent, that go along with the shortcut's association.
        seed: of its training.
        images: how many are audited.
        masks: how well they are annotated.
        trust: whether the audit examines if the maps can be believed, which costs time and no rung but its own.
    """

    family: Family
    strength: int
    seed: int
    images: int = AUDITED
    masks: Masks = "exact"
    trust: bool = False

    @property
    def id(self) -> str:
        """Such as ``frozen-95-0-300-exact``."""
        return "-".join(str(value) for name, value in asdict(self).items() if name != "trust")


Kinds: TypeAlias = "tuple[tuple[Task, Name], ...]"
Models: TypeAlias = "Sequence[tuple[Family, int, int]]"
Plan: TypeAlias = "list[tuple[Station, list[Job]]]"

_DRAWN: Final[Kinds] = (
    *(("nurse", "head"), ("nurse", "patch"), ("nurse", "object"), ("nurse", "blur"), ("nurse", "watermark")),
    *(("nurse", "frame"), ("nurse", "tint"), ("nurse", "jpeg")),
)
"""A task that a small network from scratch learns, so that its null models have learnt something."""
_PHOTOGRAPHED: Final[Kinds] = (
    *(("waterbird", "patch"), ("waterbird", "background"), ("waterbird", "watermark"), ("waterbird", "blur")),
    *(("waterbird", "frame"), ("waterbird", "object"), ("mammal", "patch"), ("mammal", "tint")),
)
_TRAPS: Final[Kinds] = (("nurse", "watermark"), ("nurse", "patch"), ("nurse", "head"), ("nurse", "object"))
_VARIED: Final[Kinds] = (("nurse", "patch"), ("nurse", "watermark"), ("nurse", "frame"))
_RARE: Final[Kinds] = (
    ("waterbird", "background"),
    ("nurse", "head"),
    ("mammal", "jpeg"),
    ("waterbird", "object"),
)
"""Of these few models were biased in the first table."""


def whole(portion: Portion = "reported") -> Plan:
    """Every model of the committed table, wave by wave, so that a run that is stopped has some of everything."""
    small, large = (FIRST_REPORTED_SEED, FIRST_PRETRAINED_SEED) if portion == "reported" else (0, 0)

    def wave(kinds: Kinds, models: Models, seed: int, *, along: int = 50, trust: bool = False) -> Plan:
        jobs = [Job(family, strength, seed, trust=trust) for family, strength, seed in models]
        return [(Station(task, name, portion, seed, along), jobs) for task, name in kinds]

    # many models in one visit: drawing a test set costs as much as an audit
    few: Models = (("cnn", 50, 0), ("cnn", 95, 0))
    more: Models = (("cnn", 50, 1), ("cnn", 80, 0), ("cnn", 60, 0), ("cnn", 100, 0))
    transformers: Models = (("vit", 50, 0), ("vit", 95, 0))
    examined, others = wave(_DRAWN, few, small, trust=True), wave(_DRAWN, (*more, *transformers), small)
    plan = [(station, jobs + left) for (station, jobs), (_, left) in zip(examined, others, strict=True)]
    nulls: Models = (("cnn", 50, 0), ("cnn", 50, 1), ("cnn", 50, 2), ("cnn", 50, 3))
    plan += wave(_TRAPS, nulls, small, along=90)
    models = [("frozen", 50, 0), ("frozen", 95, 0), ("frozen", 50, 1), ("frozen", 80, 0), ("tuned", 95, 0)]
    models += [("frozen", 100, 0), ("tuned", 50, 0)]
    plan += wave((*_PHOTOGRAPHED, ("nurse", "head")), models, large)
    # other images, other models
    further: Models = (*(("cnn", 50, i) for i in (0, 1, 2)), ("cnn", 70, 0), ("cnn", 90, 0), ("cnn", 95, 0))
    for later in (1, 2, 3):
        plan += wave(_DRAWN, further, small + later)
    for later in (0, 1):
        plan += [(station, varied()) for station, _ in wave(_VARIED, (), small + later)]
    strong: Models = (("frozen", 95, 0), ("frozen", 100, 0), ("tuned", 95, 0), ("tuned", 100, 0))
    for later in (1, 2):
        plan += wave(_RARE, strong, large + later)
    return plan


def varied() -> list[Job]:
    """Two models, one with and one without a shortcut, by the number of images and by how well they are annotated."""
    models = (("cnn", 95, 0), ("cnn", 50, 0))
    jobs = [Job(*model, masks=masks) for model in models for masks in _SLOPPY]
    return [*jobs, *(Job(*model, images=images) for model in models for images in (30, 100, 1000))]


_SLOPPY: Final[tuple[Any, ...]] = ("dilated", "eroded", "shifted", "boxes", "missing")


def quick(portion: Portion = "reported") -> Plan:
    """A part of it that takes 15 minutes on two cores."""
    first, pretrained = (FIRST_REPORTED_SEED, FIRST_PRETRAINED_SEED) if portion == "reported" else (0, 0)
    small = [Job("cnn", 50, 0, trust=True), Job("cnn", 95, 0, trust=True)]
    large = [Job("frozen", 50, 0), Job("frozen", 95, 0)]
    chosen = [(kind, first, small) for kind in _DRAWN[:6]] + [
        (kind, pretrained, large) for kind in _PHOTOGRAPHED[:3]
    ]
    return [(Station(task, name, portion, seed), jobs) for (task, name), seed, jobs in chosen]
