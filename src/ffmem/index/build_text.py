"""The text of a build: whole at once, or, where it is long, written by a process of its own while the model reads it."""

import json
import os
import pickle
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ffmem.errors import InputError
from ffmem.index.machine import n_processors
from ffmem.index.request import Request, text_source
from ffmem.index.scan.batches import Shard, ShardPlanner, plan_shards
from ffmem.index.scan.shard_text import Tokens, read_tokens, read_written
from ffmem.index.text.apart import TextProcess, TextProcessDiedError
from ffmem.index.text.cut import TextOfIndex, write_cut_text
from ffmem.index.text.head import Head, head_of, may_have_pieces, read_head
from ffmem.index.text.processes import n_text_processes
from ffmem.index.text.text_spool import INDEXED_SPOOL
from ffmem.index.text.token_spool import read_lengths, writing_folder
from ffmem.index.text.writer import Readable, TextCounts, TextSource, write_text
from ffmem.json_values import JsonObject
from ffmem.models.transformer import Transformer
from ffmem.options import RunOptions
from ffmem.store.files import disk_errors, sync_folder, write_json
from ffmem.store.text import TextReader

LONG_BYTES = 2_000_000
"""A corpus of so many is written by a process of its own: about a second's work, where its start takes some tenths."""
_BYTES_A_TOKEN = 4


@dataclass(frozen=True)
class PlacedShard:
    """A shard, and where its text lies."""

    shard: Shard
    first_token: int
    """Token index of the first token of its first sentence."""


