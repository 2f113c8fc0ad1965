"""The dry run: everything that is wrong, at once, what the dataset holds, and what the audit will cost."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence as SequenceOf
from contextlib import suppress
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from camaudit.config import (
    AuditConfig,
    AuditSettings,
    DataConfig,
    ModelConfig,
    RolesConfig,
    load_sections,
    parse_target,
)
from camaudit.data import Duplicates
from camaudit.data.duplicates import grouped
from camaudit.data.index import SampleIndex
from camaudit.data.problems import LISTED, Problem, Problems, collecting
from camaudit.data.roles import as_config, role_of_each
from camaudit.data.training import training_table
from camaudit.errors import CamauditError
from camaudit.explain import get_method
from camaudit.models import open_model, target_layer
from camaudit.providers import identity, made_by_models, open_dataset, provide
from camaudit.runs.checking.cost import Cost, estimate
from camaudit.runs.checking.counting import Counts, count
from camaudit.runs.checking.kinds import LEAVES_OUT, STOPS
from camaudit.runs.checking.sheet import draw_sheet
from camaudit.runs.checking.tables import area_table, associations, crossed_table, group_table
from camaudit.runs.fit import check_methods, check_target, find_device, unknown_labels
from camaudit.runs.progress import Progress, Silent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd

    from camaudit.config.model import Task
    from camaudit.data import Dataset
    from camaudit.models import LoadedModel
    from camaudit.types import Sample

T = TypeVar("T")


@dataclass(frozen=True)
class Check:
    """What a dry run found.

    Attributes:
        problems: what an audit is refused for, the first ones of each kind (`camaudit.runs.checking.kinds.STOPS`).
        problem_counts: how many of each kind there are.
        left_out: images that a run would leave out, unless it is strict, the first ones of each kind (``LEAVES_OUT``).
        left_out_counts: how many of each kind there are.
        noticed: what the reader of the dataset went on without (`camaudit.data.problems.KINDS`).
        noticed_counts: how many of each kind there are.
        warnings: what should be known and stops nothing, a sentence each.
        facts: what was resolved, in order: name and value.
        regions: one row a region: ``region, role, annotated, empty`` (numbers of images), and of its share of the image
            where it is not empty ``mean, q25, median, q75``.
        groups: number of samples per label and value of each group column: ``group, value, label, n``.
        crossed: the same of each pair of group columns: ``first, first_value, second, second_value, n``.
        associations: Cramér's V of the label with each group column and of each pair of these, with its 95 % interval:
            ``first, second, v, low, high, p, n``.
        duplicates: samples of any split that show the same picture; None where they were not looked for.
        cost: what the run will take; None where nothing could be tried.
        sheet: the contact sheet as a PNG; None where no image can be shown.
    """

    problems: tuple[Problem, ...]
    problem_counts: Mapping[str, int]
    left_out: tuple[Problem, ...] = ()
    left_out_counts: Mapping[str, int] = field(default_factory=dict)
    noticed: tuple[Problem, ...] = ()
    noticed_counts: Mapping[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    regions: pd.DataFrame = field(default_factory=lambda: area_table(None, {}))
    groups: pd.DataFrame = field(default_factory=lambda: group_table(None))
    crossed: pd.DataFrame = field(default_factory=lambda: crossed_table(None))
    associations: pd.DataFrame = field(default_factory=lambda: associations(None))
    duplicates: Duplicates | None = None
    cost: Cost | None = None
    sheet: bytes | None = None


def check(
    config: AuditConfig,
    *,
    trust_code: bool = False,
    duplicates: bool = True,
    everything: bool = False,
    progress: Progress | None = None,
) -> Check:
    """Try everything an audit needs, without writing anything.

    Reads every image and mask once, loads the model, and runs one batch, twice.

    Args:
        config: of the audit.
        trust_code: as of `camaudit.load_model`.
        duplicates: whether duplicates are looked for, in all splits: also in those that are not audited.
        everything: whether every problem is kept, not only the first ones of each kind.
        progress: who is told how far it is.
    """
    sections = {name: getattr(config, name) for name in AuditConfig.model_fields}
    return _Checking(sections, trust_code=trust_code, everything=everything, progress=progress).done(
        duplicates
    )


def check_file(
    path: Path,
    *,
    trust_code: bool = False,
    duplicates: bool = True,
    everything: bool = False,
    progress: Progress | None = None,
) -> Check:
    """`check` of a YAML file; where a section of it cannot be used, the others are tried all the same.

    What models find that make regions (`data.provide`) is kept in ``runs/NAME.regions`` beside the file, for the next check.

    Raises:
        ConfigError: the file is missing or no YAML.
    """
    sections, problems = load_sections(path)
    checking = _Checking(sections, trust_code=trust_code, everything=everything, progress=progress)
    checking.found = path.parent / "runs" / f"{path.stem}.regions"
    for problem in problems:
        checking.stops.add("config", "", problem)
    return checking.done(duplicates)


class _Checking:
    """A dry run while it goes on."""

    def __init__(
        self, sections: Mapping[str, object], *, trust_code: bool, everything: bool, progress: Progress | None
    ) -> None:
        self.model_of, self.data_of = sections.get("model"), sections.get("data")
        self.roles, self.settings = sections.get("roles"), sections.get("audit")
        self._trust_code = trust_code
        self.found: Path | None = None  # where is kept what models find that make regions
        self._warnings: tuple[str, ...] = ()
        self._on = torch.device("cpu")
        self._progress = progress or Silent()
        most = None if everything else LISTED
        self.stops, self._left_out = Problems(STOPS, most=most), Problems(LEAVES_OUT, most=most)

    def done(self, duplicates: bool) -> Check:  # noqa: FBT001 - said once, above
        device, model = self._device(), self._model()
        self._on = device or self._on
        data = self._data()
        if model is not None and isinstance(self.settings, AuditSettings):
            self._attempt("method", partial(self._methods_fit, model))
        classes, task = self._classes(model)
        self._targets(classes, task)
        facts = {"samples": f"{len(data)}"} if data is not None else {}
        facts |= _model_facts(model) if model is not None else {}
        if data is None:
            return self._check(facts)
        facts |= {"made regions": " ".join(self._warnings)} if self._warnings else {}
        whole = self._whole(data) if duplicates else data
        if isinstance(self.settings, AuditSettings) and (path := self.settings.training) is not None:
            self._attempt("config", partial(training_table, path, data.source, data.groups))
        counts = self._count(data, whole, model, classes, task, duplicates=duplicates)
        found = _duplicates(whole, counts) if duplicates else None
        recipe = model.preprocessing if model is not None else None
        cost = None
        if model is not None and device is not None and not self.stops.counts:
            cost = self._attempt("batch", lambda: estimate(data, model, self._config(), device))
            facts["device"] = str(device)
        return self._check(
            facts,
            noticed=data.problems,
            noticed_counts=data.problem_counts,
            warnings=(*self._warnings, *(found.warnings() if found else ())),
            regions=area_table(counts, data.regions),
            groups=group_table(counts),
            crossed=crossed_table(counts),
            associations=associations(counts),
            duplicates=found,
            cost=cost,
            sheet=draw_sheet(whole.samples, counts, data.regions, recipe),
        )

    def _check(self, facts: Mapping[str, str], **found: object) -> Check:
        return Check(
            self.stops.listed,
            self.stops.counts,
            self._left_out.listed,
            self._left_out.counts,
            facts=facts,
            **found,  # type: ignore[arg-type]  # fields of Check
        )

    def _attempt(self, kind: str, step: Callable[[], T]) -> T | None:
        try:
            return step()
        except CamauditError as error:
            # what finds several says each in a line of its own
            lines = str(error).splitlines() if kind in {"data", "role"} else [str(error)]
            for line in lines:
                self.stops.add(kind, "", line)
            return None

    def _device(self) -> torch.device | None:
        settings = self.settings
        if not isinstance(settings, AuditSettings):
            return None
        for method in settings.methods:
            self._attempt("method", partial(get_method, method))
        return self._attempt("device", lambda: find_device(settings.device))

    def _model(self) -> LoadedModel | None:
        section = self.model_of
        if not isinstance(section, ModelConfig):
            return None
        return self._attempt("model", lambda: open_model(section, trust_code=self._trust_code))

    def _methods_fit(self, model: LoadedModel) -> None:
        if isinstance(self.settings, AuditSettings) and "method" not in self.stops.counts:
            check_methods(self.settings.methods, model)

    def _classes(self, model: LoadedModel | None) -> tuple[tuple[str, ...], Task]:
        if model is not None:
            return model.classes, model.task
        section = self.model_of
        return (
            (tuple(section.classes), section.task) if isinstance(section, ModelConfig) else ((), "multiclass")
        )

    def _targets(self, classes: Sequence[str], task: Task) -> None:
        if isinstance(self.settings, AuditSettings) and classes:
            for target in self.settings.targets:
                self._attempt("target", partial(check_target, parse_target(target), classes, task=task))

    def _data(self) -> Dataset | None:
        """The dataset, read without its roles: what is wrong with these is then said beside all else."""
        source, roles = self.data_of, self.roles
        if not isinstance(source, DataConfig):
            return None
        with collecting(self.stops):
            data = self._attempt("data", lambda: open_dataset(source, RolesConfig()))
        if data is None or not isinstance(roles, RolesConfig):
            return data
        names = list(data.regions)
        found = self._attempt("role", lambda: role_of_each(names, roles, where=str(source.path)))
        return data if found is None else self._provided(replace(data, roles=as_config(found)))

    def _provided(self, data: Dataset) -> Dataset | None:
        """The dataset with the regions that nobody annotated."""
        if not data.source.provide:
            return data

        def told(done: int, total: int) -> None:
            self._progress.update("regions", done, total)

        with tempfile.TemporaryDirectory(prefix="camaudit-") as nowhere:
            kept = self.found is not None and made_by_models(data.source)
            cache = self.found / identity(data) if self.found is not None and kept else Path(nowhere)
            made = self._attempt("data", lambda: provide(data, cache, self._on, progress=told))
        if made is None:
            return None
        self._warnings = made.warnings
        return made.data

    def _whole(self, data: Dataset) -> Dataset:
        """The dataset with all its splits."""
        source = data.source
        if source.split is None or source.provide:  # the other splits have no regions yet
            return data
        with suppress(CamauditError), collecting(Problems(STOPS)):
            return open_dataset(source.model_copy(update={"split": None}), RolesConfig())
        return data

    def _count(
        self,
        data: Dataset,
        whole: Dataset,
        model: LoadedModel | None,
        classes: Sequence[str],
        task: Task,
        *,
        duplicates: bool,
    ) -> Counts:
        split = None if whole is data else data.source.split
        settings = self.settings
        wanted = isinstance(settings, AuditSettings) and "label" in settings.targets

        def each(place: int, sample: Sample) -> None:
            if wanted and sample.label is None:
                self.stops.add("no-label", place_of(whole, place), f"the sample {sample.id} has no label.")
            for label in unknown_labels(sample.label, classes, task=task) if classes else ():
                self.stops.add("label", place_of(whole, place), _unknown(label, classes, task))

        counts = count(
            whole.samples,
            audited=lambda sample: split is None or sample.split == split,
            groups=data.groups,
            regions=list(data.regions),
            recipe=model.preprocessing if model is not None else None,
            fingerprints=duplicates,
            left_out=self._left_out,
            where=partial(place_of, whole),
            each=each,
            progress=lambda done: self._progress.update("check", done, len(whole)),
        )
        if counts.left_out == counts.samples:
            first = self._left_out.listed[0].message
            self.stops.add(
                "images", "", f"None of the {counts.samples} images can be read. The first: {first}"
            )
        if len(counts.frames) > 1:
            self.stops.add("frame", "", _mixed(counts.frames))
        return counts

    def _config(self) -> AuditConfig:
        return AuditConfig.model_construct(
            model=self.model_of, data=self.data_of, roles=self.roles, audit=self.settings
        )


def place_of(data: Dataset, place: int) -> str:
    """File and row of the sample at a place; its id where it lies in memory."""
    samples = data.samples
    return samples.where(place) if isinstance(samples, SampleIndex) else samples[place].id


def _unknown(label: str, classes: Sequence[str], task: Task) -> str:
    if task == "regression":
        return f"the label {label!r} is not {len(classes)} number(s), the true value of each output."
    close = get_close_matches(label, classes, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"the classes are {_cut(', '.join(classes), 200)}."
    return f"the label {_cut(repr(label), 80)} is none of the model's classes; {hint}"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}..."


def _mixed(frames: Mapping[tuple[int, int], str]) -> str:
    """The problem of images that have different sizes in the model's frame, which no batch can hold."""
    shown = [f"{width}x{height} of {image}" for (height, width), image in islice(frames.items(), 3)]
    more = ", ..." if len(frames) > len(shown) else ""
    return (
        f"The images have {len(frames)} different sizes in the model's frame ({', '.join(shown)}{more}). "
        "Set model.preprocessing.crop, or resize to a height and a width."
    )


