"""Figures of the notebooks: one claim each, colour-blind safe, readable at half width.

A function here returns a figure, or :class:`NotDrawn` where one would say nothing. :func:`save`
takes either and returns what a cell shows. A figure's own title (``suptitle``) names what is shown,
since a cell's text is compared to the letter; the titles of its panels say what was found, which
differs a little between machines.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from mtrec.files import whole

COLOURS = sns.color_palette("colorblind")
BETTER, WORSE = COLOURS[0], COLOURS[3]
VERDICTS = {"better": BETTER, "worse": WORSE, "undecided": COLOURS[7]}  # of what is compared
SPLIT_COLOURS = {"train": COLOURS[0], "validation": COLOURS[1], "test": COLOURS[2]}
LOW_TO_HIGH = sns.light_palette(COLOURS[0], as_cmap=True)
AROUND_ZERO = sns.blend_palette([WORSE, "white", BETTER], as_cmap=True)
DPI = 150  # a figure of seven inches has 1050 pixels: sharp at half of a page's width
NOT_DRAWN = "Not drawn: "


@dataclass(frozen=True)
class NotDrawn:
    """What a plot function returns instead of a figure that says nothing; a cell shows why."""

    because: str

    def __repr__(self) -> str:
        return NOT_DRAWN + self.because


@dataclass(frozen=True)
class Picture:
    """A figure as a cell shows it: the bytes of its file, under any backend, and its title."""

    png: bytes
    title: str

    def __repr__(self) -> str:
        return f"[figure] {self.title}"

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        with Image.open(io.BytesIO(self.png)) as image:
            return self.png, {"width": round(image.width * 96 / DPI)}  # in pixels of a web page


def style() -> None:
    """One look for all figures: white ground, so that they read on light and dark pages."""
    sns.set_theme(context="notebook", style="whitegrid", palette="colorblind")
    plt.rcParams.update(
        {"figure.figsize": (7, 4), "figure.dpi": 96, "savefig.dpi": DPI,
         "figure.facecolor": "white", "axes.titlesize": 12, "svg.hashsalt": "mtrec",
         "figure.constrained_layout.use": True}
    )  # fmt: skip


def save(figure: Figure | NotDrawn, path: Path) -> Picture | NotDrawn:
    """Write a figure as PNG, whole or not at all, and return what its cell shows.

    The file has at most 256 colours, which no line or map here needs more of, and neither date nor
    version in it. What is not drawn leaves no file of an earlier run either.
    """
    if isinstance(figure, NotDrawn):
        path.unlink(missing_ok=True)
        return figure
    with whole(path) as temporary:
        temporary.write_bytes(_png(figure))
    plt.close(figure)  # or the inline backend would show it a second time
    first = figure.axes[0].get_title() if figure.axes else ""
    return Picture(path.read_bytes(), figure.get_suptitle() or first)


def _png(figure: Figure) -> bytes:
    drawn, small = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", bbox_inches="tight", metadata={"Software": None})
    with Image.open(drawn) as image:
        few = image.convert("RGB").quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    few.save(small, format="png", optimize=True, dpi=(DPI, DPI))
    return small.getvalue()


def largest(frame: pd.DataFrame) -> tuple[str, float]:
    """Names and value of a table's largest cell; unknown ones do not count.

    Example:
        >>> largest(pd.DataFrame([[0.1, 0.9]], ["like"], ["expert 1", "expert 2"]))
        ('like and expert 2', 0.9)
    """
    values = frame.to_numpy(dtype=float)
    if not np.isfinite(values).any():
        return "none", 0.0
    row, column = np.unravel_index(np.nanargmax(values), values.shape)
    return f"{frame.index[row]} and {frame.columns[column]}", float(values[row, column])


def turn_labels(axes: Axes) -> None:
    """Names of rows level, those of columns slanted, so that long ones do not touch."""
    plt.setp(axes.get_xticklabels(), rotation=30, ha="right", rotation_mode="anchor")
    axes.tick_params(axis="y", rotation=0)
