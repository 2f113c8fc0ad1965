"""The names a run has inside a FiftyOne dataset: one key before every field, view and record."""

from __future__ import annotations

import re
from dataclasses import dataclass

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
            slug = identifier(run_name)
            return cls(slug if slug[:1].isalpha() else f"run_{slug}")
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", key):
            msg = f"{key!r} cannot be a key: FiftyOne's field names begin with it. Use letters, digits and _, a letter first."
            raise RunError(msg)
        return cls(key)

    def field(self, *parts: str) -> str:
        """A field's name."""
        return "_".join([self.key, *(identifier(part) for part in parts)])

    def heatmap(self, method: str, target: str) -> str:
        """The field of the heatmaps of a method and target."""
        return self.field(method, target)

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
    def cluster(self) -> str:
        """The field of the cluster a sample is in."""
        return self.field("cluster")

    @property
    def layout(self) -> str:
        """The brain key of the 2-d layout."""
        return self.field("layout")


def identifier(text: str) -> str:
    """The text with everything that a field's name may not hold replaced."""
    return re.sub(r"[^A-Za-z0-9]+", "_", text.replace("+", "_and_")).strip("_").lower()
