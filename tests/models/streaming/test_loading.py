"""What is loaded for streaming: the numbers of the files in their own types, all else as ever; and what is refused."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import core_model_loading

import ffmem
from ffmem import InputError
from ffmem.models.streaming.loading import check_streamed, unconverted


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_weights_keep_the_type_of_their_file_and_what_they_were_to_be_is_told(
    dtype: torch.dtype, tiny_folder: Callable[[str], Path]
) -> None:
    from transformers import MarianMTModel

    before = core_model_loading._materialize_copy
    with unconverted() as meant:
        found = MarianMTModel.from_pretrained(tiny_folder("marian"), dtype=dtype)
    assert core_model_loading._materialize_copy is before
    whole = MarianMTModel.from_pretrained(tiny_folder("marian"), dtype=dtype)
    for name, one in whole.state_dict().items():
        ours = found.state_dict()[name]
        wanted, kept = meant.get(ours.data_ptr(), (ours.dtype, ours))
        assert torch.equal(ours.to(wanted), one) and wanted == one.dtype and kept.data_ptr() == ours.data_ptr()
    assert found.config.dtype == whole.config.dtype == dtype
    assert {one.dtype for one in found.parameters()} >= {torch.float32}


def test_a_version_of_transformers_that_loads_otherwise_loads_as_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(core_model_loading, "_materialize_copy")
    with unconverted() as meant:
        assert not hasattr(core_model_loading, "_materialize_copy")
    assert meant == {}


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (("untrained", (), "no", None), "a control (untrained:)"),
        ((None, ("a.json",), "no", None), "--patch"),
        ((None, (), "4bit", None), "--quantize 4bit"),
        ((None, (), "no", Path("adapter")), "the adapter in adapter"),
    ],
)
def test_weights_that_are_made_or_written_to_are_refused(given: tuple[object, ...], named: str) -> None:
    with pytest.raises(InputError) as refused:
        check_streamed(*given)  # type: ignore[arg-type]
    assert f"--model-memory is given with {named}" in str(refused.value)
    check_streamed(None, (), "no", None)


def test_a_control_is_refused_before_its_weights_are_read(tiny_folder: Callable[[str], Path]) -> None:
    with pytest.raises(InputError, match="a control \\(shuffled:\\)"):
        ffmem.load_model(f"shuffled:{tiny_folder('gpt2')}", model_memory=10**9)
