"""Compressed files read as what they hold, and say so when they are not whole."""

import gzip
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from ffmem import extras
from ffmem.corpus.registry import open_corpus
from ffmem.errors import InputError

COMPRESS: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}
TEXT = "\n\n".join(f"Paragraph {i}, with the number {random.Random(i).random()}.\nÉté." for i in range(2000))
LINES = "\n".join(json.dumps({"text": f"One {i}.", "n": i}) for i in range(2000))

each_compression = pytest.mark.parametrize("suffix", COMPRESS)


@each_compression
@pytest.mark.parametrize(("kind", "content"), [("txt", TEXT), ("jsonl", LINES)])
def test_they_are_read_as_what_they_hold(tmp_path: Path, suffix: str, kind: str, content: str):
    (tmp_path / f"x.{kind}").write_text(content)
    data = content.encode()
    third = len(data) // 3  # several frames, cut anywhere, are one file
    packed = b"".join(COMPRESS[suffix](part) for part in (data[:third], b"", data[third:]))
    (tmp_path / f"x.{kind}{suffix}").write_bytes(packed)
    plain, compressed = (open_corpus(str(tmp_path / name)) for name in (f"x.{kind}", f"x.{kind}{suffix}"))
    assert list(compressed) == list(plain)
    assert len(list(compressed)) == 2000
    assert compressed.identity()["kind"] == plain.identity()["kind"]
    assert compressed.identity()["sha256"] != plain.identity()["sha256"]


@each_compression
def test_an_empty_file_has_no_documents(tmp_path: Path, suffix: str):
    for name, data in (("nothing", b""), ("no text", COMPRESS[suffix](b""))):
        (tmp_path / f"{name}.txt{suffix}").write_bytes(data)
        assert list(open_corpus(str(tmp_path / f"{name}.txt{suffix}"))) == []


@each_compression
@pytest.mark.parametrize("cut", [1, 9, 3000, -1])
def test_a_truncated_file(tmp_path: Path, suffix: str, cut: int):
    path = tmp_path / f"x.txt{suffix}"
    path.write_bytes(COMPRESS[suffix](TEXT.encode())[:cut])
    with pytest.raises(InputError) as error:
        list(open_corpus(str(path)))
    assert error.value.got.startswith(f"{path} is truncated or corrupt after line ")
    assert str(error.value).endswith(f". Expected a whole {suffix} file. Fetch it again, or compress it again.")


def test_the_place_of_a_truncation_is_named(tmp_path: Path):
    path = tmp_path / "x.txt.zst"
    path.write_bytes(COMPRESS[".zst"](b"one\ntwo\n") + COMPRESS[".zst"](b"three\n")[:-2])
    with pytest.raises(InputError, match=r"after line 2: it stops before its end marker\."):
        list(open_corpus(str(path)))


@each_compression
@pytest.mark.parametrize("place", [0, 5000])
def test_a_corrupt_file(tmp_path: Path, suffix: str, place: int):
    path = tmp_path / f"x.jsonl{suffix}"
    data = bytearray(COMPRESS[suffix](LINES.encode() * 20))
    data[place : place + 200] = b"\xff" * 200
    path.write_bytes(data)
    with pytest.raises(InputError, match=rf"x\.jsonl\{suffix} is truncated or corrupt after line \d+: "):
        list(open_corpus(str(path)))


def test_a_missing_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(extras, "import_module", missing)
    path = tmp_path / "x.txt.zst"
    path.touch()
    with pytest.raises(InputError) as error:
        list(open_corpus(str(path)))
    assert str(error.value) == (
        f"{path} cannot be read: a package that it needs is not installed. Expected the extra 'zst' of ffmem. "
        "In its clone, run pip install -e '.[zst]'."
    )
