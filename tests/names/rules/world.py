"""A text in which is planted what units are to be called, and units that fire as a test says."""

from pathlib import Path

import numpy as np

from ffmem.names.rules.block import Finder
from ffmem.names.rules.features import Features
from ffmem.names.rules.firing import Sampled
from ffmem.names.rules.labels import labels_of
from ffmem.names.rules.naming import Names, Units
from ffmem.names.rules.text import Text
from ffmem.names.rules.units import Block
from ffmem.store.label_rows import NewLabel
from ffmem.store.reader import Index
from tests.fixtures.made_index import Document, Layer, make_index

TOPICS = ("law", "music", "myth", "sea", "sport", "war", "food", "farm", "art", "air")
N_DOCUMENTS, N_SENTENCES, N_TOKENS = 120, 8, 14
PLANTED = {
    "looked": 0.006, "Looked": 0.004, "such": 0.02, "as": 0.02, "whose": 0.01, "king": 0.006, "bank": 0.04, "said": 0.02,
    "\x1b[31m\n": 0.01, "a1b": 0.01, "наука": 0.01,
} | {str(number): 0.001 for number in range(110, 120)}  # fmt: skip
FILLERS = tuple(f"w{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(400))
PROMOTED = ("yes", "yeah")


class World:
    """The text, and names of units by all of their coefficients."""

    def __init__(self, folder: Path, *, n_documents: int = N_DOCUMENTS, metadata: bool = True) -> None:
        rng = np.random.default_rng(7)
        words = [*PLANTED, *FILLERS, *PROMOTED]
        rest = 1 - sum(PLANTED.values())
        weights = [*PLANTED.values(), *([0.98 * rest / len(FILLERS)] * len(FILLERS)), *([0.01 * rest] * 2)]
        documents = []
        for number in range(n_documents):
            drawn = rng.choice(len(words), (N_SENTENCES, N_TOKENS), p=np.array(weights) / sum(weights))
            sentences = [[words[i] for i in row] for row in drawn.tolist()]
            for row in sentences:
                if rng.random() < 0.15:  # "such as" stands at 1 % of positions
                    at = int(rng.integers(0, N_TOKENS - 1))
                    row[at : at + 2] = ["such", "as"]
            told = (
                {"topic": TOPICS[number % 10], "year": 1990.5, "nested": {"a": [1]}, "seed": number} if metadata else {}
            )
            documents.append(Document([[f" {one}" for one in row] for row in sentences], f"d{number}", told))
        vocabulary = sorted(f" {one}" for one in words)
        n = n_documents * N_SENTENCES * N_TOKENS
        ids = [vocabulary.index(f" {one}") for one in PROMOTED]
        self.tokens = np.array([token.strip(" ") for one in documents for row in one.sentences for token in row])
        self.document = np.repeat(np.arange(n_documents), N_SENTENCES * N_TOKENS)
        self.topic = np.array([TOPICS[i % 10] for i in range(n_documents)])[self.document]
        self.position = np.tile(np.arange(N_TOKENS), n_documents * N_SENTENCES)
        layer = Layer(np.zeros((n, 16)), promoted=[ids] * 16)
        self.index: Index = make_index(folder, documents, [layer], vocabulary=vocabulary)
        self.text = Text.of(self.index)
        self.features = Features.of(self.index, self.text)
        self.finder = Finder.of(self.features, 0)
        self.rng = rng

    def before(self, n: int = 1) -> np.ndarray:
        """The token n before each one, "" where the sentence has none."""
        return np.where(self.position >= n, np.roll(self.tokens, n), "")

    def after(self) -> np.ndarray:
        """The token after each one."""
        return np.where(self.position < N_TOKENS - 1, np.roll(self.tokens, -1), "")

    def names(self, *fires: np.ndarray) -> Names:
        """Names of units that are strong at some positions (marked), and below 0 elsewhere; every position is sampled."""
        n = len(self.tokens)
        noise = -0.05 * self.rng.random((len(fires), n))
        strong = np.array(fires) * (3 + self.rng.random((len(fires), n)))
        token = np.broadcast_to(np.arange(n), noise.shape)
        sampled = Sampled(token, (noise + strong).astype(np.float32), np.ones(noise.shape))
        promoted = [self.text.strings.index(f" {one}") for one in PROMOTED]
        found = self.finder.find(sampled, np.tile(promoted + [-1] * 8, (len(fires), 1)))
        block = Block(0, 1, np.arange(len(fires)))
        return Names(self.index, self.features, Units((block,), (found,), np.zeros(len(fires), dtype=np.int64)), 0)

    def labels(self, *fires: np.ndarray) -> list[NewLabel]:
        """Their labels."""
        return [label for label, _ in labels_of(self.names(*fires))]
