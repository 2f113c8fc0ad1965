"""From a dataset without regions to one that has them."""

from __future__ import annotations

import hashlib
import json
import math
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from camaudit.config import DataConfig, RolesConfig, parse_section
from camaudit.data import open_dataset as read_dataset
from camaudit.data import open_image
from camaudit.data.derive import derived_regions, parse_expression
from camaudit.data.index import SampleIndex, write_index
from camaudit.data.roles import as_config, role_of_each
from camaudit.errors import ConfigError, DataError, ModelError
from camaudit.providers import cache as shards
from camaudit.providers.registry import all_providers
from camaudit.types import Region

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import torch

    from camaudit.config.providers import AnyProvider
    from camaudit.data import Dataset
    from camaudit.providers.registry import Finder
    from camaudit.types import Sample, Shape


@dataclass(frozen=True)
class Provided:
    """A dataset with its regions.

    Attributes:
        data: the dataset.
        warnings: how sure the regions are that were made by looking at the images, one sentence each.
    """

    data: Dataset
    warnings: tuple[str, ...]


def open_dataset(source: DataConfig, roles: RolesConfig) -> Dataset:
    """The dataset of a configuration; the regions that are to be provided are declared in its roles.

    Raises:
        ConfigError: a provided or derived region has the name of another, or cannot be made.
        DataError: as `camaudit.data.open_dataset`.
    """
    if not source.provide:
        return read_dataset(source, roles)
    # what is derived may be of what is provided, so both come after what is read
    plain = read_dataset(source.model_copy(update={"provide": {}, "derive": {}}), RolesConfig())
    return _declared(plain, source, roles)


def _declared(plain: Dataset, source: DataConfig, roles: RolesConfig) -> Dataset:
    names = list(plain.regions)
    for name in _suffixed(source):
        if name in names:
            msg = f"data.provide: there is a region {name!r} already; give the provided one another name."
            raise ConfigError(msg)
        names.append(name)
    expressions = derived_regions(source.derive, names)
    by_region = role_of_each([*names, *expressions], roles, where=str(source.path))
    return replace(plain, roles=as_config(by_region), source=source)


def provide(
    data: Dataset,
    cache: Path,
    device: torch.device,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Provided:
    """Make the regions that a dataset of `open_dataset` declares.

    Args:
        data: the dataset.
        cache: a folder that keeps what was found; what lies in it already is not looked for again. It must be of the same
            data and providers.
        device: where models run.
        progress: is told how many samples of how many have been looked at.

    Raises:
        ConfigError: a model does not know a label.
        ModelError: a model cannot be loaded.
        RunError: the cache cannot be written, or is damaged.
    """
    groups = _groups(data.source)
    starts = range(0, len(data), shards.SHARD)
    for at, (folder, asked) in enumerate((shards.folder_of(cache, list(of)), of) for of in groups):
        finder: Finder | None = None
        for number, start in enumerate(starts):
            path = shards.shard(folder, number)
            if not path.is_file():
                finder = finder or _finder(asked, data, device)
                shards.write_shard(path, _look(finder, data.samples[start : start + shards.SHARD]))
            if progress is not None:
                done = min(start + shards.SHARD, len(data))
                progress(at * len(data) + done, len(groups) * len(data))
    tally = _Tally()
    made = _with_regions(data, cache, groups, tally)
    index = write_index((sample, _where(data, at)) for at, sample in enumerate(made))
    return Provided(replace(data, samples=index), tally.sentences(_asked(data.source)))


def _where(data: Dataset, at: int) -> str:
    return data.samples.where(at) if isinstance(data.samples, SampleIndex) else data.samples[at].id


def with_regions(
    data: Dataset,
    regions: Mapping[str, Mapping[str, Any]],
    *,
    roles: Mapping[str, Sequence[str]] | None = None,
    derive: Mapping[str, str] | None = None,
    cache: Path | str | None = None,
    device: str = "cpu",
) -> Dataset:
    """A dataset from Python with provided regions; an audit of it is opened with ``open_run(path, data=...)``.

    Args:
        data: the dataset.
        regions: name to provider, such as ``{"watermark": {"provider": "repeated_patch"}}``.
        roles: of regions, such as ``{"attribute": ["watermark"]}``; the data's own where left out.
        derive: region name to an expression of others.
        cache: a folder to keep what was found in; must be of this data and these providers. Not kept where left out.
        device: where models run.

    Raises:
        CamauditError: as `open_dataset` and `provide`.
    """
    import torch

    values = {"format": "memory", "provide": dict(regions), "derive": dict(derive or {})}
    source = parse_section(DataConfig, values, where="camaudit.providers.with_regions")
    given = parse_section(RolesConfig, dict(roles), where="roles") if roles is not None else data.roles
    declared = _declared(data, source, given)
    with tempfile.TemporaryDirectory(prefix="camaudit-") as folder:
        made = provide(declared, Path(cache or folder), torch.device(device))
    return replace(made.data, source=DataConfig(format="memory"))


def made_by(source: DataConfig) -> dict[str, str]:
    """The provider of every region that is provided, or derived from such; several are joined by ``+``."""
    found = {name: of.provider for name, of in _asked(source).items()}
    found |= {name: by for name, (by, _) in _places(source).items()}
    for name, text in source.derive.items():
        used = [found[of] for of in parse_expression(text, where=name).names() if of in found]
        if used:
            found[name] = "+".join(dict.fromkeys("+".join(used).split("+")))
    return found


def fingerprints(source: DataConfig) -> dict[str, str]:
    """sha256 of the files of every model that makes regions, by ``provider of NAMES``.

    Raises:
        ModelError: the files are not there.
    """
    return {
        f"provider of {' and '.join(asked)}": _hash_of(path)
        for asked in _groups(source)
        if (path := getattr(next(iter(asked.values())), "model", None)) is not None
    }


def identity(data: Dataset) -> str:
    """A name for what providers find in a dataset: another one where the data, the providers or their models differ."""
    asked = {
        name: options.model_dump(mode="json", exclude={"model"})
        for name, options in _asked(data.source).items()
    }
    of = json.dumps([data.fingerprint(), asked, fingerprints(data.source)])
    return hashlib.sha256(of.encode()).hexdigest()[:16]


def made_by_models(source: DataConfig) -> tuple[str, ...]:
    """The regions that models make, in order."""
    return tuple(name for name, of in _asked(source).items() if all_providers()[of.provider].by_model)


def _hash_of(path: Path) -> str:
    files = sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path]
    digest = hashlib.sha256()
    for file in files:
        try:
            with file.open("rb") as opened:
                digest.update(f"{file.name if path.is_dir() else ''}\0".encode())
                digest.update(hashlib.file_digest(opened, "sha256").digest())
        except OSError as error:
            msg = f"{file} cannot be read: {error.strerror}. Correct the provider's model."
            raise ModelError(msg) from None
    return digest.hexdigest()


