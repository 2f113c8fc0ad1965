"""The kinds of things that a dry run finds wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# kind: its heading, in the order in which they are said
STOPS: Mapping[str, str] = {
    "config": "the configuration",
    "device": "the device",
    "model": "the model",
    "method": "the methods",
    "data": "the dataset",
    "role": "roles of regions that are not there",
    "row": "rows that cannot be used",
    "label": "labels that the model has no class for",
    "no-label": "samples without a label, which the target 'label' needs",
    "target": "the targets",
    "images": "the images",
    "frame": "the model's frame",
    "batch": "one batch on trial",
}
"""What an audit is refused for."""

LEAVES_OUT: Mapping[str, str] = {
    "image": "images that cannot be read",
    "mask-size": "masks of another size than their image",
    "mask": "regions that cannot be drawn",
}
"""What a run leaves a sample out for, unless it is strict."""
