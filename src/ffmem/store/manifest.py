"""The manifest of an index: one frozen tree, parsed once. Knows no model.

Each part keeps the JSON that it was read from, so that names which this build does not know are written back as they were.
docs/design/store-format.md is normative.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from ffmem.errors import FfmemError, StoreError
from ffmem.ids import CellSpace, parse_runs
from ffmem.json_values import JsonObject, Record
from ffmem.options import IndexOptions
from ffmem.store.facts import DictionaryFacts, ModelFacts, Projection
from ffmem.store.fields import ACTIVE_SENTENCES
from ffmem.store.files import parse_json
from ffmem.store.paths import READABLE_FORMATS, StorePaths, layer_path
from ffmem.store.schema import problem_of


@dataclass(frozen=True)
class _Part:
    """An object of the manifest, whose fields have the names that they have there."""

    json: Mapping[str, Any] = field(repr=False, hash=False)
    """As it stands in the manifest."""

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The part of these values, lists as tuples; names that are missing get their defaults."""
        known = {one.name for one in fields(cls)} & values.keys()
        return cls(values, **{n: tuple(values[n]) if isinstance(values[n], list) else values[n] for n in known})


@dataclass(frozen=True)
class ModelIdentity(_Part):
    """Which model it is."""

    name: str
    source: str
    """Where it was loaded from."""
    revision: str | None
    weights_sha256: str


@dataclass(frozen=True)
class CorpusIdentity(_Part):
    """Which text it is."""

    kind: str
    name: str


@dataclass(frozen=True)
class Identity:
    """What decides the content of an index."""

    json: Mapping[str, Any] = field(repr=False, hash=False)
    """As it stands in the manifest."""
    ffmem: str
    """The version that built the index."""
    model: ModelIdentity
    corpus: CorpusIdentity
    """The corpus, or all of them under one name."""
    corpora: tuple[CorpusIdentity, ...]
    """Each of them, in their order."""
    options: IndexOptions

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Identity":
        """The identity of these values.

        Raises:
            FfmemError: an option has a value that it cannot have.
            TypeError: an option is unknown, or of another type.
        """
        return cls(
            json=values,
            ffmem=values["ffmem"],
            model=ModelIdentity.from_json(values["model"]),
            corpus=CorpusIdentity.from_json(values["corpus"]),
            corpora=tuple(CorpusIdentity.from_json(one) for one in corpora_of(values)),
            options=IndexOptions(**values["options"]),
        )


def corpora_of(identity: Mapping[str, Any]) -> list[JsonObject]:
    """The identities of the corpora in the JSON of an identity, in their order."""
    corpus = identity["corpus"]
    return list(corpus["corpora"]) if corpus["kind"] == "several" else [corpus]


@dataclass(frozen=True)
class Counts(_Part):
    """What became of the corpus: see index/text/writer.TextCounts, which counts it."""

    n_documents: int
    n_documents_held_out: int
    n_documents_empty: int
    n_sentences: int
    n_sentences_held_out: int
    n_duplicates: int
    n_tokens: int
    n_tokens_held_out: int
    n_context_tokens: int
    n_undecodable_bytes: int
    n_long_sentences: int
    n_windows: int
    n_sentences_shared: int
    stopped_by: str | None
    n_sentences_by_corpus: tuple[int, ...]
    n_empty_sentences: int = 0
    n_held_out_also_indexed: int = 0
    n_lines: int = 0
    """0 where there are none, and in older indexes: so with the two above."""

    @property
    def n_all_sentences(self) -> int:
        """Indexed and held-out ones."""
        return self.n_sentences + self.n_sentences_held_out

    @property
    def n_all_tokens(self) -> int:
        """Of indexed and of held-out sentences."""
        return self.n_tokens + self.n_tokens_held_out


@dataclass(frozen=True)
class SpecialTokens(_Part):
    """The special tokens of every input."""

    prefix: tuple[int, ...]
    suffix: tuple[int, ...]


@dataclass(frozen=True)
class SameBytes(_Part):
    """Whether another build gives the same bytes."""

    holds: bool
    processor: str
    why: str
    machines: tuple[str, ...] = ()
    """What computed the index; not told by some older ones."""


