"""Regions as FiftyOne knows them: detections with masks, and outlines for the eye."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from camaudit.data import region_mask

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from camaudit.types import Region, Sample


def region_labels(fiftyone: Any, sample: Sample, size: tuple[int, int]) -> tuple[Any, Any]:
    """One sample's regions.

    Args:
        fiftyone: the module.
        sample: with regions in the frame of its image.
        size: (height, width) of the image.

    Returns:
        ``Detections`` with the exact masks and ``Polylines`` with their outlines, both with a ``role``. Context is not
        outlined; a region whose mask is empty is in neither.
    """
    detections, outlines = [], []
    for region, mask in _drawn(sample, size):
        detections.append(_detection(fiftyone, region, mask))
        if region.role != "context":
            outlines.append(_outline(fiftyone, region, mask))
    return fiftyone.Detections(detections=detections), fiftyone.Polylines(polylines=outlines)


def _drawn(sample: Sample, size: tuple[int, int]) -> Iterator[tuple[Region, NDArray[np.bool_]]]:
    for region in sample.regions:
        mask = region_mask(region, size)
        if mask.any():
            yield region, mask


def _detection(fiftyone: Any, region: Region, mask: NDArray[np.bool_]) -> Any:
    height, width = mask.shape
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    return fiftyone.Detection(
        label=region.name,
        bounding_box=[left / width, top / height, (right - left) / width, (bottom - top) / height],
        mask=mask[top:bottom, left:right],
        role=region.role,
    )


def _outline(fiftyone: Any, region: Region, mask: NDArray[np.bool_]) -> Any:
    import cv2

    height, width = mask.shape
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    tolerance = max(height, width) / 400
    points = []
    for contour in contours:
        ring = cv2.approxPolyDP(contour, tolerance, closed=True).reshape(-1, 2)
        if len(ring) >= 3:
            points.append([((x + 0.5) / width, (y + 0.5) / height) for x, y in ring.tolist()])
    return fiftyone.Polyline(label=region.name, points=points, closed=True, filled=False, role=region.role)
