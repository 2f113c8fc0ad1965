"""The pictures of a page: each is put into the file once and shown wherever it is needed."""

from __future__ import annotations

import base64
import hashlib
import io
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd
from markupsafe import Markup, escape
from PIL import Image

from camaudit.report import drawing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from camaudit.types import AuditedRun, Role

PICTURE_SIDE = 288
"""Pictures are brought down to this many pixels on their longer side."""
THUMB_SIDE = 120
"""Thumbnails likewise."""
HEAT_SIDE = 72
"""Maps are drawn with this many pixels on their longer side; the browser does the rest."""


class Caption(NamedTuple):
    """What stands below a picture."""

    sample: str
    label: str
    predicted: str
    correct: bool | None
    confidence: float
    groups: tuple[str, ...]
    region: str
    mass: float
    area: float


class Shot(NamedTuple):
    """A picture and the same picture with map and outlines, as SVG that refers to the album's definitions."""

    original: Markup
    overlay: Markup
    caption: Caption


class Key(NamedTuple):
    """One line of the legend."""

    region: str
    role: Role
    swatch: Markup


class Album:
    """Collects definitions while a page is put together; `definitions` goes into the page once, before them."""

    def __init__(self) -> None:
        self._definitions: dict[str, Markup] = {}

    @property
    def definitions(self) -> Markup:
        """The content of the page's one hidden SVG."""
        return Markup("\n").join(self._definitions.values())

    def shot(
        self,
        run: AuditedRun,
        sample: str,
        region: str | None,
        *,
        method: str | None = None,
        target: str | None = None,
    ) -> Shot:
        """A sample under one method.

        Args:
            run: where picture, map, masks and numbers come from.
            sample: its id.
            region: the region the caption speaks of; None: the run's main one.
            method: id of the attribution method; None: the run's first.
            target: id of the output target; None: the run's first.
        """
        method = method or run.manifest.methods[0]
        target = target or run.manifest.targets[0]
        caption = caption_of(run, sample, region or main_region(run), method=method, target=target)
        picture = run.picture(sample)
        height, width = picture.shape[:2]
        ground = self._image(_jpeg(picture), "jpeg", width, height)
        attribution = run.attribution(sample, method, target)
        heat = self._image(
            _png(drawing.heat(attribution.values, _fit(width, height, HEAT_SIDE))), "png", width, height
        )
        lines = self._outlines(run, sample)
        about = f"{sample}: {caption.label or 'unlabelled'}, predicted {caption.predicted}"
        said = f"{about}; {method} map and outlines of the regions"
        return Shot(
            _frame((ground,), width, height, f"{about}; the picture as the model sees it"),
            _frame((ground, heat, *lines), width, height, said),
            caption,
        )

    def thumbnail(self, run: AuditedRun, sample: str) -> Markup:
        """A small picture of a sample, without map and outlines."""
        picture = run.picture(sample)
        height, width = picture.shape[:2]
        small = self._image(_jpeg(picture, THUMB_SIDE), "jpeg", width, height)
        return _frame((small,), width, height, f"{sample}; the picture as the model sees it")

    def mean_map(self, values: NDArray[np.float32], title: str, shape: tuple[int, int]) -> Markup:
        """A mean map without a picture below it, in a frame of (height, width)."""
        height, width = shape
        image = drawing.heat(values, _fit(width, height, HEAT_SIDE), opaque=True)
        return _frame((self._image(_png(image), "png", width, height),), width, height, title)

    def _image(self, data: bytes, kind: str, width: int, height: int) -> str:
        name = f"i{hashlib.sha256(data).hexdigest()[:12]}-{width}x{height}"
        if name not in self._definitions:
            address = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
            self._definitions[name] = Markup(
                '<image id="{}" width="{}" height="{}" preserveAspectRatio="none" href="{}"/>'
            ).format(name, width, height, address)
        return name

    def _outlines(self, run: AuditedRun, sample: str) -> tuple[str, ...]:
        roles = run.manifest.roles
        colours = drawing.outline_colours(roles)
        parts = []
        masks = run.masks(sample)
        for region in drawing.in_drawing_order(masks, roles):
            path = drawing.outline_path(masks[region])
            if path:
                parts.append(
                    Markup(
                        '<path class="halo {1}" d="{0}"/><path class="line {1}" stroke="{2}" d="{0}"/>'
                    ).format(path, roles[region], colours[region])
                )
        if not parts:
            return ()
        group = Markup().join(parts)
        name = f"o{hashlib.sha256(group.encode()).hexdigest()[:12]}"
        self._definitions[name] = Markup('<g id="{}">{}</g>').format(name, group)
        return (name,)


