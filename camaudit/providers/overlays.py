"""What repeats at the same place over the images of a class: overlays such as watermarks, copyright tags and timestamps.

The edges of photographs point in every direction, those of an overlay in the same. So an image becomes a field of unit
vectors, its brightness's gradients divided by their length (of weak ones less, so that noise counts for nothing), in frames
that line the images of a dataset up; and the mean of the field over the images of a class shows what they share. This is the
statistic of Rayleigh's test of uniform directions (Mardia and Jupp, Directional Statistics, 2000), and estimating a
watermark from gradients that many images share is the idea of Dekel et al. (CVPR 2017).

The rule. Of a class of n images, with u the field, M its mean and V the mean of its squared length, both smoothed over the
neighbourhood: Z = n |M|² / V. Where directions are random, Z is 1 on average, and 1 − |M|² / V is the share of the variance
that is left between the images of the class. A place belongs to an overlay where Z is at least 2.5 and a seventh of the
peak; an overlay's peak must reach 5, five times the median over the frame (an aligned collection, such as radiographs,
repeats everywhere), and n · least², which is what an overlay in that share of the images gives. What takes a quarter of the
frame or more is the images' composition, not an overlay. An image has the overlay where its field there goes along with M:
the cosine's size is at least 0.2, or three standard deviations of what chance gives for so few pixels.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from PIL import Image
from scipy import ndimage

from camaudit.data import open_image
from camaudit.data.images import image_size
from camaudit.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from camaudit.types import Sample

SIDE = 320  # pixels: the longer side of a frame; longer images are scaled down to it
FEWEST = 12  # images of a class that is looked at
CLASSES = 64  # that are looked at, the largest: memory must not grow with their number
PEAK, EXTENT, OF_PEAK, OF_MEDIAN = 5.0, 2.5, 1 / 7, 5.0
LARGEST, SMALLEST = 0.25, 40  # share of the frame, pixels
PRESENT, CHANCE = 0.2, 3.0
_WEAK = 6.0  # levels a pixel: a gradient this long has half of a strong one's weight
_SMOOTH = 2.5  # pixels
_PER_VECTOR = 16  # pixels that speak for one: neighbours on an edge go along with each other
_STROKE, _CONTRAST = 7, 40  # pixels, levels of 255

Field: TypeAlias = "Callable[[NDArray[np.float32]], NDArray[np.float32]]"


def edges(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Directions of the gradient, (2, height, width), of length 0 to 1."""
    x, y = (ndimage.gaussian_filter(grey, 0.7, order=order) for order in ((0, 1), (1, 0)))
    return np.asarray(np.stack([x, y]) / (np.hypot(x, y) + _WEAK), dtype=np.float32)


