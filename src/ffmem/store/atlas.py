"""Pictures of all cells, as files beside an index: where each cell lies, and what is known of that. Knows no model.

``atlas/BY.npz`` is the whole: arrays of numpy, and the facts as bytes of JSON among them, so that no half of a picture is
ever read. ``atlas/BY.json`` has the facts once more, for people and other programs.
"""

import io
import json
import zipfile
import zlib
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from ffmem.errors import StoreError
from ffmem.json_values import JsonObject, Record
from ffmem.store.files import atomic_write, damaged, disk_errors, drop_unwritten, parse_json, write_json
from ffmem.store.identity import identity_id
from ffmem.store.paths import StorePaths

if TYPE_CHECKING:
    from ffmem.store.reader import Index

AtlasBy = Literal["triggers", "values", "keys"]
"""What lies together in a picture: cells that share triggers, of alike value vectors, or of alike keys."""

_DAMAGES = (
    OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, NotImplementedError, RuntimeError, zlib.error,
    zipfile.BadZipFile,
)  # fmt: skip
"""What readers of archives and arrays raise."""


@dataclass(frozen=True)
class AtlasFacts(Record):
    """What is known of a picture."""

    by: AtlasBy
    seed: int
    neighbours: int
    """Nearest cells of each that the layout was made from."""
    n_cells: int
    n_fitted: int
    """Cells that were laid out; each of the others was put between those it is nearest to."""
    n_apart: int
    """Cells that are like no other; they lie in a strip below, in their order."""
    kept: float
    """Of a cell's nearest cells in the index, the share that are among its nearest in the picture, as a mean over cells."""
    kept_by_chance: float
    """The same once the places of all cells were shuffled."""
    n_measured: int
    """Cells that these two are means over."""
    far: float | None
    """Rank correlation of the distances of random pairs in the picture and in the index; None where it was not measured."""
    seconds: float
    """Time that it took."""
    made_with: str
    """The libraries, with their versions."""


@dataclass(frozen=True)
class Atlas:
    """A picture of all cells of an index, in the order of its layers and their rows."""

    facts: AtlasFacts
    positions: np.ndarray
    """(cells, 2) x and y from 0 to 1, float32."""
    kept: np.ndarray
    """(cells,) share of each one's nearest cells that are near it in the picture; NaN where it was not measured."""
    norm: np.ndarray
    """(cells,) length of each one's vector; empty if it was not made by vectors."""


def atlas_path(index: "Index", by: AtlasBy) -> Path:
    """Where a picture lies."""
    return StorePaths(index.folder).atlas / f"{by}.npz"


def layouts_of(index: "Index") -> tuple[AtlasBy, ...]:
    """The pictures that lie beside an index, whether or not they are sound."""
    return tuple(by for by in get_args(AtlasBy) if atlas_path(index, by).is_file())


def write_atlas(index: "Index", atlas: Atlas) -> Path:
    """Keep a picture beside its index, in the place of an earlier one; killed at any moment, one of the two is there, whole."""
    path = atlas_path(index, atlas.facts.by)
    with disk_errors(path):
        path.parent.mkdir(exist_ok=True)
    drop_unwritten(path)
    facts: JsonObject = {"index": identity_id(index.manifest.identity.json)} | asdict(atlas.facts)
    written = io.BytesIO()
    np.savez(
        written,
        facts=np.frombuffer(json.dumps(facts).encode(), dtype=np.uint8),
        positions=atlas.positions.astype("<f4"),
        kept=atlas.kept.astype("<f4"),
        norm=atlas.norm.astype("<f4"),
    )
    atomic_write(path, written.getvalue())
    write_json(path.with_suffix(".json"), facts)
    return path


def read_atlas(index: "Index", by: AtlasBy) -> Atlas | None:
    """A picture of the cells of an index; None if there is none.

    Raises:
        StoreError: it is damaged, or of another index.
    """
    path = atlas_path(index, by)
    if not path.is_file():
        return None
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in ("facts", "positions", "kept", "norm")}
        facts = dict(parse_json(found.pop("facts").tobytes()))
        origin = facts.pop("index")
        if origin == identity_id(index.manifest.identity.json):
            return _checked(index, path, Atlas(AtlasFacts(**facts), **found))
    except _DAMAGES as error:
        raise damaged_atlas(path, str(error)) from error
    raise StoreError(
        f"{path} is a picture of the cells of another index ({str(origin)[:40]})",
        f"Expected one of {identity_id(index.manifest.identity.json)}",
        f"Make it anew: ffmem atlas {index.folder} --by {by}",
    )


def _checked(index: "Index", path: Path, atlas: Atlas) -> Atlas:
    n, facts = index.n_cells, atlas.facts
    shapes = {"positions": (n, 2), "kept": (n,), "norm": (n if len(atlas.norm) else 0,)}
    for name, shape in shapes.items():
        array: np.ndarray = getattr(atlas, name)
        if array.shape != shape or array.dtype != np.float32:
            raise ValueError(f"{name} is {array.dtype} {array.shape}")
    if not ((atlas.positions >= 0) & (atlas.positions <= 1)).all():
        raise ValueError("a cell lies outside")
    numbers = [getattr(facts, one.name) for one in fields(facts) if one.type in (int, float)]
    if facts.by != path.stem or facts.n_cells != n or not all(isinstance(one, int | float) for one in numbers):
        raise ValueError(f"its facts do not fit: {facts}"[:300])
    return atlas


def damaged_atlas(path: Path, why: str) -> StoreError:
    """The error for a picture that is not what was written."""
    return StoreError(
        f"{damaged(path, why).got}", "Expected a picture as `ffmem atlas` wrote it", "Make it anew: ffmem atlas DIR"
    )
