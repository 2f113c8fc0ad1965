"""From what a reader says of each image to a dataset; the part that all readers share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from camaudit.data.dataset import Dataset
from camaudit.data.derive import derived_regions
from camaudit.data.index import write_index
from camaudit.data.labels import renamed
from camaudit.data.problems import one_row
from camaudit.data.roles import as_config, role_of_each
from camaudit.data.side_table import SideTable
from camaudit.errors import DataError
from camaudit.types import Region, Sample

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from camaudit.config import DataConfig, RolesConfig
    from camaudit.config.data import LabelSource
    from camaudit.data.derive import Expression
    from camaudit.data.problems import Problems
    from camaudit.types import Role, Shape


@dataclass(frozen=True)
class Record:
    """What a reader says of one image.

    Attributes:
        id: unique within the dataset, stable.
        image: path of the image file, see `camaudit.data.paths.Root`.
        where: file and row, line or entry, for messages.
        label: as the data spells it.
        groups: values of grouping columns.
        regions: the shape of every region that is annotated; absent: nobody looked for it; empty: it is not there.
        split: such as ``test``.
        subject: what the image is an instance of.
        names: other names of the image, by which a side table may know it; its id is one anyway.
    """

    id: str
    image: Path
    where: str
    label: str | None = None
    groups: Mapping[str, str] = field(default_factory=dict)
    regions: Mapping[str, Shape] = field(default_factory=dict)
    split: str | None = None
    subject: str | None = None
    names: tuple[str, ...] = ()


def assemble(
    records: Iterable[Record],
    source: DataConfig,
    roles: RolesConfig,
    *,
    regions: Sequence[str],
    groups: Sequence[str] = (),
    label: LabelSource | None = None,
    problems: Problems,
    hint: str = "",
) -> Dataset:
    """The dataset of a reader's records: joined with the side table, regions derived, roles given, written to disk.

    Args:
        records: one an image, in the order of the dataset; consumed one by one.
        source: the configuration.
        roles: of the regions.
        regions: every region that can occur, in order.
        groups: the grouping columns that the records have of their own.
        label: where labels come from (`camaudit.data.labels.label_source`): ``table`` and ``none`` are done here, all
            else is what the records say.
        problems: what the reader notes while the records are consumed.
        hint: what to do about ids that are not unique, such as ``; name an id column``.

    Raises:
        ConfigError: a derived region cannot be made.
        DataError: a role names no region, the side table cannot be used, there is no image, or an id stands twice.
    """
    for name in regions:
        _check_text(name, f"{source.path}, the region")
    expressions = derived_regions(source.derive, regions)
    by_region = role_of_each([*regions, *expressions], roles, where=str(source.path))
    side = SideTable.of(source, labels=label == "table")
    made = _samples(
        records,
        source,
        by_region=by_region,
        expressions=expressions,
        label=label,
        side=side,
        problems=problems,
    )
    index = write_index(made, hint=hint)
    if not len(index):
        msg = f"{source.path} holds no image to audit{_because(problems)}."
        raise DataError(msg)
    if side is not None:
        side.note_unused(problems)
    columns = tuple(dict.fromkeys([*groups, *(source.columns.groups if side is not None else ())]))
    dataset = Dataset(
        index, as_config(by_region), columns, source, problems=problems.listed, problem_counts=problems.counts
    )
    return dataset.select(source.split)


def _samples(
    records: Iterable[Record],
    source: DataConfig,
    *,
    by_region: Mapping[str, Role],
    expressions: Mapping[str, Expression],
    label: LabelSource | None,
    side: SideTable | None,
    problems: Problems,
) -> Iterator[tuple[Sample, str]]:
    for record in records:
        shapes = dict(record.regions)
        for name, expression in expressions.items():
            shape = expression.shape(shapes)
            if shape is not None:
                shapes[name] = shape
        joined = side.row((record.id, *record.names), record.where, problems) if side is not None else None
        said = (joined.label if joined else None) if label == "table" else record.label
        sample = None
        with one_row():
            made = Sample(
                id=record.id,
                image=record.image,
                label=None if label == "none" else renamed(said, source.label_names, where=record.where),
                groups={**record.groups, **joined.groups} if joined else record.groups,
                regions=tuple(Region(name, by_region[name], shape) for name, shape in shapes.items()),
                split=(joined and joined.split) or record.split,
                subject=(joined and joined.subject) or record.subject,
            )
            _check_texts(made, record.where)
            sample = made
        if sample is not None:
            yield sample, record.where


def _check_texts(sample: Sample, where: str) -> None:
    for text in (
        sample.id,
        str(sample.image),
        sample.label,
        *sample.groups.values(),
        sample.split,
        sample.subject,
    ):
        _check_text(text or "", where)


def _check_text(text: str, where: str) -> None:
    """Refuse what no file or table can hold: half of a surrogate pair, as of a name in another encoding."""
    try:
        text.encode()
    except UnicodeEncodeError:
        msg = (
            f"{where.encode(errors='backslashreplace').decode()}: {text!a} is no text in Unicode. Rename it."
        )
        raise DataError(msg) from None


def _because(problems: Problems) -> str:
    listed = problems.listed
    return f": {listed[0].where}: {listed[0].message}" if listed else ""
