"""Parquet files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ffmem.corpus.documents import Document, as_json, document_of
from ffmem.corpus.files import File
from ffmem.errors import InputError
from ffmem.extras import extra_module

_ROWS_AT_ONCE = 1000


class Parquet(File):
    """A Parquet file: a document a row, its text in one column, the others as metadata.

    Cost: at most one row group in memory, and as Python objects 1000 rows; columns of bytes are not read.
    """

    kind = "parquet"

    def __init__(self, path: Path, text_field: str) -> None:
        super().__init__(path)
        self.text_field = text_field

    def identity(self) -> dict[str, Any]:
        """See Corpus.identity."""
        return super().identity() | {"field": self.text_field}

    def __iter__(self) -> Iterator[Document]:
        self.n_undecodable_bytes = 0
        parquet = extra_module("pyarrow.parquet", "parquet", f"{self.path} cannot be read")
        number = 0
        try:
            with parquet.ParquetFile(self.path) as file:
                columns = self._columns(file.schema_arrow)
                for group in range(file.num_row_groups):
                    for rows in file.iter_batches(_ROWS_AT_ONCE, row_groups=[group], columns=columns):
                        for fields in rows.to_pylist():
                            number += 1
                            yield document_of(
                                as_json(fields), self.text_field, f"row {number} of {self.path}", f"row {number}"
                            )
        except (OSError, ValueError) as error:  # pyarrow's errors are both, and so is text that is no UTF-8
            raise InputError(
                f"{self.path} is truncated or corrupt after row {number}: {str(error).splitlines()[0]}",
                "Expected a whole Parquet file",
                "Fetch it again, or write it again",
            ) from error

    def _columns(self, schema: Any) -> list[str]:
        """The columns to be read: all that are not bytes."""
        types = extra_module("pyarrow.types", "parquet", f"{self.path} cannot be read")
        binary = (types.is_binary, types.is_large_binary, types.is_fixed_size_binary)
        names = [column.name for column in schema if not any(test(column.type) for test in binary)]
        if self.text_field not in names:
            raise InputError(
                f"{self.path} has no column of text called {self.text_field!r}",
                f"Expected one of its columns: {', '.join(names) or 'none'}",
                "Name the column that holds the text: --field NAME",
            )
        return names
