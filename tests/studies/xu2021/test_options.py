"""Files that are named, read and told apart; whatever is missing is named."""

from dataclasses import replace
from pathlib import Path

import pytest

from ffmem import InputError
from ffmem.studies.xu2021.options import TranslationOptions, read_material
from tests.studies.xu2021.planted import write


def test_counts_are_whole_numbers_and_options_are_plain() -> None:
    assert list(TranslationOptions().to_json()) == [
        "source", "target", "train_source", "train_target", "train_pairs", "test_pairs", "seen", "seed",
    ]  # fmt: skip
    with pytest.raises(InputError, match="--train-pairs is 0"):
        TranslationOptions(train_pairs=0)


def test_files_that_are_not_named_are_asked_for(options: TranslationOptions) -> None:
    with pytest.raises(InputError, match="no pairs that are tested on"):
        read_material(replace(options, source=""))
    with pytest.raises(InputError, match="no pairs that are learned from"):
        read_material(replace(options, train_source=""))


def test_pairs_that_were_learned_from_are_not_tested_on(options: TranslationOptions, tmp_path: Path) -> None:
    test = write(tmp_path / "test", [["one", "|||", "one"], ["two", "|||", "three"], ["one", "|||", "three"]])
    train = write(tmp_path / "train", [["two", "|||", "three"], ["five", "|||", "four"]])
    named = replace(options, source=test, target=None, train_source=train, train_target=None)
    found = read_material(named)
    assert [(one.source, one.target) for one in found.test] == [(("one",), ("one",)), (("one",), ("three",))]
    assert (len(found.train), found.n_repeated) == (2, 1)
    with pytest.raises(InputError, match=r"every pair of .* stands in"):
        read_material(replace(named, source=train))


def test_the_hash_is_of_the_words_not_of_the_files(options: TranslationOptions, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    copy.write_bytes(Path(options.source).read_bytes())
    first, same = read_material(options), read_material(replace(options, source=str(copy)))
    swapped = read_material(replace(options, source=options.train_source, target=options.train_target,
                                    train_source=options.source, train_target=options.target))  # fmt: skip
    assert first.hash() == same.hash() != swapped.hash()