def strokes(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same of thin strokes alone: up to 6 pixels wide, with a contrast of 40 levels to what is around them."""
    size = (_STROKE, _STROKE)
    hat = np.maximum(grey - ndimage.grey_opening(grey, size), ndimage.grey_closing(grey, size) - grey)
    return np.asarray(edges(grey) * ndimage.maximum_filter(hat > _CONTRAST, 3), dtype=np.float32)


@dataclass(frozen=True)
class Frames:
    """Where images are lined up.

    Images of one shape (up to two hundredths) are only stretched onto each other. Where shapes or sizes differ, an overlay may
    also keep its size in pixels and its distance to a corner or to the middle, so windows of half the median image that hang
    there are looked at too.

    Attributes:
        size: (height, width) of the stretched frame.
        scale: of the windows' pixels to the images'.
        windows: whether there are any.
    """

    size: tuple[int, int]
    scale: float
    windows: bool

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> Frames | None:
        """The frames that fit a dataset; None where no image can be read."""
        sizes = []
        for sample in samples:
            try:
                sizes.append(image_size(sample.image))
            except DataError:
                continue
        if not sizes:
            return None
        sides = np.array(sizes, dtype=np.float64)
        height, width = np.median(sides, axis=0)
        scale = min(SIDE / max(height, width), 1.0)
        size = (max(round(height * scale), 16), max(round(width * scale), 16))
        return cls(size, scale, bool((np.ptp(sides, axis=0) > 0.02 * sides.mean(0)).any()))

    def views(self, image: Image.Image, field: Field) -> list[NDArray[np.float32]]:
        """The field of an image in every frame, each (2, height, width); zero beyond the image."""
        grey = image.convert("L")
        found = [field(_array(grey, self.size))]
        if self.windows:
            whole = field(_array(grey, self._scaled(image.height, image.width)))
            for box, _ in self._places(whole.shape[1], whole.shape[2]):
                view = np.zeros((2, *self._window), dtype=np.float32)
                (top, bottom), (left, right) = box
                part = whole[:, max(top, 0) : bottom, max(left, 0) : right]
                view[:, -min(top, 0) :, -min(left, 0) :][:, : part.shape[1], : part.shape[2]] = part
                found.append(view)
        return found

    def mask(self, frame: int, mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
        """A mask of one frame as a mask of an image of that (height, width)."""
        if frame == 0:
            return _resized(mask, size)
        scaled = self._scaled(*size)
        whole = np.zeros(scaled, dtype=bool)
        (top, bottom), (left, right) = self._places(*scaled)[frame - 1][0]
        part = mask[-min(top, 0) :, -min(left, 0) :]
        room = whole[max(top, 0) : bottom, max(left, 0) : right]
        height, width = (min(a, b) for a, b in zip(part.shape, room.shape, strict=True))
        room[:height, :width] = part[:height, :width]
        return _resized(whole, size)

    @property
    def _window(self) -> tuple[int, int]:
        return (self.size[0] // 2, self.size[1] // 2)

    def _scaled(self, height: int, width: int) -> tuple[int, int]:
        return max(round(height * self.scale), 1), max(round(width * self.scale), 1)

    def _places(self, height: int, width: int) -> list[tuple[tuple[tuple[int, int], tuple[int, int]], str]]:
        rows, columns = self._window
        top, left, middle = (0, rows), (0, columns), ((height - rows) // 2, (width - columns) // 2)
        bottom, right = (height - rows, height), (width - columns, width)
        centre = ((middle[0], middle[0] + rows), (middle[1], middle[1] + columns))
        return [
            ((top, left), "top left"),
            ((top, right), "top right"),
            ((bottom, left), "bottom left"),
            ((bottom, right), "bottom right"),
            (centre, "middle"),
        ]


@dataclass(frozen=True)
class Overlay:
    """Something that repeats.

    Attributes:
        target_class: the label of the images that share it; None: of all images.
        frame: number of the frame it was found in.
        mean: the mean field where it stands, (2, height, width), zero elsewhere.
        mask: what it takes of the frame.
        peak: the largest Z.
        share: an estimate, from below, of the share of the images that have it.
    """

    target_class: str | None
    frame: int
    mean: NDArray[np.float32]
    mask: NDArray[np.bool_]
    peak: float
    share: float

    def likeness(self, view: NDArray[np.float32]) -> float:
        """How much an image's field goes along with the overlay's: the size of the cosine, 0 to 1.

        Of its size, because a grey overlay is brighter than one image and darker than the next.
        """
        core = self.mean.any(0)
        there, mean = view[:, core].ravel(), self.mean[:, core].ravel()
        length = float(np.linalg.norm(there) * np.linalg.norm(mean))
        return abs(float(there @ mean)) / length if length > 0 else 0.0

    @property
    def least_likeness(self) -> float:
        """What an image that has the overlay reaches."""
        core = int(self.mean.any(0).sum())
        return float(max(PRESENT, CHANCE * np.sqrt(_PER_VECTOR / core)))


class _Sums:
    """What is kept of the images of one class: sums over them, in every frame."""

    def __init__(self) -> None:
        self.count = 0
        self.vectors: list[NDArray[np.float32]] = []
        self.squares: list[NDArray[np.float32]] = []

    def add(self, views: Sequence[NDArray[np.float32]]) -> None:
        self.count += 1
        squares = [np.square(view).sum(0) for view in views]
        if not self.vectors:
            self.vectors, self.squares = [view.copy() for view in views], squares
            return
        for at, (view, square) in enumerate(zip(views, squares, strict=True)):
            self.vectors[at] += view
            self.squares[at] += square


def find_overlays(samples: Sequence[Sample], frames: Frames, field: Field, *, least: float) -> list[Overlay]:
    """What repeats over all images, or over those of a class: one pass, and memory for a few frames a class.

    Args:
        samples: in any order; images that cannot be read are left out.
        frames: where they are lined up.
        field: what is looked at: `edges` or `strokes`.
        least: share of a class's images that must have it.
    """
    labels = Counter(sample.label for sample in samples)
    chosen = {label for label, count in labels.most_common(CLASSES) if label is not None and count >= FEWEST}
    sums: dict[str | None, _Sums] = {None: _Sums()} | {label: _Sums() for label in sorted(chosen)}
    for sample in samples:
        try:
            views = frames.views(open_image(sample.image), field)
        except DataError:
            continue
        for label in dict.fromkeys((None, sample.label)):
            if label is None or label in chosen:
                sums[label].add(views)
    found = [
        overlay
        for label, of in sums.items()
        if of.count >= FEWEST
        for frame in range(len(of.vectors))
        for overlay in _overlays(label, frame, of, least)
    ]
    return _distinct(found)


def _overlays(label: str | None, frame: int, of: _Sums, least: float) -> Iterator[Overlay]:
    count = of.count
    mean = of.vectors[frame] / count
    square = ndimage.gaussian_filter(of.squares[frame] / count, _SMOOTH)
    shared = ndimage.gaussian_filter(np.square(mean).sum(0), _SMOOTH)
    # flat places, where no image has an edge, have no direction
    z = count * shared / (square + 0.01)
    parts, number = ndimage.label(z >= EXTENT)
    least_peak = max(PEAK, OF_MEDIAN * float(np.median(z)), count * least**2)
    for part, box in enumerate(ndimage.find_objects(parts, number), start=1):
        inside = parts[box] == part
        peak = float(z[box][inside].max())
        if peak < least_peak:
            continue
        core = np.zeros(z.shape, dtype=bool)
        core[box] = inside & (z[box] >= OF_PEAK * peak)
        mask = _filled(core)
        if core.sum() >= SMALLEST and mask.mean() < LARGEST:
            share = float(np.sqrt(min(max(peak - 1, 0) / count, 1.0)))
            yield Overlay(label, frame, np.where(core, mean, np.float32(0)), mask, peak, share)


def _filled(core: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A mask without gaps between letters and holes in frames."""
    wide = np.pad(core, 6)
    closed = ndimage.binary_fill_holes(ndimage.binary_closing(wide, iterations=5))
    return np.asarray(closed[6:-6, 6:-6])


def _distinct(found: Sequence[Overlay]) -> list[Overlay]:
    """Of overlays that a class and all images both show, the one that its images share most."""
    kept: list[Overlay] = []
    for overlay in sorted(found, key=lambda of: -of.share):
        same = (
            other
            for other in kept
            if other.frame == overlay.frame
            and (other.mask & overlay.mask).sum() > 0.5 * min(other.mask.sum(), overlay.mask.sum())
        )
        if next(same, None) is None:
            kept.append(overlay)
    return kept


def _array(image: Image.Image, size: tuple[int, int]) -> NDArray[np.float32]:
    height, width = size
    if (image.height, image.width) != size:
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image, dtype=np.float32)


def _resized(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    if mask.shape == size:
        return mask
    moved = Image.fromarray(mask).resize(size[::-1], Image.Resampling.NEAREST)
    return np.asarray(moved, dtype=bool)
