"""Texts on matplotlib's figures."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.text import Text


def shown_texts(figure: Figure) -> list[Text]:
    """Returns the texts on a figure, those of hidden axes and of ticks beyond an axis left out."""
    found: list[Text] = list(figure.texts)
    for axes in figure.axes:
        found += axes.texts
        if legend := axes.get_legend():
            found += legend.get_texts()
        if axes.axison:
            for axis in (axes.xaxis, axes.yaxis):
                low, high = sorted(axis.get_view_interval())
                found += [t.label1 for t in axis.get_major_ticks() if low <= t.get_loc() <= high]
                found.append(axis.label)
    return [text for text in found if text.get_text().strip()]


def assert_legible(figure: Figure) -> None:
    """No text is cut off, covered by another, or tiny."""
    width, height = figure.canvas.get_width_height(physical=True)
    boxes = []
    for text in shown_texts(figure):
        assert text.get_fontsize() >= 8, text
        box = text.get_window_extent()
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height, text
        boxes.append((box.padded(-1), text))
    for i, (box, text) in enumerate(boxes):
        for other, beneath in boxes[:i]:
            assert not box.overlaps(other), (text, beneath)
