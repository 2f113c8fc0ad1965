"""The names a run has inside a FiftyOne dataset: one key before every field, view and record."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field

from camaudit.errors import RunError


@dataclass(frozen=True)
class Names:
    """Names of the fields of one run.

    Attributes:
        key: an identifier; every name begins with it.
    """

    key: str

    @classmethod
    def of(cls, key: str | None, run_name: str) -> Names:
        """Names under a key, or under the run's name where none is given.

        Raises:
            RunError: the key is not an identifier.
        """
        if key is None:
            slug = re.sub(r"[^a-z0-9]+", "_", run_name.lower()).strip("_")
            if not run_name.isascii():  # a key is ASCII: what is lost is told by a hash
                slug = "_".join(filter(None, (slug, hashlib.sha256(run_name.encode()).hexdigest()[:6])))
            return cls(slug if slug[:1].isalpha() else f"run_{slug}")
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", key):
            msg = f"{key!r} cannot be a key: FiftyOne's field names begin with it. Use letters, digits and _, a letter first."
            raise RunError(msg)
        return cls(key)

    def field(self, *parts: str) -> str:
        """A field's name."""
        return "_".join(filter(None, (self.key, *(identifier(part) for part in parts))))

    @property
    def sample(self) -> str:
        """The field of the sample's id in the run."""
        return self.field("sample")

    @property
    def prediction(self) -> str:
        """The field of the predicted class."""
        return self.field("prediction")

    @property
    def label(self) -> str:
        """The field of the true class."""
        return self.field("label")

    @property
    def regions(self) -> str:
        """The field of the regions' masks."""
        return self.field("regions")

    @property
    def outlines(self) -> str:
        """The field of the regions' outlines."""
        return self.field("outlines")

    @property
    def quadrant(self) -> str:
        """The field of whether a sample is right or wrong, for the right or the wrong reason."""
        return self.field("quadrant")

    @property
    def cluster(self) -> str:
        """The field of the cluster a sample is in."""
        return self.field("cluster")

    @property
    def rank(self) -> str:
        """The field of how typical a sample is of its cluster, 0 for the most typical."""
        return self.field("cluster", "rank")

    @property
    def cluster_map(self) -> str:
        """The field of the mean map of the cluster a sample is an exemplar of."""
        return self.field("cluster", "map")

    @property
    def layout(self) -> str:
        """The brain key of the 2-d layout."""
        return self.field("layout")


@dataclass(frozen=True)
class Directory:
    """The field of everything a run names: no two have the same one, however alike their names are.

    Attributes:
        names: of the run.
        fields: name of the field, by what it holds, such as ``("group", "gender")`` or ``("excess", "hair+face")``.
    """

    names: Names
    fields: dict[tuple[str, ...], str] = field(default_factory=dict)

    def __getitem__(self, parts: tuple[str, ...]) -> str:
        """The field, which is named when it is first asked for."""
        if parts not in self.fields:
            names = self.names
            fixed = (names.sample, names.prediction, names.label, names.regions, names.outlines)
            taken = {
                *fixed,
                names.quadrant,
                names.cluster,
                names.rank,
                names.cluster_map,
                names.layout,
                *self.fields.values(),
            }
            wanted, number = names.field(*parts), 2
            free = wanted
            while free in taken:
                free, number = f"{wanted}_{number}", number + 1
            self.fields[parts] = free
        return self.fields[parts]


def identifier(text: str) -> str:
    """The text with everything that a field's name may not hold replaced; letters of every script stay."""
    return re.sub(r"[\W_]+", "_", text.replace("+", "_and_")).strip("_").lower()
