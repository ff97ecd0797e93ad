"""Options that cannot be meant cannot be built."""

import pickle

import pytest

from ffmem import IndexOptions, InputError, RunOptions
from ffmem.options import Windows, parse_split


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top": 0}, r"--top is 0\. Expected a whole number of at least 1\. Write --top 1"),
        ({"per_sentence": "2"}, r"--per-sentence is '2'\. Expected one of: 1, all"),
        ({"bos": "maybe"}, "Expected one of: auto, yes, no"),
        ({"holdout": 1.0}, "Expected a share from 0 up to"),
        ({"holdout": float("nan")}, "Expected a share from 0 up to"),
        ({"skip_first": -1}, "--skip-first is -1"),
        ({"max_tokens": 0}, "--max-tokens is 0"),
        ({"split": "words"}, r"--split is 'words'\. Expected sentences, lines, windows:N or windows:N:STRIDE, with"),
        ({"split": "windows:0"}, "--split is 'windows:0'"),
        ({"split": "windows:8:"}, "--split is 'windows:8:'"),
        ({"split": "windows:8:9"}, r"leave out 1 tokens between two windows\. Expected a stride of at most 8, .*:8\."),
        ({"dtype": "int8"}, "Expected one of: float32, bfloat16, float16"),
    ],
)
def test_bad_options_say_what_is_expected(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        IndexOptions(**options)


def test_forms_of_split() -> None:
    for split, windows in (("lines", None), ("windows:8", Windows(8, 8)), ("windows:512:256", Windows(512, 256))):
        assert parse_split(IndexOptions(split=split).split) == windows


def test_bad_run_options() -> None:
    with pytest.raises(InputError, match="--workers is -1"):
        RunOptions(workers=-1)
    with pytest.raises(InputError, match="--checkpoint-s"):
        RunOptions(checkpoint_s=float("nan"))


def test_options_cross_processes_and_come_back_from_a_manifest() -> None:
    options = IndexOptions(top=7, holdout=0)
    assert pickle.loads(pickle.dumps(options)) == options == IndexOptions(**options.to_json())