class BuildText:
    """Writes the text of a build, and gives its shards as they become known.

    Args:
        work: the work folder.
        request: what is to be indexed.
        run: how.
        run_id: of the job whose workers read it.
    """

    def __init__(self, work: Path, request: Request, run: RunOptions, run_id: str = "own") -> None:
        self._work, self._request, self._run = work, request, run
        self._writing, self._whole = writing_folder(work, run_id), work / "text"
        self._began = time.monotonic()
        self._source: TextSource | None = None
        self._n_processes = n_text_processes(run, n_processors())
        self._process: TextProcess | None = None
        self._counts: JsonObject | None = None
        base = request.base
        self._base_shards: Sequence[Shard] = []
        """Of a base, whose text is written first; not yet found."""
        if base is not None:
            starts, n_by_corpus = base.text.sentence_start, base.manifest.counts.n_sentences_by_corpus
            self._base_shards = plan_shards(starts, n_by_corpus, request.options.shard_tokens)
        self._planner = ShardPlanner(
            request.options.shard_tokens,
            len(self._base_shards),
            0 if base is None else base.manifest.counts.n_sentences,
        )
        self._n_read = 0 if base is None else base.manifest.counts.n_sentences
        """Sentences that the planner has had."""
        self._found: list[PlacedShard] = []
        """Not yet taken."""
        self._n_given = 0
        """Shards that were taken."""
        self._next_token = 0 if base is None else base.manifest.counts.n_tokens
        self._has_head = False
        self.is_refused = False
        """Whether its corpus, or what is asked of it, can never be indexed; not so if that lies elsewhere, and is not found."""
        self.seconds: float | None = None
        """How long it took until the text was whole, if it was not there before."""

    @property
    def is_written(self) -> bool:
        """Whether an earlier run has written it."""
        return self._done.exists()

    @property
    def is_whole(self) -> bool:
        """Whether it is written to its end, and all of its shards were taken."""
        return self._counts is not None and not self._found

    @property
    def shards(self) -> list[Shard] | None:
        """All of them, those that are taken included; None while it is being written."""
        if self._counts is None:
            return None
        starts = read_tokens(self._whole).sentence_start
        return plan_shards(starts, self._counts["n_sentences_by_corpus"], self._request.options.shard_tokens)

    @property
    def counts(self) -> JsonObject:
        """`TextCounts`, once it is whole."""
        assert self._counts is not None
        return self._counts

    @property
    def _done(self) -> Path:
        return self._work / "text.json"

    def begin(self, model: Transformer, apart: bool) -> None:
        """Begin to write, or write all of it; nothing if an earlier run has.

        Args:
            model: whose tokens it is to have.
            apart: whether another process is to write it, while the model already reads the beginning.

        Raises:
            InputError: the text is refused: see `write_text`.
            StoreError: the disk is full, or the folder cannot be written.
        """
        if self.is_written:
            self._take_whole()
            return
        self._source = text_source(model, self._request)
        self._clear()
        if apart:
            try:
                self._process = TextProcess(self._writing, self._source, self._request.options, self._n_processes)
                return
            except pickle.PicklingError:  # a tokenizer, or a corpus, that only this process can have
                pass
        with self._refusal():
            self._write_here()

    def head(self) -> tuple[Head, Tokens]:
        """The first sentences, and their tokens; waits for them."""
        while self._counts is None:
            if self._has_head:
                with suppress(FileNotFoundError):  # it has just become whole
                    head = read_head(self._writing)
                    tokens = read_written(self._writing, 0, len(head.texts), 0)
                    if tokens is not None:
                        return head, tokens
            self._hear(1.0)
        has_pieces = may_have_pieces(self._counts["n_windows"], self._request.options)
        return head_of(TextReader(self._whole), has_pieces), read_tokens(self._whole)

    def longest(self) -> int | None:
        """Tokens of the longest sentence, held-out ones included; None while it is being written."""
        if self._counts is None:
            return None
        return int(np.diff(read_tokens(self._whole).sentence_start.astype(np.int64)).max())

    def take(self, wait_s: float = 0.0) -> list[PlacedShard]:
        """Shards whose text can be read, and that were not taken yet; those of a base are the first.

        Args:
            wait_s: so long is waited for one, if there is none.

        Raises:
            InputError: the text is refused: see `write_text`.
            StoreError: the disk is full, or the folder cannot be written.
        """
        until = time.monotonic() + wait_s
        while self._counts is None:
            self._hear(0.0 if self._found else max(0.0, until - time.monotonic()))
            if self._found or time.monotonic() >= until:
                break
        found, self._found = self._found, []
        self._n_given += len(found)
        return found

    def close(self) -> None:
        """End a process that still writes."""
        if self._process is not None:
            self._process.close()
            self._process = None

    @property
    def is_long(self) -> bool:
        """Whether a process of its own is worth its start."""
        options, corpora = self._request.options, self._request.corpora
        if self._run.workers == 0:  # everything in this process
            return False
        if any(isinstance(corpus, TextOfIndex) for corpus in corpora):
            return False
        limit = None if options.max_tokens is None else options.max_tokens * _BYTES_A_TOKEN
        if limit is not None and limit < LONG_BYTES:
            return False
        sizes = [corpus.n_bytes() for corpus in corpora]
        return any(size is None for size in sizes) or sum(size or 0 for size in sizes) >= LONG_BYTES

    def _clear(self) -> None:
        for left in (self._whole, *self._work.glob(writing_folder(self._work, "*").name)):
            shutil.rmtree(left, ignore_errors=True)
        with disk_errors(self._writing):
            self._writing.mkdir()

    def _write_here(self) -> None:
        options, corpora = self._request.options, self._request.corpora
        with disk_errors(self._writing):
            if len(corpora) == 1 and isinstance(corpora[0], TextOfIndex):
                counts = write_cut_text(self._writing, corpora[0].index, options.max_tokens)
            else:
                assert self._source is not None
                counts = write_text(self._writing, self._source, options, n_processes=self._n_processes)
        self._finish(counts)

    def _hear(self, wait_s: float) -> None:
        """Take what the process has said; if it has died, write the text here: the shards will be the same."""
        assert self._process is not None
        with self._refusal():
            try:
                for said in self._process.said(wait_s):
                    if isinstance(said, Readable):
                        self._read(said)
                    else:
                        self.close()
                        self._finish(said)
                        return
            except TextProcessDiedError:
                self.close()
                self._clear()
                self._write_here()

    @contextmanager
    def _refusal(self) -> Iterator[None]:
        """Note that a text is refused."""
        try:
            yield
        except InputError:
            self.is_refused = not any(corpus.is_elsewhere for corpus in self._request.corpora)
            raise

    def _read(self, readable: Readable) -> None:
        self._has_head |= readable.has_head
        base, self._base_shards = self._base_shards, []
        self._place(base, 0)
        n_new = readable.n_sentences - self._n_read
        shards: list[Shard] = []
        if n_new > 0:
            try:
                shards += self._planner.add(read_lengths(self._writing / INDEXED_SPOOL, self._n_read, n_new))
            except FileNotFoundError:  # the text has become whole since this was said, which is said next
                return
            self._n_read = readable.n_sentences
        if readable.corpus_ended:
            shards += self._planner.end_corpus()
        self._place(shards, self._next_token)
        self._next_token += sum(shard.n_tokens for shard in shards)

    def _place(self, shards: Sequence[Shard], first_token: int) -> None:
        for shard in shards:
            self._found.append(PlacedShard(shard, first_token))
            first_token += shard.n_tokens

    def _finish(self, counts: TextCounts) -> None:
        for corpus in self._request.corpora:
            corpus.check_unchanged()
        os.replace(self._writing, self._whole)
        sync_folder(self._work)
        write_json(self._done, asdict(counts))
        self.seconds = time.monotonic() - self._began
        self._take_whole()

    def _take_whole(self) -> None:
        """Plan all shards, and keep those that were not given yet."""
        self._counts = dict(json.loads(self._done.read_bytes()))
        starts, shards = read_tokens(self._whole).sentence_start, self.shards or []
        self._found = [PlacedShard(shard, int(starts[shard.first_sentence])) for shard in shards[self._n_given :]]
