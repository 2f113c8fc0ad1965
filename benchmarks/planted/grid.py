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
FIRST_REPORTED_SEED: Final = 1000


@dataclass(frozen=True)
class Station:
    """A test set and the pool that its models are trained on.

    Attributes:
        task: which task.
        shortcut: which shortcut.
        portion: development or reported: whose cut-outs and scenes the test set shows.
        seed: of both; from 1000 on where it is reported.
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
        """Such as ``waterbird-patch-reported-1000-50``."""
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

_LOCAL: Final[Kinds] = (
    ("waterbird", "background"),
    ("waterbird", "patch"),
    ("nurse", "head"),
    ("waterbird", "watermark"),
    ("waterbird", "object"),
    ("waterbird", "frame"),
    ("mammal", "patch"),
    ("nurse", "watermark"),
)
_GLOBAL: Final[Kinds] = (
    ("waterbird", "blur"),
    ("mammal", "tint"),
    ("waterbird", "jpeg"),
    ("nurse", "blur"),
)
_TRAPS: Final[Kinds] = (("waterbird", "watermark"), ("mammal", "patch"), ("nurse", "head"))
_PRETRAINED: Final[Kinds] = (*_LOCAL[:4], *_GLOBAL[:2])
"""With models on ImageNet features from the first; the others come last, since a new test set costs a trunk's time."""
_VARIED: Final[tuple[Task, Name]] = ("waterbird", "patch")


def whole(portion: Portion = "reported") -> Plan:
    """Every model of the committed table, wave by wave, so that a run that is stopped has some of everything."""
    seed = FIRST_REPORTED_SEED if portion == "reported" else 0

    def wave(kinds: Kinds, models: Models, *, along: int = 50, trust: bool = False) -> Plan:
        jobs = [Job(family, strength, seed, trust=trust) for family, strength, seed in models]
        return [(Station(task, name, portion, seed, along), jobs) for task, name in kinds]

    every = _LOCAL + _GLOBAL
    # many models in one visit: drawing a test set costs as much as half an audit
    plan = wave(every, (("cnn", 50, 0), ("cnn", 95, 0)), trust=True)
    more = wave(every, (("cnn", 50, 1), ("cnn", 80, 0)))
    plan = [(station, [*jobs, *of]) for (station, jobs), (_, of) in zip(plan, more, strict=True)]
    models = [("frozen", 50, 0), ("frozen", 95, 0), ("frozen", 80, 0), ("frozen", 50, 1), ("frozen", 60, 0)]
    plan += wave(_PRETRAINED, [*models, ("tuned", 50, 0), ("tuned", 95, 0), ("frozen", 100, 0)])
    plan += wave(_TRAPS, (("cnn", 50, 0), ("cnn", 50, 1), ("cnn", 50, 2), ("cnn", 60, 0)), along=90)
    plan += [(Station(*_VARIED, portion, seed), varied())]
    models = [("cnn", 60, 0), ("cnn", 100, 0), ("vit", 50, 0), ("vit", 95, 0), ("cnn", 70, 0), ("cnn", 90, 0)]
    plan += wave(every, [*models, ("cnn", 50, 2)])
    rest = [("frozen", strength, 1) for strength in STRENGTHS[1:]] + [("tuned", 80, 0), ("frozen", 50, 2)]
    plan += wave(_PRETRAINED, rest)
    plan += wave(
        every, [("cnn", strength, seed) for seed in (1, 2) for strength in STRENGTHS if strength != 50]
    )
    others = tuple(kind for kind in every if kind not in _PRETRAINED)
    return plan + wave(others, (("frozen", 50, 0), ("frozen", 95, 0), ("frozen", 80, 0), ("frozen", 50, 1)))


def varied() -> list[Job]:
    """Two models, one with and one without a shortcut, by the number of images and by how well they are annotated."""
    models = (("cnn", 95, 0), ("cnn", 50, 0))
    jobs = [Job(*model, masks=masks) for masks in _SLOPPY for model in models]
    return [*jobs, *(Job(*model, images=images) for images in (30, 100, 1000) for model in models)]


_SLOPPY: Final[tuple[Any, ...]] = ("dilated", "eroded", "shifted", "boxes", "missing")


def quick(portion: Portion = "reported") -> Plan:
    """A part of it that takes 15 minutes on two cores."""
    seed = FIRST_REPORTED_SEED if portion == "reported" else 0
    jobs = [
        Job("cnn", 50, 0, trust=True),
        Job("cnn", 95, 0, trust=True),
        Job("frozen", 50, 0),
        Job("frozen", 95, 0),
    ]
    return [(Station(task, name, portion, seed), jobs) for task, name in _PRETRAINED]
