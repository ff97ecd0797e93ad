"""Data sets of the Hugging Face hub, streamed."""

import gc
import warnings
from collections.abc import Iterator
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import Any

from ffmem.corpus.documents import Document, Rows, as_json
from ffmem.corpus.encodings import UTF_8
from ffmem.corpus.files import Look, changed, encoding_identity, look_of
from ffmem.errors import InputError
from ffmem.extras import extra_module
from ffmem.json_values import JsonObject

PREFIX = "hf:"
_EXACT = 2.0**53
"""From here on, a float64 does not hold every whole number."""


class HubDataset(Rows):
    """A data set of the hub, or a folder of files like one: a document a row.

    Args:
        name: ``hf:NAME[:CONFIG][:SPLIT][:FIELD]``; parts may be left empty. The split is ``train`` unless named.
        text_field: the field that holds the text, unless the name names one.
        encoding: of text that is stored as bytes.

    Cost: rows are streamed. Without a revision, `identity` reads all of them once.
    """

    kind = "hub"
    is_elsewhere = True

    def __init__(self, name: str, text_field: str, encoding: str = UTF_8) -> None:
        super().__init__(text_field, encoding)
        self.name = name
        parts = name.removeprefix(PREFIX).split(":")
        if len(parts) > 4 or not parts[0]:
            raise InputError(
                f"{name!r} does not name a data set",
                "Expected hf:NAME[:CONFIG][:SPLIT][:FIELD]",
                "For example: ffmem index MODEL hf:wikitext:wikitext-2-raw-v1:validation --out DIR",
            )
        self._told: dict[Path, Look | None] = {}
        """What its files of this machine looked like when its identity was told."""
        self._dataset, config, split, field = (*parts, "", "", "")[:4]
        self._config, self._split, self.text_field = config or None, split or "train", field or text_field

    def __getstate__(self) -> dict[str, Any]:
        """Without what the library holds: a process that this is sent to opens it anew."""
        return {name: value for name, value in self.__dict__.items() if name not in ("_library", "_builder")}

    def identity(self) -> JsonObject:
        """See Corpus.identity. With the commit of a data set on the hub, else a hash over the rows as they are read."""
        parts = {"dataset": self._dataset, "config": self._config, "split": self._split, "field": self.text_field}
        parts |= encoding_identity(self.encoding)
        revision = self._revision()
        self._told = {} if revision else {path: look_of(path) for path in self._local_files()}
        decided = {"revision": revision} if revision else {"sha256": self.content_hash()}
        return {"kind": self.kind, "name": self.name} | parts | decided

    def check_unchanged(self) -> None:
        """See Corpus.check_unchanged: of files of this machine."""
        for path, told in self._told.items():
            if look_of(path) != told:
                raise changed(path)

    def _local_files(self) -> list[Path]:
        """Those that the rows are read from, as far as they lie on this machine."""
        files = (self._builder.config.data_files or {}).get(self._split) or ()
        return [path for path in map(Path, files) if path.is_file()]

    def __iter__(self) -> Iterator[Document]:
        self.n_undecodable_bytes = 0
        number = 0
        try:
            dataset = self._rows()
            is_json = _format_of(self._builder) == "json"
            if dataset.features:
                dataset = dataset.select_columns(
                    [
                        name
                        for name, kind in dataset.features.items()
                        if not _is_bytes(kind, is_json) or self._is_text(name, kind)
                    ]
                )
            for number, row in enumerate(dataset, start=1):
                text = row.get(self.text_field)
                fields = as_json(row) | ({self.text_field: text} if isinstance(text, bytes) else {})
                if is_json:
                    self._check_numbers(fields, number)
                yield self._document(fields, f"row {number} of {self.name}", f"row {number}")
        except self._errors as error:
            raise self._unreadable(error, f" after row {number}" if number else "") from error

    def _is_text(self, name: str, feature: Any) -> bool:
        """Whether a column of bytes is the text."""
        return name == self.text_field and not hasattr(feature, "decode_example")

    def _rows(self) -> Any:
        """The rows of the split; those of CSV files as the strings that they are, since a guess makes 7.0 of 007."""
        rows = self._builder.as_streaming_dataset(split=self._split)
        if _format_of(self._builder) != "csv":
            return rows
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", ResourceWarning
            )  # the library leaves a file open whose rows are not all read
            with closing(iter(rows)) as begun:
                first = next(begun, None)
            del begun
            gc.collect()
        if first is None:
            return rows
        features = self._library.Features({name: self._library.Value("string") for name in first})
        builder = self._library.load_dataset_builder(
            self._dataset, self._config, features=features, keep_default_na=False
        )
        return builder.as_streaming_dataset(split=self._split)

    def _check_numbers(self, fields: JsonObject, number: int) -> None:
        """Refuse whole numbers of JSON that the library has rounded: beyond 64 bits it reads them as floats."""
        for name, value in fields.items():
            if isinstance(value, float) and abs(value) >= _EXACT and value.is_integer():
                raise InputError(
                    f"row {number} of {self.name} has {value!r} in its field {name!r}, a number that its reader has rounded",
                    "Expected whole numbers within 64 bits",
                    f"Give the files themselves, which are read exactly: '{self._dataset}/**/*.jsonl'",
                )

    @cached_property
    def _library(self) -> Any:
        return extra_module("datasets", "datasets", f"{self.name} cannot be read")

    @property
    def _errors(self) -> tuple[type[Exception], ...]:
        # what the library and the hub raise: offline, no such name, configuration or split, files it cannot read
        return (OSError, ValueError, self._library.exceptions.DatasetsError)

    @cached_property
    def _builder(self) -> Any:
        library = self._library
        try:
            return library.load_dataset_builder(self._dataset, self._config)
        except self._errors as error:
            raise self._unreadable(error, "") from error

    def _revision(self) -> str | None:
        """The commit whose files are read, where they all come from the hub."""
        files = (self._builder.config.data_files or {}).get(self._split)
        origins = files.origin_metadata if files else []
        # files of the hub come from (repository, commit); others have one part: a time, or an HTTP tag
        commits = {origin[1] if len(origin) == 2 else None for origin in origins}
        return commits.pop() if len(commits) == 1 else None

    def _unreadable(self, error: Exception, where: str) -> InputError:
        return InputError(
            f"the data set {self.name} cannot be read{where}: {str(error).strip().splitlines()[0]}",
            "Expected hf:NAME[:CONFIG][:SPLIT][:FIELD], a data set on the Hugging Face hub or a folder of files",
            "Check name, config and split; without a network, fetch its files elsewhere and give their folder: hf:FOLDER",
        )


def _format_of(builder: Any) -> str:
    """What the library reads the files with: "csv", "json", "parquet", ..."""
    return str(type(builder).__module__.rpartition(".")[2])


def _is_bytes(feature: Any, is_json: bool) -> bool:
    """Whether a column holds images, sounds or other bytes, which would be decoded for nothing.

    Or values of several types: of files that are JSON themselves, the library makes the number 7 of the string "007".
    """
    if type(feature).__name__ == "Json":
        return is_json
    return hasattr(feature, "decode_example") or getattr(feature, "dtype", None) in ("binary", "large_binary")
