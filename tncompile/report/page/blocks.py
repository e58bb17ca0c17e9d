"""What a page is made of, as plain data; how it looks is the template's business."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: of it.
        more: below it and smaller, such as an interval.
    """

    text: str
    more: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of cells, the first of which is the row's name.

    Attributes:
        head: names of the columns.
        rows: as many cells as `head`.
        units: below the names; none if empty.
        words: columns that hold words, not numbers.
        prose: whether these may be broken anywhere.
    """

    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    units: tuple[str, ...] = ()
    words: tuple[int, ...] = (0,)
    prose: bool = False
    kind: str = "table"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """A figure that answers at first sight.

    Attributes:
        label: what it is.
        text: the figure.
        unit: of it.
        more: its interval.
        beside: what to compare it with.
        command: what gives the figure, where it is not there yet.
    """

    label: str
    text: str
    unit: str = ""
    more: str = ""
    beside: str = ""
    command: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiles:
    """Figures in a row."""

    tiles: tuple[Tile, ...]
    kind: str = "tiles"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A picture in Vega-Lite.

    Attributes:
        name: of its file among the figures; different from all others of its run.
        title: above it.
        spec: in Vega-Lite, as wide as its box; of the box's height too where it has an `aspect`.
        note: below it.
        canvas: whether it has so many marks that they are pixels rather than elements of the page.
        aspect: width by height; None: the specification has a height.
        controls: whether readers choose something, above the picture.
        size: width and height of its file [pixel]; a height in the specification goes before.
        wide: whether it takes the whole width of the page.
    """

    name: str
    title: str
    spec: Mapping[str, Any]
    note: str = ""
    canvas: bool = False
    aspect: float | None = None
    controls: bool = False
    size: tuple[int, int] = (640, 400)
    wide: bool = False
    kind: str = "chart"


@dataclass(frozen=True, slots=True, kw_only=True)
class Charts:
    """Pictures side by side where there is room.

    Attributes:
        charts: the pictures.
        beside: a table that goes with them.
    """

    charts: tuple[Chart, ...]
    beside: Table | None = None
    kind: str = "charts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A paragraph."""

    text: str
    kind: str = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """Something that is not there yet.

    Attributes:
        text: what, and why.
        command: what gives it; empty: nothing does.
    """

    text: str
    command: str = ""
    kind: str = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Remarks:
    """What a careful colleague would say; pairs of whether it is serious, and a sentence."""

    remarks: tuple[tuple[bool, str], ...]
    kind: str = "remarks"


@dataclass(frozen=True, slots=True, kw_only=True)
class Legend:
    """Names with their colours, and what stands behind each."""

    entries: tuple[tuple[str, str, str], ...]
    kind: str = "legend"


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A picture in pixels.

    Attributes:
        data: as a data URI.
        label: below it.
        more: below that.
    """

    data: str
    label: str
    more: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Gallery:
    """Pictures in pixels, side by side."""

    images: tuple[Image, ...]
    kind: str = "gallery"


@dataclass(frozen=True, slots=True, kw_only=True)
class Commands:
    """Command lines to copy."""

    lines: tuple[str, ...]
    kind: str = "commands"


Block = Tiles | Table | Charts | Text | Missing | Remarks | Legend | Gallery | Commands


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of the page under a heading.

    Attributes:
        name: for links, one word.
        title: the heading.
        blocks: what it shows.
    """

    name: str
    title: str
    blocks: tuple[Block, ...]

    @property
    def charts(self) -> tuple[Chart, ...]:
        """All pictures in Vega-Lite."""
        return tuple(chart for block in self.blocks if isinstance(block, Charts) for chart in block.charts)