@dataclass(frozen=True)
class Proof(Record, _Part):
    """How the model was held to its own plain call, and how it must run."""

    batching: Mapping[str, Any]
    """The arguments of models/base.Batching."""
    lengths: tuple[int, ...]
    errors: Mapping[str, float]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Certificate:
    """How exactly the model held what everything rests on."""

    json: Mapping[str, Any] = field(repr=False, hash=False)
    """As it stands in the manifest."""
    errors: Mapping[str, Any]
    """Largest errors by name, some of them by layer."""
    proof: Proof | None
    """None in indexes of earlier builds."""

    @property
    def no_scores(self) -> str:
        """Why the model, read by its structure, gives no scores of its own over tokens; "" if it does, or that is not told."""
        found = self.json.get("structure")
        return str(found.get("no_scores", "")) if isinstance(found, dict) else ""

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Certificate":
        """The certificate of these values."""
        return cls(values, values["errors"], Proof.from_json(values["proof"]) if "proof" in values else None)


@dataclass(frozen=True)
class ExcludedShard(_Part):
    """A shard that was left out."""

    shard_id: int
    first_sentence: int
    end_sentence: int
    n_tokens: int


@dataclass(frozen=True)
class StoredFile:
    """What a file of the index must be."""

    n_bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What an index says of itself. Made by `parse`."""

    json: Mapping[str, Any] = field(repr=False, hash=False)
    """As it was read."""
    format: int
    identity: Identity
    model: ModelFacts
    projection: Projection
    """By which values become scores over the vocabulary."""
    layer_projections: tuple[Projection, ...]
    """That of each layer in the index, which may be another."""
    special_tokens: SpecialTokens
    same_bytes: SameBytes
    counts: Counts
    certificate: Certificate
    files: Mapping[str, StoredFile]
    """By path from the index's folder."""
    excluded_shards: tuple[ExcludedShard, ...]
    cells_kept: Mapping[str, str] | None
    """By layer, the indices of the cells that are there; None: all cells of the model."""
    dictionaries: tuple[DictionaryFacts, ...] = ()
    """Transcoders and sparse autoencoders whose entries are cells of the index too, behind those of the model."""

    @classmethod
    def parse(cls, values: JsonObject) -> "Manifest":
        """The manifest of these JSON values.

        Raises:
            ValueError: something is missing in it or wrong; the message says what, beginning with "it".
        """
        problem = problem_of(values)
        if problem is not None:
            raise ValueError(problem)
        try:
            identity = Identity.from_json(values["identity"])
        except (FfmemError, TypeError, AttributeError, ValueError) as error:
            why = error.got if isinstance(error, FfmemError) else str(error).removeprefix("IndexOptions.__init__() ")
            raise ValueError(f"its identity.options are not valid: {why}") from error
        dictionaries = tuple(DictionaryFacts.from_json(one) for one in values.get("dictionaries", ()))
        if [one.cells.name for one in dictionaries] != [one.cells for one in identity.options.attachments]:
            raise ValueError("it has other dictionaries than its identity.options")
        return cls(
            json=values,
            format=values["format"],
            identity=identity,
            model=ModelFacts.from_json(values["model"]),
            projection=values["projection"],
            layer_projections=tuple(values["layer_projections"]),
            special_tokens=SpecialTokens.from_json(values["special_tokens"]),
            same_bytes=SameBytes.from_json(values["same_bytes"]),
            counts=Counts.from_json(values["counts"]),
            certificate=Certificate.from_json(values["certificate"]),
            files={name: StoredFile(one["bytes"], one["sha256"]) for name, one in values["files"].items()},
            excluded_shards=tuple(ExcludedShard.from_json(one) for one in values.get("excluded_shards", ())),
            cells_kept=values.get("cells_kept"),
            dictionaries=dictionaries,
        )

    def to_json(self) -> JsonObject:
        """As plain JSON values: those that were read."""
        return dict(self.json)

    @property
    def options(self) -> IndexOptions:
        """Those that the index was built with."""
        return self.identity.options

    @property
    def has_active_sentences(self) -> bool:
        """Whether it is known in how many sentences each cell is active: not in older indexes, and what was made of them."""
        return ACTIVE_SENTENCES in self.json.get("statistics", ())

    @property
    def n_signs(self) -> int:
        """Trigger lists of a cell: see `ModelFacts.n_signs`."""
        return self.model.n_signs

    @property
    def n_bytes(self) -> int:
        """Of all files of the index."""
        return sum(one.n_bytes for one in self.files.values())

    @property
    def excluded_ranges(self) -> list[tuple[int, int]]:
        """The ranges of sentences (first, end) that were left out."""
        return [(one.first_sentence, one.end_sentence) for one in self.excluded_shards]

    @cached_property
    def cells(self) -> CellSpace:
        """The cells that the index has."""
        space = CellSpace((*self.model.layers, *(one.cells for one in self.dictionaries)))
        if self.cells_kept is None:
            return space
        return space.keep({name: parse_runs(runs) for name, runs in self.cells_kept.items()})


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a finished index.

    Raises:
        StoreError: no index, an unfinished one, a damaged manifest, or a format that this build does not read.
    """
    paths = StorePaths(folder)
    if not paths.manifest.is_file():
        if paths.work.is_dir():
            raise StoreError(
                f"the index in {folder} is not finished",
                "Expected a finished one, with a manifest.json",
                "Run the `ffmem index` command that began it once more: it resumes where it stopped",
            )
        raise StoreError(
            f"there is no index in {folder}",
            "Expected a folder with a manifest.json, as `ffmem index` writes it",
            "Check the path, or build one: ffmem index MODEL CORPUS --out " + str(folder),
        )
    try:
        values = parse_json(paths.manifest.read_bytes())
        if type(values["format"]) is not int:
            raise TypeError(f"format is {values['format']!r}")
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise damaged_manifest(folder, str(error)) from error
    low, high = READABLE_FORMATS
    if not low <= values["format"] <= high:
        raise StoreError(
            f"store {folder} has format {values['format']}",
            f"This build reads {low}-{high}",
            f"Upgrade ffmem, or rebuild it: ffmem index ... --out {folder}",
        )
    try:
        return Manifest.parse(values)
    except ValueError as error:
        raise damaged_manifest(folder, str(error)) from error


def damaged_manifest(folder: Path, why: str) -> StoreError:
    """The error for the manifest of an index that is not what was written."""
    return StoreError(
        f"{StorePaths(folder).manifest} is damaged: {why}",
        "Expected the JSON that `ffmem index` wrote",
        "Copy the file again from where the index came from, or rebuild the index",
    )


_FILE_NAME = re.compile(r"index(/\w[\w.-]*)+", re.ASCII)
"""A file of an index lies in it; nothing else is ever opened."""


def check_files(folder: Path, manifest: Manifest) -> None:
    """Compare the length of every file with the manifest; milliseconds, so done at each opening.

    Raises:
        StoreError: a file is missing or has another length, or the manifest leaves one out.
    """
    index = StorePaths(folder).index
    layers = [layer_path(index, cells) for cells in manifest.cells.layers]
    needed = [index / "text.sqlite", index / "tokens.safetensors", *layers]
    unlisted = {path.relative_to(folder).as_posix() for path in needed} - manifest.files.keys()
    if unlisted:
        raise damaged_manifest(folder, f"it does not list {min(unlisted)}")
    for name, stored in manifest.files.items():
        if not _FILE_NAME.fullmatch(name):
            raise damaged_manifest(folder, f"{name!r} is no file of an index")
        path = folder / name
        try:
            size = path.stat().st_size if path.is_file() else None
        except OSError:
            size = None
        if size != stored.n_bytes:
            problem = "is missing" if size is None else f"has {size:,} bytes"
            raise StoreError(
                f"{path} {problem}",
                f"The manifest says {stored.n_bytes:,} bytes",
                f"Copy the index again, or rebuild it into another folder; `ffmem verify {folder}` checks every file",
            )
