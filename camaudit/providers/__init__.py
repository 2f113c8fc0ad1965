"""Regions that nobody annotated: what makes them, and how sure that is.

How a provider is added
    A provider is one word of `data.provide`. Its options are a class in `camaudit.config.providers`, its function stands in
    ``camaudit/providers/kinds/WORD.py`` and is registered there by `registry.place` or `registry.finder`.

How a dataset gets its regions
    `open_dataset` declares them: roles and derived regions are checked, nothing is computed. `provide` makes them and writes
    what it finds into a folder, from which it goes on. Whatever a provider makes carries its word as `Region.made_by`.
"""

from camaudit.providers.making import (
    Provided,
    fingerprints,
    identity,
    made_by,
    made_by_models,
    open_dataset,
    provide,
    with_regions,
)
from camaudit.providers.registry import Found, Provider, all_providers

__all__ = [
    "Found",
    "Provided",
    "Provider",
    "all_providers",
    "fingerprints",
    "identity",
    "made_by",
    "made_by_models",
    "open_dataset",
    "provide",
    "with_regions",
]
