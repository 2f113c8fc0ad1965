"""What is measured in every batch of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from camaudit.config import parse_target
from camaudit.measure import edited_regions
from camaudit.runs.job import batch_size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch

    from camaudit.config import AuditConfig
    from camaudit.types import OutputTarget, Role


@dataclass(frozen=True)
class Settings:
    """What is measured in every batch.

    Attributes:
        methods: ids of attribution methods.
        targets: output targets.
        groups: names of the group columns.
        roles: role of every measured region, in the order of the batch's coverage.
        edited: the regions that are edited; empty where nothing is.
        fills: what the edited regions become.
        exchange: whether objects are put on other backgrounds, and attributes that every image has in the place of others.
        item: the widest object, which is put on other backgrounds; None where there is none.
        donors: other samples whose background, or attribute, an image is given.
        transplant: whether attributes are put into images that lack them.
        chunk: images in one call of the model; as many as a full batch has.
        controls: control copies of an edited region.
        sigma: of the blur, as a share of the shorter side.
        device: where the model is.
    """

    methods: tuple[str, ...]
    targets: tuple[OutputTarget, ...]
    groups: tuple[str, ...]
    roles: Mapping[str, Role]
    edited: tuple[str, ...]
    fills: tuple[str, ...]
    exchange: bool
    item: str | None
    donors: int
    transplant: bool
    chunk: int
    controls: int
    sigma: float
    device: torch.device


def settings_of(
    config: AuditConfig, groups: Sequence[str], roles: Mapping[str, Role], device: torch.device
) -> Settings:
    """What a configuration asks to be measured; `groups` of the data, `roles` of the measured regions."""
    edits = config.audit.intervention
    return Settings(
        methods=tuple(config.audit.methods),
        targets=tuple(parse_target(target) for target in config.audit.targets),
        groups=tuple(groups),
        roles=roles,
        edited=edited_regions(roles, each=edits.regions == "each") if edits.enabled else (),
        fills=tuple(edits.fills),
        exchange=edits.exchange,
        item=next(iter(edited_regions(roles, each=False)), None) if "object" in roles.values() else None,
        donors=edits.donors,
        transplant=edits.transplant,
        chunk=batch_size(config, device),
        controls=edits.controls,
        sigma=edits.sigma,
        device=device,
    )
