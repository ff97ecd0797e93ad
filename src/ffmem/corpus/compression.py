"""Files that may be compressed, as a stream of their bytes."""

import gzip
import io
import zlib
from pathlib import Path
from typing import IO, Any

from ffmem.extras import extra_module

COMPRESSIONS = (".gz", ".zst")
COMPRESSED = 4
"""About how many bytes of text a compressed byte stands for."""
"""What may follow the suffix of a file of text or JSON lines."""

_PIECE = 1024
"""Compressed bytes taken at a time: a kilobyte can stand for megabytes."""


class DamagedError(Exception):
    """A .zst file is truncated or corrupt."""


DAMAGED = (EOFError, zlib.error, gzip.BadGzipFile, DamagedError)
"""What reading a truncated or corrupt compressed file raises."""


def open_plain(path: Path) -> gzip.GzipFile | io.BufferedReader:
    """The bytes of a file, decompressed as its suffix says."""
    if path.suffix == ".gz":
        return gzip.open(path, "rb")
    if path.suffix == ".zst":
        module = extra_module(("compression.zstd", "zstandard"), "zst", f"{path} cannot be read")
        return io.BufferedReader(_ZstdFile(path.open("rb"), module))
    return path.open("rb")


class _ZstdFile(io.RawIOBase):
    """Frames of Zstandard one after the other. The library's own readers take the end of a truncated file for its end."""

    def __init__(self, file: IO[bytes], module: Any) -> None:
        self._file, self._module = file, module
        self._decompressor: Any = None
        self._plain = b""

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()
        super().close()

    def readinto(self, buffer: Any) -> int:
        while not self._plain:
            data = self._unused() or self._file.read(_PIECE)
            if not data:
                if self._decompressor is not None and not self._decompressor.eof:
                    raise DamagedError("it stops before its end marker")
                return 0
            self._plain = self._decompress(data)
        n = min(len(buffer), len(self._plain))
        buffer[:n], self._plain = self._plain[:n], self._plain[n:]
        return n

    def _unused(self) -> bytes:
        """What was read past the end of a frame."""
        ended = self._decompressor is not None and self._decompressor.eof
        return bytes(self._decompressor.unused_data) if ended else b""

    def _decompress(self, data: bytes) -> bytes:
        try:
            if self._decompressor is None or self._decompressor.eof:
                made = self._module.ZstdDecompressor()
                # the standard library's has the methods itself, the package's makes an object that does
                self._decompressor = made.decompressobj() if hasattr(made, "decompressobj") else made
            return bytes(self._decompressor.decompress(data))
        except self._module.ZstdError as error:
            raise DamagedError(str(error)) from error
