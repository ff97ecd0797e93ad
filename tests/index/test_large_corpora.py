"""Bounded memory: of every reader of files over a million documents, and of the whole text stage over 200,000 sentences."""

from collections.abc import Iterator
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from ffmem.corpus.documents import Corpus, Document
from ffmem.corpus.registry import open_corpus
from ffmem.index.text.writer import TextSource, write_text
from ffmem.options import IndexOptions
from tests.corpus.tiny_tokenizers import byte_level, token_bytes

pytestmark = pytest.mark.slow


class Generated(Corpus):
    """Short documents without a file."""

    kind = name = "generated"

    def __init__(self, n: int) -> None:
        super().__init__()
        self._n = n

    def __iter__(self) -> Iterator[Document]:
        for i in range(self._n):
            yield Document(str(i), "\n".join(f"{i} {j}" if j % 5 else "fox" for j in range(50)))


def test_memory_of_the_text_stage_does_not_grow(tmp_path: Path):
    tokenizer = byte_level()
    process, peaks = psutil.Process(), []

    def note(_: object) -> None:
        peaks.append(process.memory_info().rss)

    source = TextSource([Generated(4_000)], tokenizer, token_bytes(tokenizer), [], 100)
    counts = write_text(tmp_path, source, IndexOptions(split="lines", holdout=0), note)
    assert (counts.n_sentences, counts.n_duplicates) == (160_001, 39_999)
    early, whole = peaks[len(peaks) // 20], max(peaks)
    assert whole - early < 30e6


@pytest.mark.parametrize("suffix", ["jsonl", "txt.zst", "parquet"])
def test_readers_of_a_million_documents_hold_none(suffix: str, tmp_path: Path):
    path = tmp_path / f"x.{suffix}"
    write_million(path)
    process, peaks, n = psutil.Process(), [], 0
    for n, _ in enumerate(open_corpus(str(path)), start=1):
        if n % 20_000 == 0:
            peaks.append(process.memory_info().rss)
    assert n == 1_000_000
    assert max(peaks) - peaks[1] < 20e6


def write_million(path: Path) -> None:
    texts = (f"The sentence {i}." for i in range(1_000_000))
    if path.suffix == ".parquet":
        with pq.ParquetWriter(path, pa.schema([("text", pa.string())])) as writer:
            for _ in range(50):
                writer.write_table(pa.table({"text": [next(texts) for _ in range(20_000)]}))
        return
    form = '{"text": "%s"}\n' if path.suffix == ".jsonl" else "%s\n\n"
    opened = zstandard.open if path.suffix == ".zst" else open
    with opened(path, "wt") as file:
        file.writelines(form % text for text in texts)
