"""How well the model `reference` predicts held-out documents, beside n-grams and SmolLM2, on the same words.

    python examples/reference_model/evaluate.py --model src/ffmem/data/reference

Perplexity of a word, given the document so far: exp of the mean of -log p over all words of the held-out documents that are in
the reference model's vocabulary (of the others it knows only that they are unknown). A word of several SmolLM2 tokens
has the product of their probabilities; white space belongs to the word after it. Intervals are 95 % bootstrap intervals
over documents. Writes the figures beside the model.
"""

import argparse
import json
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from kneser_ney import KneserNey
from train import END, Recipe, documents

from ffmem import load_model

N_RESAMPLES = 10_000
UNKNOWN = 3


class Words:
    """A document as the reference model's words, with their places in the text."""

    def __init__(self, text: str, tokenizer: Any) -> None:
        self.text = text
        self.ids: list[int] = []
        self.starts: list[int] = []
        self.is_first: list[bool] = []
        """Whether a paragraph begins with it."""
        at = 0
        for line in text.split("\n"):
            found = tokenizer(line, add_special_tokens=False, return_offsets_mapping=True)
            self.is_first += [i == 0 for i in range(len(found.input_ids))]
            self.ids += found.input_ids
            self.starts += [at + start for start, _ in found.offset_mapping]
            at += len(line) + 1

    def with_marks(self) -> tuple[list[int], list[int]]:
        """Ids with </s> before each paragraph, and the place of each word among them."""
        marked: list[int] = []
        places: list[int] = []
        for word, first in zip(self.ids, self.is_first, strict=True):
            if first:
                marked.append(END)
            places.append(len(marked))
            marked.append(word)
        return marked, places

    @property
    def known(self) -> np.ndarray:
        """Which words count."""
        return np.array(self.ids) != UNKNOWN


@torch.inference_mode()
def by_reference(model: Any, words: Words) -> np.ndarray:
    """Log-probability of each word; windows of the trained length, each word with at least half of one before it."""
    marked, places = words.with_marks()
    found = np.full(len(marked), np.nan)
    half = Recipe.length // 2
    for start in range(0, max(len(marked) - half, 1), half):
        ids = torch.tensor(marked[start : start + Recipe.length])
        states = model.forward(ids[None])[0]
        scores = model.module.log_probabilities_of(states[:-1], ids[1:]).numpy()
        first = 0 if start == 0 else half - 1
        found[start + 1 + first : start + len(ids)] = scores[first:]
    return found[places]


@torch.inference_mode()
def by_smollm2(model: Any, words: Words) -> np.ndarray:
    """Log-probability of each word as the sum of its tokens'."""
    encoded = model.tokenizer(words.text, add_special_tokens=False, return_offsets_mapping=True)
    ids = torch.tensor([model.tokenizer.convert_tokens_to_ids("<|endoftext|>"), *encoded.input_ids])
    logits = model.logits(ids[None])[0, :-1].log_softmax(-1)
    scores = logits.gather(1, ids[1:, None])[:, 0].numpy()
    found = np.zeros(len(words.ids))
    for score, (start, end) in zip(scores, encoded.offset_mapping, strict=True):
        text = words.text[start:end]
        if text.strip():
            inside = start + len(text) - len(text.lstrip())
            found[np.searchsorted(words.starts, inside, "right") - 1] += score
    return found


def by_counts(probability: Callable[[int, list[int]], float], words: Words) -> np.ndarray:
    """Log-probability of each word by a model of words."""
    marked, places = words.with_marks()
    return np.array([math.log(probability(marked[at], marked[max(at - 2, 0) : at])) for at in places])


def interval(log_p: list[float], n: list[int]) -> dict[str, float]:
    """Perplexity with its bootstrap interval over documents."""
    picks = np.random.default_rng(0).integers(0, len(n), (N_RESAMPLES, len(n)))
    ends = np.exp(-np.array(log_p)[picks].sum(1) / np.array(n)[picks].sum(1))
    low, high = np.quantile(ends, [0.025, 0.975])
    return {"perplexity": math.exp(-sum(log_p) / sum(n)), "low": float(low), "high": float(high)}


def main() -> None:
    """Measure all four."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, default=Path("src/ffmem/data/topics.jsonl.xz"))
    parser.add_argument("--model", type=Path, default=Path("src/ffmem/data/reference"))
    parser.add_argument("--without-smollm2", action="store_true")
    arguments = parser.parse_args()
    texts, held_out = documents(arguments.corpus)
    reference = load_model(arguments.model)
    trained = [Words(text, reference.tokenizer) for text in texts]
    unseen = [Words(text, reference.tokenizer) for text in held_out]
    n_words = reference.facts.d_vocab
    unigrams = Counter(word for words in trained for word in words.ids)
    total = sum(unigrams.values()) + n_words
    trigrams = KneserNey((words.with_marks()[0] for words in trained), n_words)
    ways: dict[str, Callable[[Words], np.ndarray]] = {
        "unigram": lambda words: by_counts(lambda word, _: (unigrams[word] + 1) / total, words),
        "trigram": lambda words: by_counts(trigrams.probability, words),
        "reference": lambda words: by_reference(reference, words),
    }
    if not arguments.without_smollm2:
        smollm2 = load_model("smollm2")
        ways["smollm2"] = lambda words: by_smollm2(smollm2, words)
    n = [int(words.known.sum()) for words in unseen]
    sums = {name: [float(way(words)[words.known].sum()) for words in unseen] for name, way in ways.items()}
    found: dict[str, Any] = {name: interval(log_p, n) for name, log_p in sums.items()}
    gain = [ours - theirs for ours, theirs in zip(sums["reference"], sums["trigram"], strict=True)]
    ratio = interval(gain, n)
    found["reference / trigram"] = ratio
    unknown = 1 - sum(n) / sum(len(words.ids) for words in unseen)
    told = {"documents": len(unseen), "words": sum(n), "unknown_fraction": unknown, **found}
    (arguments.model / "evaluation.json").write_text(json.dumps(told, indent=1) + "\n")
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
