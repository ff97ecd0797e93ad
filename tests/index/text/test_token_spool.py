"""Spooled tokens against arrays in memory, written by the library of the format."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from ffmem.corpus.tokens import TokenizedSentence
from ffmem.index.text import token_spool
from ffmem.index.text.token_spool import TokenSpool, write_tokens

FIELDS = ("token_id", "token_start", "token_end")
Written = list[tuple[TokenizedSentence, int]]
"""Sentences, and how many tokens of each are context."""


def sentence(ids: list[int], longest: int = 3) -> TokenizedSentence:
    """Tokens of some bytes each, one after the other."""
    ends = np.cumsum([1 + number % longest for number in ids]).astype(np.uint32)
    return TokenizedSentence(np.array(ids, dtype=np.uint32), np.concatenate(([0], ends[:-1])).astype(np.uint32), ends)


def write(folder: Path, *parts: Written) -> dict[str, np.ndarray]:
    spools = []
    for number, part in enumerate(parts):
        spools.append(TokenSpool(folder / f"part-{number}"))
        for tokens, context in part:
            spools[-1].add(tokens, [len(tokens.token_ids)], [context])
    write_tokens(folder / "tokens.safetensors", spools)
    for spool in spools:
        spool.remove()
    assert [path.name for path in folder.iterdir()] == ["tokens.safetensors"]
    return load_file(folder / "tokens.safetensors")


def expected(*parts: Written) -> dict[str, np.ndarray]:
    everything = [one for part in parts for one in part]
    starts = np.cumsum([0, *(len(tokens.token_ids) for tokens, _ in everything)])
    found = {"sentence_start": starts.astype(np.uint64)}
    if any(context for _, context in everything):
        found["context"] = np.array([context for _, context in everything], dtype=np.uint32)
    for place, name in enumerate(FIELDS):
        array = np.concatenate([tokens[place] for tokens, _ in everything])
        found[name] = array.astype(np.uint32 if (array >= 2**16).any() else np.uint16)
    return found


def same(found: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> bool:
    return found.keys() == wanted.keys() and all(
        found[name].dtype == wanted[name].dtype and np.array_equal(found[name], wanted[name]) for name in wanted
    )


sentences = st.tuples(
    st.lists(st.sampled_from([0, 5, 2**16 - 1, 2**16, 200_000]), min_size=1, max_size=5), st.integers(0, 1)
)


@settings(max_examples=60, deadline=None)
@given(
    indexed=st.lists(sentences, min_size=1, max_size=9), held_out=st.lists(sentences, max_size=4), few=st.integers(1, 4)
)
def test_what_is_spooled_comes_back_in_order_as_narrow_as_it_fits(
    indexed: list[tuple[list[int], int]],
    held_out: list[tuple[list[int], int]],
    few: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    parts = [[(sentence(ids), context) for ids, context in part] for part in (indexed, held_out)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(token_spool, "_SENTENCES_AT_ONCE", few)
        patch.setattr(token_spool, "_COPY_BYTES", 8 * few)  # pieces of a file end within sentences
        found = write(tmp_path_factory.mktemp("spool"), *parts)
    assert same(found, expected(*parts))


@pytest.mark.parametrize(("largest", "dtype"), [(2**16 - 1, np.uint16), (2**16, np.uint32)])
def test_each_array_is_as_wide_as_its_own_largest_number(tmp_path: Path, largest: int, dtype: type) -> None:
    found = write(tmp_path, [(sentence([3]), 0)], [(sentence([largest]), 0)])
    assert found["token_id"].dtype == dtype and found["token_id"].tolist() == [3, largest]
    assert found["token_start"].dtype == found["token_end"].dtype == np.uint16


def test_a_long_sentence_needs_wider_offsets_but_not_wider_ids(tmp_path: Path) -> None:
    tokens = TokenizedSentence(
        np.array([1, 2], np.uint32), np.array([0, 70_000], np.uint32), np.array([70_000, 70_001], np.uint32)
    )
    found = write(tmp_path, [(tokens, 0)])
    assert found["token_id"].dtype == np.uint16
    assert found["token_start"].tolist() == [0, 70_000] and found["token_end"].dtype == np.uint32


def test_arrays_of_wide_numbers_are_aligned(tmp_path: Path) -> None:
    write(tmp_path, [(sentence([1, 2, 70_000]), 0)], [(sentence([9]), 0)])
    data = (tmp_path / "tokens.safetensors").read_bytes()
    n_header = int.from_bytes(data[:8], "little")
    assert n_header % 8 == 0
    header = json.loads(data[8 : 8 + n_header])
    for name, width in (("sentence_start", 8), ("token_id", 4), ("token_start", 2)):
        assert header[name]["data_offsets"][0] % width == 0, name


def test_counts_are_of_what_was_added_not_of_what_was_written(tmp_path: Path) -> None:
    spool = TokenSpool(tmp_path / "part")
    spool.add(sentence([1, 2, 3]), [3], [2])
    spool.add(sentence([4]), [1], [0])
    assert (spool.n_sentences, spool.n_tokens, spool.n_context_tokens) == (2, 4, 2)
    assert [piece.tolist() for piece in spool.chunks(3)] == [[3, 2, 1, 0]]
    assert [piece.tolist() for piece in spool.chunks(0)] == [[1, 2, 3, 4]]
    spool.remove()
    assert not list(tmp_path.iterdir())
