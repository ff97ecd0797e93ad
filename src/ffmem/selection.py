"""Some cells of a model, as a user writes them: whole layers, ranges, single cells, a share of each layer.

Parts stand one after the other, between commas or spaces; what several of them name is taken once:

    L3  L0-L5  dec.L2       whole layers
    L9.0-511  L9.0-L9.511   a range of the cells of a layer, its last one included
    L9.2997                 one cell
    1%                      a share of every layer
    L0-L5:1%                a share of some layers
    L9.tc16k  L9.tc16k.0-511  L9.tc16k:1%   a dictionary beside a layer, or some of its cells: L9 alone is the layer's own
    @water  @lists/a.json   the cells of a collection beside the index in question, or of a file: see store/collection_files.py

In a mixture of experts the same indices are taken in every expert. A share is drawn by the hash of seed, layer and index,
so many in each layer (at least one): the same on every machine, and a larger share holds each smaller one of its seed.
"""

import hashlib
import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from ffmem.errors import InputError
from ffmem.ids import CellSpace, LayerCells, is_dictionary_name, runs_of

_LAYER = r"(?P<stack>(?:(?:enc|dec)\.)?)L(?P<first>\d{1,9})"
_SHARE = r"(?P<share>\d{1,3}(?:\.\d{1,9})?)%"
_FORMS = tuple(
    re.compile(form, re.ASCII | re.IGNORECASE)
    for form in (
        _SHARE,
        rf"{_LAYER}(?:-(?:(?P<last_stack>(?:(?:enc|dec)\.)?)L)?(?P<last>\d{{1,9}}))?(?::{_SHARE})?",
        rf"{_LAYER}\.(?P<dictionary>[a-z][a-z0-9_-]+)(?:\.(?P<index>\d{{1,9}})(?:-(?P<end>\d{{1,9}}))?|:{_SHARE})?",
        rf"{_LAYER}\.(?P<index>\d{{1,9}})(?:-(?:(?P<last_layer>(?:(?:enc|dec)\.)?L\d{{1,9}})\.)?(?P<end>\d{{1,9}}))?",
    )
)
_COLLECTION = re.compile(r"@([a-z][a-z0-9_-]*|\S*[/\\]\S*|\S+\.json)", re.ASCII)
_OF_EXPERT = re.compile(r"\.e\d", re.ASCII | re.IGNORECASE)
_FORM = (
    "layers (L3, L0-L5), cells (L9.2997, L9.0-511), shares (1%, L0-L5:1%), cells of dictionaries (L9.tc16k, L9.tc16k.0-511) "
    "or collections (@NAME), between commas"
)
_EXAMPLE = "Write for example --cells 1%, or --cells L3,L9.0-511"


@dataclass(frozen=True)
class Part:
    """One part of a selection."""

    text: str
    """As it was written."""
    stack: str = ""
    layers: tuple[int, int] | None = None
    """First and last layer within the stack; None: every layer of every stack."""
    indices: tuple[int, int] | None = None
    """First and last index; None: all."""
    dictionary: str = ""
    """Name of a dictionary beside the layer, whose cells are meant; empty: the layer's own."""
    share: Fraction = Fraction(1)
    """What of the indices is drawn."""
    collection: str = ""
    """Name or file of a collection, whose cells stand elsewhere; then all else is as it is by default."""


def split_selection(text: str) -> list[str]:
    """The parts of a selection as they are written."""
    return [one for one in re.split(r"[,\s]+", text) if one] if isinstance(text, str) else []


def parse_selection(text: str) -> tuple[Part, ...]:
    """The parts of a selection, without a look at a model.

    Raises:
        InputError: a part has none of the forms.
    """
    parts = tuple(map(_part, split_selection(text)))
    if not parts:
        raise InputError(f"--cells is {text!r}, which names no cell", f"Expected {_FORM}", _EXAMPLE)
    return parts