def _model_facts(model: LoadedModel) -> dict[str, str]:
    """What was found out about the model, as a person reads it."""
    recipe = model.preprocessing
    facts = {
        "model": model.name,
        "task": f"{model.task}: {', '.join(model.classes[:6])}{', ...' if len(model.classes) > 6 else ''}",
        "target layer": _layer(model),
        "preprocessing": f"resize {recipe.resize}, crop {recipe.crop}, {recipe.interpolation}, "
        f"mean {recipe.mean}, std {recipe.std} (from {model.preprocessing_of})",
    }
    return facts | ({"weights": "; ".join(model.notes)} if model.notes else {})


def _layer(model: LoadedModel) -> str:
    if not model.target_layer:
        return "none: its layers cannot be looked into"
    side = model.preprocessing.crop or model.preprocessing.resize or 224
    height, width = (side, side) if isinstance(side, int) else side
    example = model.inputs(torch.zeros(1, height, width, 3, dtype=torch.uint8))
    with suppress(CamauditError):
        grid = target_layer(model.module, model.target_layer, example).grid
        return f"{model.target_layer}, maps of {grid.size[0]}x{grid.size[1]}"
    return model.target_layer


class _At(SequenceOf["Sample"]):
    """Samples at some places of a dataset, made when they are asked for."""

    def __init__(self, samples: Sequence[Sample], places: Sequence[int]) -> None:
        self._samples, self._places = samples, places

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, at: Any) -> Any:
        return self._samples[self._places[at]]


def _duplicates(data: Dataset, counts: Counts) -> Duplicates:
    samples = _At(data.samples, counts.places)
    flat = tuple(samples[at].id for at, known in enumerate(counts.prints) if known.pattern is None)
    return Duplicates(grouped(samples, counts.prints), (), flat, len(counts.prints))
