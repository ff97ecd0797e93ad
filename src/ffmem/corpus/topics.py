"""The corpus `topics`, which comes with ffmem: documents whose topic and genre are known."""

import json
import lzma
from collections.abc import Iterator
from hashlib import sha256
from importlib.resources import files

from ffmem.corpus.compression import COMPRESSED
from ffmem.corpus.documents import Corpus, Document
from ffmem.json_values import JsonObject


class Topics(Corpus):
    """Documents that a small language model wrote on request: each with its topic, aspect, genre and seed.

    See ``examples/reference_model/`` for how they were made, filtered and counted.
    """

    kind = "topics"
    name = "topics"

    def _content(self) -> bytes:
        return (files("ffmem") / "data" / "topics.jsonl.xz").read_bytes()

    def identity(self) -> JsonObject:
        """See Corpus.identity: a hash of the file."""
        return {"kind": self.kind, "name": self.name, "sha256": sha256(self._content()).hexdigest()}

    def n_bytes(self) -> int:
        """See Corpus.n_bytes."""
        return COMPRESSED * len(self._content())

    def __iter__(self) -> Iterator[Document]:
        self.n_undecodable_bytes = 0
        for line in lzma.decompress(self._content()).decode().split("\n"):
            if not line:
                continue
            fields = json.loads(line)
            name, text = fields.pop("id"), fields.pop("text")
            yield Document(name, text, fields)
