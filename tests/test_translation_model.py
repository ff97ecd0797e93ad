"""The recipe of the small translation model: what its pieces promise."""

import gzip
import importlib.util
import random
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from transformers import MarianConfig

RECIPE = Path(__file__).parents[1] / "examples" / "translation_model"
GERMAN, ENGLISH = (
    words.split()
    for words in (
        "ein zwei drei vier Hunde Katzen Männer laufen springen sitzen über unter Gras Zaun Haus",
        "one two three four dogs cats men run jump sit over under grass fence house",
    )
)


@pytest.fixture
def recipe() -> ModuleType:
    spec = importlib.util.spec_from_file_location("train_translation", RECIPE / "train.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def text(n: int) -> tuple[list[str], list[str]]:
    rng = random.Random(0)
    picks = [[rng.randrange(len(GERMAN)) for _ in range(rng.randint(2, 9))] for _ in range(n)]
    return [" ".join(GERMAN[k] for k in some) + "." for some in picks], [
        " ".join(ENGLISH[k] for k in some) + " ." for some in picks
    ]


def test_raw_text_and_cut_text_are_the_same_tokens(recipe: ModuleType) -> None:
    tokenizer = recipe.byte_pairs([*text(50)[0], *text(50)[1]])
    raw, cut = tokenizer("Zwei Hunde laufen, (schnell)."), tokenizer("zwei hunde laufen , ( schnell ) .")
    assert raw.input_ids == cut.input_ids and raw.input_ids[-1] == recipe.END
    assert tokenizer.decode(tokenizer("Zwei Männer.").input_ids, skip_special_tokens=True) == "zwei männer."


def test_batches_hold_every_pair_once_and_are_the_same_each_time(recipe: ModuleType) -> None:
    rng = random.Random(1)
    pairs = [([5] * rng.randint(1, 60), [5] * rng.randint(1, 60)) for _ in range(9000)]
    batches = recipe.batches(pairs, 3)
    assert sorted(number for batch in batches for number in batch) == list(range(9000))
    assert batches == recipe.batches(pairs, 3) != recipe.batches(pairs, 4)
    sizes = [len(batch) * max(max(map(len, pairs[number])) for number in batch) for batch in batches]
    assert max(sizes) <= recipe.BATCH


def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(
    recipe: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part, n in (("train", 60), ("val", 9)):
        for language, lines in zip(("de", "en"), text(n), strict=True):
            packed = gzip.compress("".join(f"{line}\n" for line in lines).encode())
            (tmp_path / f"{part}.{language}.gz").write_bytes(packed)
    tokenizer = recipe.byte_pairs([line for side in text(60) for line in side])
    pairs, held_out = (recipe.as_ids(tokenizer, tmp_path, part) for part in ("train", "val"))
    small = {f"{stack}_{what}": 1 for stack in ("encoder", "decoder") for what in ("layers", "attention_heads")}
    small |= {"d_model": 16, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16}
    config = MarianConfig(**(recipe.configuration(len(tokenizer)).to_dict() | small))
    monkeypatch.setattr(recipe, "BATCH", 100)
    monkeypatch.setattr(recipe, "EVERY", 3)

    monkeypatch.setattr(recipe, "STEPS", 12)

    def run(work: Path, stop_at: int | None = None) -> Any:
        work.mkdir(exist_ok=True)
        one = recipe.Run(work, config, pairs, held_out)
        one.resume()
        if stop_at is not None:
            step = one.optimizer.step
            monkeypatch.setattr(one.optimizer, "step", lambda: 1 / 0 if one.step == stop_at else step())
        one.run()
        return one

    whole = run(tmp_path / "whole")
    for stop_at in (2, 5, 10):
        with pytest.raises(ZeroDivisionError):
            run(tmp_path / "stopped", stop_at)
    resumed = run(tmp_path / "stopped")
    assert (resumed.step, resumed.epoch, resumed.batch) == (whole.step, whole.epoch, whole.batch) and whole.epoch > 0
    for name, tensor in whole.model.state_dict().items():
        assert tensor.equal(resumed.model.state_dict()[name]), name
    losses = [[(point["train_smoothed"], point["held_out"]) for point in one.curve] for one in (whole, resumed)]
    assert losses[0] == losses[1] and [point["step"] for point in whole.curve] == [3, 6, 9, 12]


def test_a_run_keeps_its_vocabulary(recipe: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made again, its pieces have other numbers: a resumed model would read another language."""
    texts = [line for side in text(60) for line in side]
    first = recipe.kept_tokenizer(tmp_path, texts)
    monkeypatch.setattr(recipe, "byte_pairs", lambda texts: pytest.fail("made again"))
    again = recipe.kept_tokenizer(tmp_path, texts)
    assert first.get_vocab() == again.get_vocab() and len(first) > 10
    assert first(texts).input_ids == again(texts).input_ids
    assert again.decode(again("Zwei Männer.").input_ids, skip_special_tokens=True) == "zwei männer."


def test_a_checkpoint_without_its_vocabulary_is_refused(recipe: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "state.pt").write_bytes(b"")
    with pytest.raises(SystemExit, match="a checkpoint without its tokenizer"):
        recipe.kept_tokenizer(tmp_path, ["eins zwei"])


def test_sides_of_different_length_are_refused(recipe: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "val.de").write_text("eins\nzwei\n")
    (tmp_path / "val.en").write_text("one\n")
    with pytest.raises(SystemExit, match=r"val\.de has 2 lines, val.en 1"):
        recipe.as_ids(recipe.byte_pairs(["eins zwei"]), tmp_path, "val")
