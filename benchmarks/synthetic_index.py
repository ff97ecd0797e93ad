"""Writes a valid index of any size with random content, without a model.

    python benchmarks/synthetic_index.py OUT --layers 64 --cells 16384 --sentences 1000000

The text goes through the writer that builds use; triggers, statistics and promoted tokens are drawn at random. Words have
the frequencies of Zipf's law, as in real text. The files pass `ffmem verify --files-only`.
"""

import argparse
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, pre_tokenizers

import ffmem
from ffmem.corpus.documents import Corpus, Document
from ffmem.ids import LayerCells
from ffmem.index.finish import write_manifest
from ffmem.index.text.writer import TextCounts, TextSource, write_text
from ffmem.options import IndexOptions
from ffmem.store.facts import ModelFacts
from ffmem.store.paths import FORMAT, StorePaths, layer_path

N_WORDS = 20_000
_SYLLABLES = (
    "ba",
    "ce",
    "di",
    "fo",
    "gu",
    "ka",
    "le",
    "mi",
    "no",
    "pu",
    "ra",
    "se",
    "ti",
    "vo",
    "zu",
    "sha",
    "the",
    "stri",
)
_SENTENCES_A_DOCUMENT = 100


def make_words(rng: np.random.Generator) -> list[str]:
    """Distinct made-up words, shorter ones first, as frequent words are."""
    words: dict[str, None] = {}
    while len(words) < N_WORDS:
        n_syllables = 1 + min(4, len(words).bit_length() // 4)
        words["".join(rng.choice(_SYLLABLES, n_syllables))] = None
    return list(words)


class ZipfCorpus(Corpus):
    """Documents of a hundred lines of 6 to 16 words."""

    kind, name = "synthetic", "zipf"

    def __init__(self, n_sentences: int, seed: int) -> None:
        super().__init__()
        self._n_sentences, self._seed = n_sentences, seed

    def identity(self) -> dict[str, Any]:
        """See Corpus.identity."""
        return {"kind": self.kind, "name": self.name, "sha256": f"seed {self._seed}, {self._n_sentences} sentences"}

    def __iter__(self) -> Iterator[Document]:
        rng = np.random.default_rng(self._seed)
        words = np.array(make_words(np.random.default_rng(self._seed)))
        shares = 1 / np.arange(1, N_WORDS + 1)
        edges = np.cumsum(shares / shares.sum())
        for number in range(-(-self._n_sentences // _SENTENCES_A_DOCUMENT)):
            n = min(_SENTENCES_A_DOCUMENT, self._n_sentences - number * _SENTENCES_A_DOCUMENT)
            drawn = words[np.minimum(np.searchsorted(edges, rng.random((n, 16))), N_WORDS - 1)]
            lengths = rng.integers(6, 17, n)
            lines = [" ".join(row[:length]) for row, length in zip(drawn.tolist(), lengths.tolist(), strict=True)]
            yield Document(f"document {number}", "\n".join(lines), self.metadata(number))

    def metadata(self, number: int) -> dict[str, Any]:
        """What a document carries beside its text: nothing."""
        return {}


def make_tokenizer(seed: int) -> tuple[Tokenizer, list[str]]:
    """A token a word."""
    words = make_words(np.random.default_rng(seed))
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate([*words, "<unk>"])}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return tokenizer, [*words, "<unk>"]


def layer_arrays(
    rng: np.random.Generator, n_cells: int, n_signs: int, options: IndexOptions, counts: TextCounts, d_vocab: int
) -> dict[str, np.ndarray]:
    """One layer: coefficients fall, every list is full, and nothing stands twice in one."""
    shape = (n_cells, n_signs, options.top)
    magnitudes = -np.sort(-rng.exponential(1.0, shape).astype(np.float32) - np.float32(0.01), axis=2)
    steps = rng.integers(1, max(2, counts.n_tokens // options.top), shape, dtype=np.uint32).cumsum(2)
    tokens = ((rng.integers(0, counts.n_tokens, (n_cells, n_signs, 1)) + steps) % counts.n_tokens).astype(np.uint32)
    histogram = np.zeros((n_cells, n_signs, 64), dtype=np.uint32)
    histogram[:, :, 30] = counts.n_sentences
    k = min(options.promoted, d_vocab)
    steps = rng.integers(1, d_vocab // k, (2, n_cells, k))
    ids = (rng.integers(0, d_vocab, (2, n_cells, 1)) + steps.cumsum(2)) % d_vocab
    scores = -np.sort(-rng.random((2, n_cells, k), dtype=np.float32), axis=2)
    n_active = rng.integers(0, counts.n_tokens + 1, n_cells)
    return {
        "trigger_coefficient": magnitudes * np.array([1, -1], dtype=np.float32)[:n_signs, None],
        "trigger_token": tokens,
        "slot_by_token": np.argsort(tokens.reshape(-1), kind="stable").astype(np.uint32),
        "sum": np.stack([n_active // 3, np.zeros_like(n_active)]),
        "square_sum": np.stack([n_active // 2, np.zeros_like(n_active)]),
        "n_active": n_active,
        "minimum": np.full(n_cells, -1, dtype=np.float32) if n_signs == 1 else -magnitudes[:, 1, 0],
        "maximum": magnitudes[:, 0, 0].copy(),
        "histogram": histogram,
        "counts": np.array([[counts.n_tokens, counts.n_sentences]]),
        "promoted_ids": ids[0].astype(np.uint32),
        "promoted_scores": scores[0],
        "suppressed_ids": ids[1].astype(np.uint32),
        "suppressed_scores": -scores[1],
    }


def write_synthetic_index(
    folder: Path,
    *,
    n_layers: int = 64,
    n_cells: int = 16_384,
    n_sentences: int = 1_000_000,
    top: int = 50,
    gated: bool = False,
    seed: int = 0,
    corpus: ZipfCorpus | None = None,
    text: Callable[[Path], TextCounts] | None = None,
    told: Callable[[str], None] = lambda stage: None,
) -> ffmem.Index:
    """Write the index into a new folder, and open it.

    ``text`` writes the text into a folder, by default that of the corpus; ``told`` hears when the text, the layers and all
    is done.
    """
    options = IndexOptions(top=top, split="lines", duplicates="keep", holdout=0.01, seed=seed)
    paths, layers = StorePaths(folder), [LayerCells(number, n_cells) for number in range(n_layers)]
    (paths.index / "layers").mkdir(parents=True)
    tokenizer, vocabulary = make_tokenizer(seed)
    corpus = corpus or ZipfCorpus(n_sentences, seed)
    if text is None:
        counts = write_text(paths.index, TextSource((corpus,), tokenizer, None, vocabulary, 2**31 - 1), options)
    else:
        counts = text(paths.index)
    told("text")
    rng = np.random.default_rng(seed + 1)
    for cells in layers:
        arrays = layer_arrays(rng, n_cells, 2 if gated else 1, options, counts, len(vocabulary))
        save_file(arrays, layer_path(paths.index, cells))
    told("layers")
    model = {"name": "synthetic", "source": "", "revision": None}
    model |= {"weights_sha256": "", "config_sha256": "", "tokenizer_sha256": ""}
    facts = ModelFacts(
        name="synthetic",
        family="none",
        architecture="none",
        n_layers=n_layers,
        layers=tuple(layers),
        d_model=n_cells // 4,
        d_ff=n_cells,
        d_vocab=len(vocabulary),
        activation="none",
        gated=gated,
        key_bias=False,
        value_bias=False,
        norm="layernorm",
        norm_placement="pre",
        parallel=False,
        causal=True,
        max_length=None,
        projections=("raw",),
        dtype="float32",
    )
    errors = {"ff_sum_errors": [0.0], "residual_errors": [0.0]}
    manifest = {
        "format": FORMAT,
        "identity": {
            "ffmem": ffmem.__version__,
            "format": FORMAT,
            "model": model,
            "corpus": corpus.identity(),
            "options": options.to_json(),
        },
        "model": facts.to_json(),
        "projection": "raw",
        "layer_projections": ["raw"] * n_layers,
        "special_tokens": {"prefix": [], "suffix": []},
        "same_bytes": {"holds": True, "processor": "", "why": "random numbers with a seed"},
        "counts": asdict(counts),
        "certificate": {"errors": errors},
    }
    write_manifest(paths, manifest)
    told("manifest")
    return ffmem.open_index(folder)


def main() -> None:
    """Write one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--layers", type=int, default=64)
    parser.add_argument("--cells", type=int, default=16_384)
    parser.add_argument("--sentences", type=int, default=1_000_000)
    parser.add_argument("--gated", action="store_true")
    arguments = parser.parse_args()
    shutil.rmtree(arguments.out, ignore_errors=True)
    n_layers, n_cells, n_sentences = arguments.layers, arguments.cells, arguments.sentences
    print(
        write_synthetic_index(
            arguments.out, n_layers=n_layers, n_cells=n_cells, n_sentences=n_sentences, gated=arguments.gated
        )
    )


if __name__ == "__main__":
    main()
