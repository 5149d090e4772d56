"""From the text detector's map to straight pictures of single lines.

The map says for each pixel how likely it belongs to text. Differentiable binarization (Liao et al., "Real-time Scene
Text Detection with Differentiable Binarization", 2020) trains it on regions that are shrunk, so that lines do not
touch: each region becomes its smallest rectangle, which then grows back by `UNCLIP`.
"""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

THRESHOLD = 0.3  # of the map, for a pixel to belong to a region
SURE = 0.5  # mean of the map within a rectangle that is kept
UNCLIP = 1.6  # times area by perimeter: how far a rectangle grows
THINNEST = 3  # pixels of the map
UPRIGHT = 1.5  # times as high as wide: the line runs from top to bottom


@dataclass(frozen=True)
class Box:
    """A rectangle around one line of text.

    Attributes:
        corners: float64 [4, 2], x and y in pixels: top left, top right, bottom right, bottom left.
        score: mean of the map within it before it grew, 0 to 1.
    """

    corners: np.ndarray
    score: float

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, at least 1."""
        top_left, top_right, _, bottom_left = self.corners
        sides = np.linalg.norm([top_right - top_left, bottom_left - top_left], axis=1)
        return max(1, round(sides[0])), max(1, round(sides[1]))


def find_boxes(probability: np.ndarray, width: int, height: int) -> list[Box]:
    """The lines of text, in reading order.

    Args:
        probability: float32 [H, W], the detector's map.
        width, height: of the picture, to whose pixels the boxes refer.
    """
    rows, columns = probability.shape
    scale = np.array([width / columns, height / rows])
    found = []
    for points in _regions(probability):
        rectangle = smallest_rectangle(points)
        if rectangle is None or min(_sides(rectangle)) < THINNEST:
            continue
        score = _mean_within(probability, rectangle)
        if score < SURE:
            continue
        corners = _from_left(_grown(rectangle)) + 0.5  # from indices of pixels to places
        found.append(Box(corners * scale, score))
    return _in_reading_order(found)


def _regions(probability: np.ndarray) -> list[np.ndarray]:
    """The pixels of each region, int [N, 2], x and y. Regions are one pixel larger to the right and below, which joins
    those that a thin gap parts."""
    mask = probability > THRESHOLD
    mask[:, 1:] |= mask[:, :-1].copy()
    mask[1:] |= mask[:-1].copy()
    labels, _ = ndimage.label(mask, np.ones((3, 3)))
    found = []
    for number, place in enumerate(ndimage.find_objects(labels), 1):
        y, x = np.nonzero(labels[place] == number)
        found.append(np.stack([x + place[1].start, y + place[0].start], axis=1))
    return found


def smallest_rectangle(points: np.ndarray) -> np.ndarray | None:
    """Corners of the rectangle of least area around these points, in order around it; None if it would have none.

    One of its sides lies on a side of the convex hull (Freeman and Shapira, 1975).

    Args:
        points: [N, 2].
    Returns:
        float64 [4, 2].
    """
    try:
        hull = points[ConvexHull(points).vertices].astype(np.float64)
    except (QhullError, ValueError):  # all on one line, or too few
        return None
    along = np.roll(hull, -1, axis=0) - hull
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    u, v = hull @ along.T, hull @ across.T  # [points, sides]
    best = np.argmin(np.ptp(u, axis=0) * np.ptp(v, axis=0))
    ends = [(u[:, best].min(), v[:, best].min()), (u[:, best].max(), v[:, best].max())]
    (u0, v0), (u1, v1) = ends
    return np.array([[u0, v0], [u1, v0], [u1, v1], [u0, v1]]) @ np.stack([along[best], across[best]])


def _sides(rectangle: np.ndarray) -> tuple[float, float]:
    first, second, _, last = rectangle
    return float(np.linalg.norm(second - first)), float(np.linalg.norm(last - first))


def _grown(rectangle: np.ndarray) -> np.ndarray:
    """The rectangle with each side moved outwards by `UNCLIP` of its area by its perimeter."""
    length, width = _sides(rectangle)
    distance = UNCLIP * length * width / (2 * (length + width))
    along, across = (rectangle[1] - rectangle[0]) / length, (rectangle[3] - rectangle[0]) / width
    return rectangle + distance * np.array([-along - across, along - across, along + across, across - along])


def _mean_within(probability: np.ndarray, rectangle: np.ndarray) -> float:
    rows, columns = probability.shape
    low = np.clip(np.floor(rectangle.min(axis=0)).astype(int), 0, (columns - 1, rows - 1))
    high = np.clip(np.ceil(rectangle.max(axis=0)).astype(int), 0, (columns - 1, rows - 1))
    mask = Image.new("1", tuple(int(size) for size in high - low + 1))
    ImageDraw.Draw(mask).polygon([tuple(map(float, corner)) for corner in rectangle - low], fill=1)
    inside = np.asarray(mask)
    part = probability[low[1] : high[1] + 1, low[0] : high[0] + 1]
    return float(part[inside].mean()) if inside.any() else 0.0


def _from_left(corners: np.ndarray) -> np.ndarray:
    """In the order of `Box.corners`: the two leftmost are the line's beginning."""
    by_x = corners[np.argsort(corners[:, 0], kind="stable")]
    left, right = (pair[np.argsort(pair[:, 1], kind="stable")] for pair in (by_x[:2], by_x[2:]))
    return np.stack([left[0], right[0], right[1], left[1]])


def _in_reading_order(boxes: list[Box]) -> list[Box]:
    """From top to bottom, and from left to right where they begin at almost the same height."""
    rows: list[list[Box]] = []
    for box in sorted(boxes, key=lambda box: box.corners[0, 1]):
        if rows and box.corners[0, 1] - rows[-1][0].corners[0, 1] < box.size[1] / 2:
            rows[-1].append(box)
        else:
            rows.append([box])
    return [box for row in rows for box in sorted(row, key=lambda box: box.corners[0, 0])]


def straightened(picture: Image.Image, box: Box) -> Image.Image:
    """What is in the box, turned so that its line runs from left to right; pixels beyond the picture repeat its rim."""
    rim = math.ceil(max(0, -box.corners.min(), (box.corners.max(axis=0) - picture.size).max())) + 2
    wider = Image.fromarray(np.pad(np.asarray(picture), ((rim, rim), (rim, rim), (0, 0)), mode="edge"))
    (width, height), (top_left, top_right, _, bottom_left) = box.size, box.corners + rim
    right, down = (top_right - top_left) / width, (bottom_left - top_left) / height
    matrix = (right[0], down[0], top_left[0], right[1], down[1], top_left[1])
    line = wider.transform((width, height), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC)
    return line.transpose(Image.Transpose.ROTATE_90) if height >= UPRIGHT * width else line
