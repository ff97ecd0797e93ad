"""Token arrays that outgrow memory: appended to files, then put into one safetensors file. Knows no model.

What is in the files stays as it is while more is appended, so that other processes may read it: see `read_spooled`.
"""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from jaxtyping import Int64, UInt32

from ffmem.corpus.tokens import TokenizedSentence

_COPY_BYTES = 1 << 22
_SENTENCES_AT_ONCE, _TOKENS_AT_ONCE = 1000, 1 << 18
"""As many wait in memory before they are written."""
_FIELDS = ("token_id", "token_start", "token_end")
_SIZES = "sizes"
"""Tokens and context of one sentence after the other."""


def read_lengths(prefix: Path, first_sentence: int, n_sentences: int) -> Int64[np.ndarray, "n_sentences"]:
    """How many tokens sentences have that a spool has written: see `TokenSpool.flush`.

    Args:
        prefix: of the spool.
        first_sentence: number of the first.
        n_sentences: how many.
    """
    return _read_sizes(prefix, first_sentence, n_sentences)[:, 0].astype(np.int64)


def read_spooled(
    prefix: Path, first_sentence: int, n_sentences: int, first_token: int
) -> tuple[Int64[np.ndarray, "n_sentences"], UInt32[np.ndarray, "n_sentences"], UInt32[np.ndarray, "n_tokens"]]:
    """Such sentences as lengths, numbers of context tokens, and token ids.

    Args:
        prefix: of the spool.
        first_sentence: number of the first.
        n_sentences: how many.
        first_token: number of the first token of the first.

    Raises:
        FileNotFoundError: the spool was removed.
    """
    sizes = _read_sizes(prefix, first_sentence, n_sentences)
    lengths = sizes[:, 0].astype(np.int64)
    n_tokens = int(lengths.sum())
    tokens = np.fromfile(_path(prefix, _FIELDS[0]), dtype="<u4", count=n_tokens, offset=4 * first_token)
    assert len(tokens) == n_tokens
    return lengths, sizes[:, 1], tokens


def _read_sizes(prefix: Path, first: int, n: int) -> UInt32[np.ndarray, "n 2"]:
    sizes = np.fromfile(_path(prefix, _SIZES), dtype="<u4", count=2 * n, offset=8 * first).reshape(-1, 2)
    assert len(sizes) == n
    return sizes


def tokens_path(folder: Path) -> Path:
    """Where the tokens of a text lie that is whole."""
    return folder / "tokens.safetensors"


def writing_folder(work: Path, run_id: str) -> Path:
    """Where a run writes a text until it is whole: no other run's, since a process of a run that was killed may still write."""
    return work / f"text-{run_id}"


def _path(prefix: Path, name: str) -> Path:
    return prefix.with_name(f"{prefix.name}-{name}.spool")


class TokenSpool:
    """Appends token arrays to files, as uint32.

    Args:
        prefix: begins the names of its files.
    """

    def __init__(self, prefix: Path) -> None:
        self._paths = [_path(prefix, name) for name in (*_FIELDS, _SIZES)]
        self._files: list[BinaryIO] = [path.open("wb+") for path in self._paths]
        self._waiting: list[TokenizedSentence] = []
        self._sizes: list[tuple[int, int]] = []
        self._n_written = 0
        self.n_sentences = 0
        self.n_tokens = 0
        self.n_context_tokens = 0

    def add(self, tokens: TokenizedSentence, sizes: Sequence[int], contexts: Sequence[int]) -> None:
        """Append the tokens of more sentences: of how many tokens each is, and how many of its first are only context."""
        self.n_sentences += len(sizes)
        self.n_tokens += len(tokens.token_ids)
        self.n_context_tokens += sum(contexts)
        self._waiting.append(tokens)
        self._sizes += zip(sizes, contexts, strict=True)
        if len(self._sizes) >= _SENTENCES_AT_ONCE or self.n_tokens - self._n_written >= _TOKENS_AT_ONCE:
            self._write()

    def flush(self) -> None:
        """Let others read all that there is."""
        self._write()
        for file in self._files:
            file.flush()

    def _write(self) -> None:
        if not self._waiting:
            return
        for file, name in zip(self._files, ("token_ids", "starts", "ends"), strict=False):
            arrays = [getattr(tokens, name) for tokens in self._waiting]
            array = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
            file.write(np.ascontiguousarray(array, dtype="<u4").data)
        self._files[3].write(np.array(self._sizes, dtype="<u4").tobytes())
        self._waiting, self._sizes = [], []
        self._n_written = self.n_tokens

    def chunks(self, i: int) -> Iterator[np.ndarray]:
        """One of the files, piece by piece; 3 is length and context of one sentence after the other."""
        self._write()
        self._files[i].seek(0)
        while data := self._files[i].read(_COPY_BYTES):
            yield np.frombuffer(data, dtype="<u4")

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()

    def remove(self) -> None:
        """Delete the files."""
        self.close()
        for path in self._paths:
            path.unlink()


def write_tokens(path: Path, parts: Sequence[TokenSpool]) -> None:
    """Write ``tokens.safetensors`` from spools, one after the other, in memory that does not grow with them.

    The library of that format would need all arrays in memory. The file is there when it is whole.
    """
    half = path.with_name(f".{path.name}.tmp")
    n_tokens, n_sentences = (sum(getattr(part, name) for part in parts) for name in ("n_tokens", "n_sentences"))
    header: dict[str, object] = {}
    end = 0
    wide = [any(chunk.max() >= 2**16 for part in parts for chunk in part.chunks(i)) for i in range(3)]
    layout = [("sentence_start", "U64", 8, n_sentences + 1)]
    if any(part.n_context_tokens for part in parts):
        layout.append(("context", "U32", 4, n_sentences))
    layout += [(name, "U32", 4, n_tokens) for name, w in zip(_FIELDS, wide, strict=True) if w]
    layout += [(name, "U16", 2, n_tokens) for name, w in zip(_FIELDS, wide, strict=True) if not w]
    for name, dtype, width, n in layout:
        header[name] = {"dtype": dtype, "shape": [n], "data_offsets": [end, end + width * n]}
        end += width * n
    data = json.dumps(header).encode()
    data += b" " * (-len(data) % 8)
    with half.open("wb") as file:
        file.write(len(data).to_bytes(8, "little") + data)
        total = np.uint64(0)
        file.write(total.tobytes())
        for part in parts:
            for sizes in part.chunks(3):
                starts = total + sizes[::2].astype("<u8").cumsum(dtype="<u8")
                file.write(starts.tobytes())
                total = starts[-1]
        for name, dtype, _, _ in layout[1:]:
            for part in parts:
                chunks = (
                    (sizes[1::2] for sizes in part.chunks(3)) if name == "context" else part.chunks(_FIELDS.index(name))
                )
                for chunk in chunks:
                    file.write(chunk.astype("<u4" if dtype == "U32" else "<u2").tobytes())
        file.flush()
        os.fsync(file.fileno())
    os.replace(half, path)
