"""Texts whose coefficients are made, so that it is known what decides them."""

from dataclasses import dataclass

import numpy as np

from ffmem.analyses.meaning.sample import Sample
from ffmem.analyses.meaning.words import WordVectors

N_COMMON, N_OF_TOPIC, N_TOPICS = 12, 12, 4


@dataclass(frozen=True)
class Made:
    """A text of topics: words that all have, each after each, and words that one topic has more often than others."""

    sample: Sample

    @property
    def token(self) -> np.ndarray:
        return np.concatenate(self.sample.sentences)

    @property
    def before(self) -> np.ndarray:
        """The token before each; -1 at the start of a sentence."""
        return np.concatenate([np.concatenate(([-1], one[:-1])) for one in self.sample.sentences])

    @property
    def topic(self) -> np.ndarray:
        assert self.sample.label_of is not None
        return self.sample.label_of[self.sample.document]


def make_text(n_documents: int = 60, n_sentences: int = 6, length: int = 12, seed: int = 0) -> Made:
    rng = np.random.default_rng(seed)
    label_of = np.arange(n_documents) % N_TOPICS
    sentences = []
    for document in range(n_documents):
        own = N_COMMON + label_of[document] * N_OF_TOPIC
        for _ in range(n_sentences):
            draw = rng.random(length)
            common, of_topic = rng.integers(0, N_COMMON, length), own + rng.integers(0, N_OF_TOPIC, length)
            any_word = rng.integers(0, N_COMMON + N_TOPICS * N_OF_TOPIC, length)
            sentences.append(np.where(draw < 0.5, common, np.where(draw < 0.8, of_topic, any_word)))
    document_of = np.repeat(np.arange(n_documents), n_sentences)
    d_vocab = N_COMMON + N_TOPICS * N_OF_TOPIC
    words = WordVectors.of(np.concatenate(sentences), np.repeat(document_of, length), d_vocab)
    fold_of = np.arange(n_documents) * 5 // n_documents
    return Made(
        Sample(tuple(sentences), np.zeros(len(sentences), np.int64), document_of, fold_of, label_of, True, words)
    )


def planted(made: Made, seed: int = 1) -> dict[str, np.ndarray]:
    """Coefficients by what they are made of."""
    rng = np.random.default_rng(seed)
    noise = rng.random(len(made.token))
    token, topic = made.token, made.topic
    word_of_topic = (token >= N_COMMON) & (token < N_COMMON + 4)
    return {
        # fires on words that one topic has more often than others, whatever the document is about
        "words": np.where(word_of_topic, 1 + noise, 0),
        # fires on a topic, whatever the word
        "topic": np.where(topic == 1, 0.5 + noise, 0.5 * noise),
        # fires on a pair of words of a topic
        "pair": np.where(word_of_topic & (made.before >= N_COMMON) & (made.before < N_COMMON + 6), 1 + noise, 0),
        "random": noise,
        "silent": np.zeros(len(token)),
        # fires in two documents alone
        "rare": np.where(np.isin(np.arange(len(token)), [5, 700]), 1.0, 0),
    }
