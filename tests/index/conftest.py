"""A small corpus made of words, and indexes of tiny models over it."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

import ffmem
from ffmem import Index, IndexOptions, RunOptions

WORDS = (
    "the of and to in a is that for it as was with be by on not he his but at are this have from or had an they which "
    "one you were her all she there would their we him been has when who will more no if out so said what up its about "
    "river stone window garden winter letter engine harbour market village silver morning soldier teacher music"
).split()
IN_PROCESS = RunOptions(workers=0)


def write_corpus(path: Path, n_paragraphs: int, seed: int = 0) -> Path:
    """Paragraphs of one to five sentences of three to thirty words; some sentences come twice."""
    rng = random.Random(seed)

    def sentence() -> str:
        return " ".join(rng.choices(WORDS, k=rng.randint(3, 30))).capitalize() + "."

    repeated = [sentence() for _ in range(5)]
    paragraphs = [
        " ".join(rng.choice(repeated) if rng.random() < 0.1 else sentence() for _ in range(rng.randint(1, 5)))
        for _ in range(n_paragraphs)
    ]
    path.write_text("\n\n".join(paragraphs))
    return path


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """About 600 sentences."""
    return write_corpus(tmp_path_factory.mktemp("corpus") / "words.txt", 200)


@pytest.fixture(scope="session")
def small_options() -> IndexOptions:
    """Lists that fill, and several shards and batches."""
    return IndexOptions(top=7, promoted=10, batch_tokens=200, shard_tokens=1500, holdout=0.1)


@pytest.fixture(scope="session")
def index_of(
    tiny_folder: Callable[[str], Path],
    corpus: Path,
    small_options: IndexOptions,
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], Index]:
    """The index of a tiny model of a family over the corpus, built once."""
    built: dict[str, Path] = {}

    def make(family: str) -> Index:
        if family not in built:
            out = tmp_path_factory.mktemp("index") / family
            ffmem.build_index(tiny_folder(family), corpus, out, options=small_options, run=IN_PROCESS)
            built[family] = out
        return ffmem.open_index(built[family])

    return make
