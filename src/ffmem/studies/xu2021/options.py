"""What a user may choose about the study, and the pairs of the files that it names."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from ffmem.analyses.alignment.pairs import Pair, read_pairs
from ffmem.errors import InputError
from ffmem.json_values import JsonObject
from ffmem.studies.whole_numbers import check_whole_numbers


@dataclass(frozen=True)
class TranslationOptions:
    """Options that decide what the study finds."""

    source: str = ""
    """The pairs that are tested: a sentence of the source language a line, or source ||| target."""
    target: str | None = None
    """Their translations, line by line."""
    train_source: str = ""
    """The pairs that are learned from: a sentence of the source language a line, or source ||| target."""
    train_target: str | None = None
    """Their translations, line by line."""
    train_pairs: int = 3000
    """Of the training pairs, so many are drawn for the probes to learn from."""
    test_pairs: int = 1000
    """Of the test pairs, so many are drawn to be tested on."""
    seen: int = 20
    """Tokens that the translations of all training pairs have fewer times than this are not counted."""
    seed: int = 0
    """Seed of the pairs that are drawn."""

    def __post_init__(self) -> None:
        check_whole_numbers(self)

    def to_json(self) -> JsonObject:
        """The options as plain JSON values, in the order of definition."""
        return asdict(self)


@dataclass(frozen=True)
class Material:
    """The pairs of the files."""

    train: Sequence[Pair]
    test: Sequence[Pair]
    """Those that no training pair is equal to."""
    n_repeated: int
    """Test pairs that were left out, since the training pairs have them too."""

    def hash(self) -> str:
        """SHA-256 of all words: the same content may lie in other files."""
        digest = hashlib.sha256()
        for part in (self.train, self.test):
            for pair in part:
                digest.update(f"{pair.source}\0{pair.target}\n".encode())
            digest.update(b"\0")
        return digest.hexdigest()


def read_material(options: TranslationOptions) -> Material:
    """The pairs of the files that the options name.

    Raises:
        InputError: files are not named, cannot be read, are not as they are to be, or no test pair is new.
    """
    for what, path, flags in (
        ("tested on", options.source, "--source FILE --target FILE"),
        ("learned from", options.train_source, "--train-source FILE --train-target FILE"),
    ):
        if not path:
            raise InputError(
                f"the study xu2021 is given no pairs that are {what}",
                "Expected the file of a text and that of its translation, line by line, to learn from and to test on",
                f"Write {flags}",
            )
    train, test = read_pairs(options.train_source, options.train_target), read_pairs(options.source, options.target)
    known = set(train)
    new = [pair for pair in test if pair not in known]
    if not new:
        raise InputError(
            f"every pair of {options.source} stands in {options.train_source} too",
            "Expected test pairs that the probes have not learned from",
            "Give other pairs with --source and --target",
        )
    return Material(train, new, len(test) - len(new))