def _part(text: str) -> Part:
    if _COLLECTION.fullmatch(text):
        return Part(text, collection=text[1:])
    found = next(filter(None, (form.fullmatch(text) for form in _FORMS)), None)
    dictionary = ((found and found.groupdict().get("dictionary")) or "").lower()
    if found is None or (dictionary and not is_dictionary_name(dictionary)):
        if _OF_EXPERT.search(text):
            raise _wrong(
                text,
                "names an expert",
                "Expected a layer and indices: the same indices are taken in every expert",
                f"Write {_OF_EXPERT.split(text)[0]} and the index",
            )
        raise _wrong(text, "has none of the accepted forms", f"Expected {_FORM}", _EXAMPLE)
    named = found.groupdict()
    share = Fraction(named["share"]) / 100 if named.get("share") else Fraction(1)
    if not 0 < share <= 1:
        raise _wrong(text, "is not a share of a layer", "Expected more than 0%, and at most 100%", "Write --cells 1%")
    if "stack" not in named:
        return Part(text, share=share)
    stack, first = named["stack"].lower(), int(named["first"])
    if named.get("index") is None and dictionary:
        return Part(text, stack.rstrip("."), (first, first), dictionary=dictionary, share=share)
    if "index" not in named:
        last = int(named["last"] or first)
        if (named["last_stack"] or stack).lower() != stack or last < first:
            raise _wrong(
                text,
                "is not a range of layers",
                "Expected the first and the last of one stack",
                "Write L0-L5, or dec.L0-L5",
            )
        return Part(text, stack.rstrip("."), (first, last), share=share)
    index, end = int(named["index"]), int(named["end"] or named["index"])
    if (named.get("last_layer") or f"{stack}L{first}").lower() != f"{stack}l{first}" or end < index:
        raise _wrong(
            text,
            "is not a range of cells",
            "Expected the first and the last cell of one layer",
            f"Write L{first}.0-{max(index, end)}, or whole layers: L0-L5",
        )
    return Part(text, stack.rstrip("."), (first, first), (index, end), dictionary)


def _wrong(text: str, what: str, expected: str, mend: str) -> InputError:
    return InputError(f"--cells has {text!r}, which {what}", expected, mend)


@lru_cache(maxsize=8)
def _select(layers: tuple[LayerCells, ...], text: str, seed: int) -> CellSpace:
    space = CellSpace(layers)
    kept: dict[str, set[int]] = {}
    for part in parse_selection(text):
        for layer in _layers(space, part):
            kept.setdefault(layer.name, set()).update(_indices(layer, part, seed))
    return space.keep({name: runs_of(indices) for name, indices in kept.items()})


def select(space: CellSpace, text: str | None, seed: int) -> CellSpace:
    """The cells of a model that a selection names.

    Args:
        space: all cells of the model.
        text: what was written; None: all.
        seed: of what is drawn.

    Raises:
        InputError: a part has none of the forms, or names what the model does not have; the message gives the range.

    Cost: a hash for each cell of the layers that a share is drawn from; done once for the same arguments.
    """
    return space if text is None else _select(space.layers, text, seed)


def _layers(space: CellSpace, part: Part) -> list[LayerCells]:
    if part.collection:
        raise _wrong(
            part.text,
            "is a collection, whose cells are not known here",
            "Expected cells",
            "Write them: `ffmem collect show` lists them",
        )
    if part.layers is None:
        return list(space.layers)
    first, last = part.layers
    known = {one.layer: one for one in space.layers if (one.stack, one.dictionary) == (part.stack, part.dictionary)}
    if first not in known or last not in known:
        alike = [one.name for one in space.layers if bool(one.dictionary) == bool(part.dictionary)]
        names = alike or [one.name for one in space.layers]
        raise _wrong(
            part.text,
            f"the model does not have: it has {space.describe()}",
            f"Expected layers from {names[0]} to {names[-1]}",
            f"Write for example --cells {names[0]}",
        )
    return [known[number] for number in range(first, last + 1)]


def _indices(layer: LayerCells, part: Part, seed: int) -> range | list[int]:
    if part.indices is not None:
        first, last = part.indices
        if last >= layer.d_ff:
            raise _wrong(
                part.text,
                f"the model does not have: layer {layer.name} has {layer.d_ff} cells"
                f"{' in each expert' if layer.n_experts else ''}",
                f"Expected cells from {layer.name}.0 to {layer.name}.{layer.d_ff - 1}",
                f"Write for example --cells {layer.name}.0-{layer.d_ff - 1}",
            )
        return range(first, last + 1)
    if part.share == 1:
        return range(layer.d_ff)
    n = max(1, int(part.share * layer.d_ff + Fraction(1, 2)))
    return sorted(range(layer.d_ff), key=lambda index: _draw(seed, layer, index))[:n]


def _draw(seed: int, layer: LayerCells, index: int) -> bytes:
    return hashlib.sha256(f"{seed} {layer.name}.{index}".encode()).digest()