def _suffixed(source: DataConfig) -> Iterator[str]:
    """The name of every provided region, repeated where two have it."""
    for name, options in source.provide.items():
        place = all_providers()[options.provider].place
        for suffix in place(options) if place is not None else ("",):
            yield f"{name}{suffix}"


def _places(source: DataConfig) -> dict[str, tuple[str, Shape]]:
    """Provider and shape of every region that lies at the same place in all images."""
    return {
        f"{name}{suffix}": (options.provider, shape)
        for name, options in source.provide.items()
        if (place := all_providers()[options.provider].place) is not None
        for suffix, shape in place(options).items()
    }


def _asked(source: DataConfig) -> dict[str, AnyProvider]:
    """The options of every region that images are looked at for."""
    return {
        name: options
        for name, options in source.provide.items()
        if all_providers()[options.provider].finder is not None
    }


def _groups(source: DataConfig) -> list[dict[str, AnyProvider]]:
    """The same, those together that one look at an image gives: they differ in their labels alone."""
    together: defaultdict[str, dict[str, AnyProvider]] = defaultdict(dict)
    for name, options in _asked(source).items():
        together[json.dumps(options.model_dump(mode="json", exclude={"labels", "threshold"}))][name] = options
    return list(together.values())


def _finder(asked: Mapping[str, AnyProvider], data: Dataset, device: torch.device) -> Finder:
    make = all_providers()[next(iter(asked.values())).provider].finder
    if make is None:
        msg = f"{next(iter(asked.values())).provider} does not look at images"
        raise TypeError(msg)
    return make(asked, data.samples, device)


def _look(finder: Finder, samples: Sequence[Sample]) -> list[shards.Row]:
    rows = []
    for sample in samples:
        try:
            image = open_image(sample.image)
        except DataError:  # measuring says so, or skips it
            continue
        rows += [shards.Row.of(sample.id, region, found) for region, found in finder(image).items()]
    return rows


def _with_regions(
    data: Dataset, cache: Path, groups: Sequence[Mapping[str, AnyProvider]], tally: _Tally
) -> Iterator[Sample]:
    by_region, providers = data.regions, made_by(data.source)
    places = {name: shape for name, (_, shape) in _places(data.source).items()}
    names = [name for name in by_region if name not in data.source.derive]
    expressions = derived_regions(data.source.derive, names)
    for number, start in enumerate(range(0, len(data), shards.SHARD)):
        read = [shards.read_shard(shards.shard(shards.folder_of(cache, list(of)), number)) for of in groups]
        for sample in data.samples[start : start + shards.SHARD]:
            shapes: dict[str, Shape] = {region.name: region.shape for region in sample.regions} | places
            for of in read:
                for row in of.get(sample.id, {}).values():
                    shapes[row.region] = row.shape
                    tally.add(row)
            for name, expression in expressions.items():
                shape = expression.shape(shapes)
                if shape is not None:
                    shapes[name] = shape
            regions = tuple(
                Region(name, by_region[name], shape, providers.get(name)) for name, shape in shapes.items()
            )
            yield replace(sample, regions=regions)


@dataclass
class _Count:
    """What is known of one region over all images."""

    images: int = 0
    found: int = 0
    score: float = 0.0
    entropy: float = 0.0


@dataclass
class _Tally:
    """How sure the regions are that were made."""

    counts: defaultdict[str, _Count] = field(default_factory=lambda: defaultdict(_Count))

    def add(self, row: shards.Row) -> None:
        of = self.counts[row.region]
        of.images += 1
        if not row.empty:
            of.found += 1
            of.score += row.score
            of.entropy += row.entropy

    def sentences(self, asked: Mapping[str, AnyProvider]) -> tuple[str, ...]:
        """One sentence a region."""
        return tuple(
            _sentence(name, asked[name].provider, self.counts[name])
            for name in asked
            if self.counts[name].images
        )


def _sentence(name: str, provider: str, of: _Count) -> str:
    how = "a model made it" if all_providers()[provider].by_model else "it was found by what repeats"
    said = f"Nobody annotated the region {name!r}: {how} ({provider})."
    if not of.found:
        return (
            f"{said} It found nothing in any of {of.images} images, so nothing can be said about this region."
        )
    score, entropy = of.score / of.found, of.entropy / of.found
    unsure = "" if math.isnan(entropy) else f" and an entropy of {entropy:.2f} bits a pixel"
    return (
        f"{said} It found nothing in {1 - of.found / of.images:.0%} of {of.images} images; where it found something, it did so "
        f"with a mean score of {score:.2f}{unsure}. Its errors are in every figure about this region."
    )