def caption_of(run: AuditedRun, sample: str, region: str | None, *, method: str, target: str) -> Caption:
    """What is known about a sample, with the share of its map on a region and the region's share of the area."""
    row = run.samples[run.samples["sample"] == sample].iloc[0]
    manifest = run.manifest
    table = run.measurements
    chosen = table[
        (table["sample"] == sample)
        & (table["region"] == (region or ""))
        & (table["method"] == method)
        & (table["target"] == target)
    ].set_index("metric")["value"]
    label, correct = row["label"], row["correct"]
    groups = (row[f"group_{name}"] for name in manifest.groups)
    return Caption(
        sample=sample,
        label="" if pd.isna(label) else str(label),
        predicted=_said(row, manifest.classes),
        correct=None if pd.isna(correct) or pd.isna(label) else bool(correct),
        confidence=float(row["confidence"]),
        groups=tuple(str(value) for value in groups if not pd.isna(value)),
        region=region or "",
        mass=float(chosen.get("mass", float("nan"))),
        area=float(chosen.get("area", float("nan"))),
    )


def _said(row: pd.Series, outputs: Sequence[str]) -> str:
    """The predicted class; of a regression, which predicts none, the outputs."""
    if not pd.isna(row["predicted"]):
        return str(row["predicted"])
    return ", ".join(f"{name} {row[f'score_{name}']:.3g}" for name in outputs)


def main_region(run: AuditedRun) -> str | None:
    """The region a caption speaks of where no finding names one: the widest attribute, else an object, else none."""
    roles = run.manifest.roles
    measured = set(run.measurements["region"].unique())
    for role in ("attribute", "object", "context"):
        names = [name for name, given in roles.items() if given == role and name in measured]
        if names:
            return max(names, key=lambda name: (name.count("+"), -names.index(name)))
    return None


def legend(roles: Mapping[str, Role]) -> Sequence[Key]:
    """The outline of every single region as it is drawn on the pictures."""
    keys = []
    for region, colour in drawing.outline_colours(roles).items():
        swatch = Markup(
            '<svg class="swatch" aria-hidden="true" viewBox="0 0 36 12" width="36" height="12">'
            '<rect class="chip" width="36" height="12" rx="3"/>'
            '<path class="line {}" stroke="{}" d="M4 6H32"/></svg>'
        ).format(roles[region], colour)
        keys.append(Key(region, roles[region], swatch))
    return keys


def _frame(layers: Sequence[str], width: int, height: int, title: str) -> Markup:
    uses = "".join(f'<use href="#{name}"/>' for name in layers)
    return Markup(  # noqa: S704 - the title is escaped, the names are hashes
        f'<svg class="picture" role="img" viewBox="0 0 {width} {height}"><title>{escape(title)}</title>{uses}</svg>'
    )


def _fit(width: int, height: int, side: int) -> tuple[int, int]:
    scale = min(1.0, side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _jpeg(picture: NDArray[np.uint8], side: int = PICTURE_SIDE) -> bytes:
    image = Image.fromarray(picture)
    image = image.resize(_fit(*image.size, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=86, optimize=True)
    return buffer.getvalue()


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
