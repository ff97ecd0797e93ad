"""A device whose memory is too small for a batch: half the budget, the shard again, and the same index."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ffmem
from ffmem import IndexOptions, ModelError, RunOptions
from ffmem.index.progress import Progress
from ffmem.index.scan import worker
from ffmem.models.transformer import Transformer

pytest.importorskip("triton", reason="triton, which compiles the loops for a GPU, is not installed")
from ffmem.index.state.gpu_accumulator import GpuAccumulator

stages: set[str] = set()
"""That the build has come to: only batches of the corpus are to fail."""


@pytest.fixture
def small_device(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Keeps lists as a GPU does, and runs out of memory over a number of tokens, after all layers were observed."""

    def make(room: int) -> None:
        forward = Transformer.forward

        def limited(self: Transformer, token_ids: Any, attention_mask: Any = None) -> Any:
            state = forward(self, token_ids, attention_mask)
            if "memories" in stages and token_ids.numel() > room:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
            return state

        monkeypatch.setattr(worker, "make_accumulator", lambda shape, *_: GpuAccumulator(shape, "cpu"))
        monkeypatch.setattr(Transformer, "forward", limited)

    return make


def lines(path: Path) -> Path:
    """Few and short ones, since an interpreter runs the loops; of one length, so that they fill a batch."""
    path.write_text("".join(f"the {digit} of the river and\n" for digit in range(10)))
    return path


def build(model: Path, corpus: Path, out: Path, batch_tokens: int, told: list[Progress]) -> ffmem.Index:
    options = IndexOptions(top=5, batch_tokens=batch_tokens, shard_tokens=100, holdout=0, split="lines")
    run = RunOptions(workers=0, checkpoint_s=0)

    def listen(now: Progress) -> None:
        stages.add(now.stage)
        told.append(now)

    stages.clear()
    return ffmem.build_index(model, corpus, out, options=options, run=run, progress=listen)


def test_it_goes_on_with_half_the_budget_and_says_so(
    tiny_folder: Callable[[str], Path], tmp_path: Path, small_device: Callable[[int], None]
) -> None:
    model, corpus = tiny_folder("gpt2"), lines(tmp_path / "lines.txt")
    plain = build(model, corpus, tmp_path / "plain", 32, [])
    small_device(32)
    told: list[Progress] = []
    halved = build(model, corpus, tmp_path / "halved", 128, told)
    messages = [one.message for one in told if "too little memory" in one.message]
    assert messages == [
        "worker 0: cpu has too little memory for batches of 128 tokens: this worker goes on with 64 (shard 0 is read again)",
        "worker 0: cpu has too little memory for batches of 64 tokens: this worker goes on with 32 (shard 0 is read again)",
    ]
    assert max(one.n_tokens for one in told) == halved.manifest.counts.n_tokens
    events = ffmem.store.files.parse_json((tmp_path / "halved" / "run.json").read_bytes())["runs"][0]["events"]
    assert sum("too little memory" in event.get("text", "") for event in events) == 2
    for layer in range(plain.n_layers):
        ours, theirs = halved.layer(layer), plain.layer(layer)
        for name in ("trigger_coefficient", "trigger_token", "histogram", "n_active", "minimum", "maximum", "counts"):
            assert np.array_equal(getattr(ours, name), getattr(theirs, name)), name


def test_one_sentence_that_does_not_fit_is_an_error(
    tiny_folder: Callable[[str], Path], tmp_path: Path, small_device: Callable[[int], None]
) -> None:
    small_device(4)
    with pytest.raises(
        ModelError, match=r"cpu has too little memory for a batch of 1 sentences, of at most \d+ tokens"
    ):
        build(tiny_folder("gpt2"), lines(tmp_path / "lines.txt"), tmp_path / "i", 64, [])
