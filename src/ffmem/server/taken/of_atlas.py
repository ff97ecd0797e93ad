"""What the picture of all cells has to take away: the picture with its legend, and every point as a row."""

import re
from functools import lru_cache
from importlib.resources import files

import numpy as np

from ffmem.markup import Markup
from ffmem.queries.atlas.colours import NOTHING, Colour
from ffmem.queries.atlas.points import CellNumbers
from ffmem.server.explorer import Explorer
from ffmem.server.taken.taking import Taken, named
from ffmem.server.views.atlas import AtlasView, bins, numbers_within, positions_of, shown_numbers

_SIDE, _LEGEND, _SQUARE = 768, 300, 8
"""Sides of the picture, of the legend beside it, and of a square, in pixels."""
_N_CLASSES, _N_SHADES = 8, 9
"""Classes that have a colour of their own, as the page has it, and colours of a scale."""
_VARIABLE = re.compile(r"--(\w+): light-dark\((#\w+), #\w+\)")


@lru_cache(maxsize=1)
def tones() -> dict[str, str]:
    """The colours of the page's sheet in the light, by the names of its variables."""
    return dict(_VARIABLE.findall(files("ffmem.server").joinpath("static/atlas.css").read_text("utf-8")))


def tone(number: int, is_scale: bool) -> str:
    """The colour of a number of the legend, as the page draws it."""
    if number == NOTHING:
        return tones()["none"]
    if is_scale:
        return tones()[f"v{round(number * (_N_SHADES - 1) / (NOTHING - 1))}"]
    return tones()[f"k{number}" if number < _N_CLASSES else "other"]


def atlas_picture(explorer: Explorer, view: AtlasView) -> str:
    """The picture in squares with its legend, as an SVG that needs nothing else."""
    squares = Markup("\n").join(
        Markup('<rect x="{}" y="{}" width="{s}" height="{s}" fill="{}" fill-opacity="{:.2f}"/>').format(
            one.x * _SQUARE, one.y * _SQUARE, tone(one.colour, view.colour.is_scale), 0.25 + 0.75 * one.share, s=_SQUARE
        )
        for one in bins(explorer, view)
    )
    return Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w} {h}" width="{w}" height="{h}" '
        'font-family="sans-serif" font-size="14" fill="#1b1f24"><title>{}</title>'
        '<rect width="{w}" height="{h}" fill="#ffffff"/>{}{}</svg>'
    ).format(f"{view.n_cells:,} cells of {explorer.name}", squares, _legend(view.colour), w=_SIDE + _LEGEND, h=_SIDE)


def _legend(colour: Colour) -> Markup:
    """Colours and what they mean, in a column; of a scale its steps."""
    line = Markup(
        '<circle cx="{}" cy="{y}" r="6" fill="{}"/><text x="{}" y="{y}" dominant-baseline="central">{}</text>'
    )
    found = [Markup('<text x="{}" y="24" font-weight="600">{}</text>').format(_SIDE + 12, colour.title[:34])]
    for place, one in enumerate(colour.legend[:28]):
        n_cells = "" if one.n_cells is None else f" ({one.n_cells:,})"
        shown = tone(one.number, colour.is_scale)
        found.append(line.format(_SIDE + 18, shown, _SIDE + 32, one.label[:30] + n_cells, y=52 + 24 * place))
    return Markup().join(found)


def atlas_cells(explorer: Explorer, view: AtlasView) -> Taken:
    """Every point that is drawn, or every cell in the outline: where it lies, and what its colour means."""
    index, known = explorer.index, CellNumbers(explorer.index)
    outline = view.chosen.outline if view.chosen else ""
    numbers = numbers_within(explorer, view.by, outline) if outline else shown_numbers(explorer)
    positions = positions_of(explorer, view.by)[numbers].tolist()
    meaning = {one.number: one.label for one in view.colour.legend}
    cells = [known.cell(int(one)) for one in numbers]
    names = index.names.names((cell, sign) for cell in cells for sign in (1, -1)[: index.n_signs])
    rows = tuple(
        {"cell": cell, "name": named(names.get((cell, 1)) or names.get((cell, -1))), "x": x, "y": y}
        | {"colour": meaning.get(number, "" if number == NOTHING else number)}
        for cell, (x, y), number in zip(
            cells, positions, np.asarray(view.colour.numbers)[numbers].tolist(), strict=True
        )
    )
    return Taken("cells", ("cell", "name", "x", "y", "colour"), rows)
