"""Names beside points, none over another. Imports matplotlib, and so is imported only by what draws."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.font_manager import FontProperties
from matplotlib.text import Annotation
from matplotlib.textpath import TextPath
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

__all__ = ["add_labels", "axes_points", "laid_out", "text_points"]

# How far from its point a name may stand, in points of 1/72 inch; farther ones get a line.
_REACH = (5.0, 14.0, 24.0, 36.0)
_LINE_FROM = 10.0
# Right, left, then above and below, as a reader looks for them.
_ANGLES = np.deg2rad([20.0, 160.0, -20.0, 200.0, 60.0, 120.0, -60.0, 240.0, 90.0, 270.0])
_POINT = 2.5


class _Placer(Artist):
    """Places the names anew in every drawing, when the size of the axes is known; those without room are hidden."""

    def __init__(self, labels: list[Annotation], points: NDArray[np.float64]) -> None:
        super().__init__()
        self._labels, self._points = labels, points
        self.set_zorder(2.9)
        self.set_in_layout(False)

    def draw(self, renderer: RendererBase) -> None:
        ax = self.axes
        assert ax is not None
        scale = float(np.asarray(renderer.points_to_pixels(1.0)))
        room = ax.get_window_extent(renderer)
        legend = ax.get_legend()
        taken_boxes = [] if legend is None else [legend.get_window_extent(renderer)]
        points = ax.transData.transform(self._points)
        for label in self._labels:
            x, y = ax.transData.transform(label.xy)
            # Without its line: only the text has to be clear of others.
            label.set_visible(True)
            label.set_position((0.0, 0.0))
            label.update_positions(renderer)
            box = super(Annotation, label).get_window_extent(renderer)
            placement = next(
                (
                    (offset, moved)
                    for offset, moved in _candidates(box.width, box.height, x, y, scale)
                    if np.all(room.min <= moved.min)
                    and np.all(moved.max <= room.max)
                    and not moved.count_overlaps(taken_boxes)
                    and not moved.padded(_POINT * scale).count_contains(points)
                ),
                None,
            )
            label.set_visible(placement is not None)
            if placement is None:
                continue
            (dx, dy), moved = placement
            taken_boxes.append(moved.padded(1.0 * scale))
            label.set_position((dx / scale, dy / scale))
            assert label.arrow_patch is not None
            # Where the name stands apart from its point, or as near to another one.
            own_gap = float(_distances(moved, np.array([[x, y]]))[0])
            other_gaps = _distances(moved, points[np.hypot(points[:, 0] - x, points[:, 1] - y) > 1.0])
            ambiguous = bool((other_gaps < 1.5 * own_gap + 2.0 * scale).any())
            label.arrow_patch.set_visible(ambiguous or own_gap > _LINE_FROM * scale)


def _candidates(
    width: float, height: float, x: float, y: float, scale: float
) -> Iterator[tuple[tuple[float, float], Bbox]]:
    """Yield places of the middle of the text, relative to the point in pixels, nearest first."""
    for reach in _REACH:
        for angle in _ANGLES:
            dx = np.cos(angle) * (reach * scale + width / 2)
            dy = np.sin(angle) * (reach * scale + height / 2)
            yield ((float(dx), float(dy)), Bbox.from_bounds(x + dx - width / 2, y + dy - height / 2, width, height))


def _distances(box: Bbox, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Measure how far points are from the box, in pixels."""
    across = np.maximum(np.maximum(box.x0 - points[:, 0], points[:, 0] - box.x1), 0.0)
    along = np.maximum(np.maximum(box.y0 - points[:, 1], points[:, 1] - box.y1), 0.0)
    return np.hypot(across, along)


def add_labels(
    ax: Axes, names: Sequence[str], xy: NDArray[np.float64], *, avoid: NDArray[np.float64], size: float = 8.0
) -> list[Annotation]:
    """Write names beside points, the first ones first; those for which there is no room are not shown.

    The axes have their limits and their legend. Shape of ``xy``: ``(n, 2)``; of ``avoid``, which no name may cover:
    ``(m, 2)``; both in data coordinates. Which names are visible is known after drawing.
    """
    labels = [
        ax.annotate(
            name,
            (float(x), float(y)),
            xytext=(0, 0),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=size,
            zorder=4,
            arrowprops={"arrowstyle": "-", "color": "#555555", "linewidth": 0.6, "shrinkA": 0.0, "shrinkB": 2.5},
        )
        for name, (x, y) in zip(names, xy, strict=True)
    ]
    for label in labels:
        label.set_in_layout(False)
    if labels:
        ax.add_artist(_Placer(labels, np.asarray(avoid, dtype=np.float64)))
    return labels


def text_points(text: str, *, size: float) -> float:
    """Estimate how wide a text is, in points."""
    return float(TextPath((0, 0), text, size=size, prop=FontProperties()).get_extents().width) if text.strip() else 0.0


def axes_points(ax: Axes) -> tuple[float, float]:
    """Measure how wide and high axes are at present, in points."""
    box, dpi = ax.get_window_extent(), ax.figure.dpi
    return float(box.width * 72 / dpi), float(box.height * 72 / dpi)


def laid_out(ax: Axes) -> tuple[float, float]:
    """Lay out the figure and measure how wide and high axes are then, in points."""
    # That of a subfigure is the whole figure.
    figure = ax.figure.figure
    if (engine := figure.get_layout_engine()) is not None:
        engine.execute(figure)
    return axes_points(ax)
