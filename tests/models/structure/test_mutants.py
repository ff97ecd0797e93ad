"""Models that look like Llama and compute something else are read as what they are, or refused; never as Llama."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from ffmem.errors import ModelError
from ffmem.models.families.llama import FAMILY as LLAMA
from ffmem.models.families.mixtral import FAMILY as MIXTRAL
from ffmem.models.identity_proof import prove_identities
from ffmem.models.structure.admit import family_of_structure
from ffmem.models.transformer import Transformer
from tests.conftest import byte_level_tokenizer
from tests.models.structure import mutants as m


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return byte_level_tokenizer(False)


def admitted(module: Any, tokenizer: Any) -> Transformer:
    """As `load_model` does with a model that no file names."""
    structure = family_of_structure("m", module, tokenizer)
    model = Transformer("m", structure.family, module, tokenizer)
    prove_identities(model)
    return model


def caught(module: Any, path: str, ids: Tensor) -> Tensor:
    """What goes into one module, by a plain hook."""
    seen: list[Tensor] = []
    part = module.get_submodule(path)
    handle = part.register_forward_pre_hook(lambda _, given: seen.append(given[0].clone()))
    module(input_ids=ids)
    handle.remove()
    return seen[0]


IDS = torch.arange(20, 33)[None]

READ = {
    "as it is": (lambda model: None, {}),
    "gate and up swapped": (m.on_each("mlp", m.swapped), {"gate": "up_proj"}),
    "another activation than the config's": (m.on_each("mlp", m.gelu_mlp), {"activation": "gelu"}),
    "memories times 0.7": (m.on_each("mlp", m.scaled_output(0.7)), {"scale": 0.7}),
    "memories times 1.004": (m.on_each("mlp", m.scaled_output(1.004)), {"scale": 1.004}),
    "norm behind the memories": (
        m.on_each("", m.layer_forward(lambda self, z: z + self.post_attention_layernorm(self.mlp(z)))),
        {"placement": "sandwich"},
    ),
    "norm behind the sum": (
        m.on_each("", m.layer_forward(lambda self, z: self.post_attention_layernorm(z + self.mlp(z)))),
        {"placement": "post"},
    ),
    "the stream goes on from the norm": (
        m.on_each("", m.layer_forward(lambda self, z: (n := self.post_attention_layernorm(z)) + self.mlp(n))),
        {"placement": "shared"},
    ),
    "the stream times 0.9": (
        m.on_each("", m.layer_forward(lambda self, z: 0.9 * z + self.mlp(self.post_attention_layernorm(z)))),
        {"residual": 0.9},
    ),
    "norms with gain 1 + weight": (m.norms_plus_one, {"offset": 1.0}),
    "logits times 0.25": (m.logits_times(lambda logits: 0.25 * logits), None),
    "one layer twice": (m.shared_layer, None),
}
"""What is changed, and what must be found then; None: it may be refused."""


@pytest.mark.parametrize("name", READ)
def test_what_is_changed_is_found(name: str, tokenizer: Any) -> None:
    change, truth = READ[name]
    module = m.llama()
    change(module)
    try:
        model = admitted(module, tokenizer)
    except ModelError:
        assert truth is None
        return
    truth = truth or {}
    layout = model.layout(1)
    own = module.model.layers[1].mlp
    assert torch.equal(model.gate_keys(1), getattr(own, truth.get("gate", "gate_proj")).weight)
    assert torch.equal(model.values(1), own.down_proj.weight.T)
    assert model.facts.activation == truth.get("activation", "silu")
    assert layout.placement == truth.get("placement", "pre")
    assert layout.update_scale == pytest.approx(truth.get("scale", 1.0), rel=1e-5)
    assert layout.residual_scale == pytest.approx(truth.get("residual", 1.0), rel=1e-5)
    assert layout.norm_offset == truth.get("offset", 0.0)
    seen: dict[int, Tensor] = {}
    with model.watch_coefficients(lambda layer, found: seen.update({layer: found.clone()})):
        model.forward(IDS)
    assert torch.equal(seen[1], caught(module, "model.layers.1.mlp.down_proj", IDS))
    logits = module(input_ids=IDS).logits
    last = caught(module, "model.norm", IDS)
    assert torch.allclose(model.project(last, "final-norm"), logits, atol=1e-4)


REFUSED: dict[str, Callable[[Any], None]] = {
    "the bias is dropped": m.on_each("mlp", m.without_bias),
    "the bias is taken off again": m.on_each("mlp", m.bias_taken_off),
    "activations are clamped": m.on_each("mlp", m.clamped),
    "the gate is multiplied with a number that stands nowhere": m.on_each("mlp", m.scaled_gate),
    "up branches are rolled": m.on_each("mlp", m.rolled),
    "a part of x is added": m.on_each("mlp", m.leaking),
    "coefficients of the position before are mixed in": m.on_each("mlp", m.mixed_positions),
    "in one layer alone a bias is dropped": m.on_each("mlp", m.without_bias, only=2),
    "in one layer alone gates are clamped": m.on_each("mlp", m.clamped, only=0),
    "one norm alone has gain 1 + weight": m.one_norm_plus_one,
    "x is no norm's output": m.on_each(
        "", m.layer_forward(lambda self, z: z + self.mlp(self.post_attention_layernorm(z) + 0.01 * z))
    ),
    "the sum is squashed": m.on_each(
        "", m.layer_forward(lambda self, z: torch.tanh(z + self.mlp(self.post_attention_layernorm(z))))
    ),
    "logits are squashed by a number that stands nowhere": m.logits_times(
        lambda logits: torch.tanh(logits / 3.7) * 3.7
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_explained_is_refused(name: str, tokenizer: Any) -> None:
    module = m.llama(mlp_bias=True)
    REFUSED[name](module)
    with pytest.raises(ModelError, match=r"m \(LlamaForCausalLM.*(miss|is proven)"):
        admitted(module, tokenizer)


BY_FILE = [name for name, (_, truth) in READ.items() if truth or "logits" in name]


@pytest.mark.parametrize("name", [*BY_FILE, *REFUSED])
def test_none_passes_for_llama_by_its_file(name: str, tokenizer: Any) -> None:
    """What the file of a family says of a model that departs from it does not hold, and is not taken."""
    module = m.llama(mlp_bias=True)
    (REFUSED[name] if name in REFUSED else READ[name][0])(module)
    if name in BENIGN:
        return
    with pytest.raises(ModelError, match=r"(the rules of llama|cannot be measured)"):
        prove_identities(Transformer("m", LLAMA, module, tokenizer))


BENIGN: set[str] = set()


@pytest.mark.parametrize(
    ("change", "reads"),
    [(lambda model: None, 0), (m.weights_squared, None), (m.experts_swapped, 1), (m.experts_with_a_residue, None)],
    ids=["as it is", "weights squared", "gate and up swapped", "with a residue"],
)
def test_mixtures(change: Callable[[Any], None], reads: int | None, tokenizer: Any) -> None:
    module = m.mixtral()
    change(module)
    if reads is None:
        with pytest.raises(ModelError):
            admitted(module, tokenizer)
        return
    model = admitted(module, tokenizer)
    stacked = module.model.layers[1].mlp.experts.gate_up_proj
    half = stacked[:, reads * 24 : reads * 24 + 24].reshape(-1, 32)
    assert torch.equal(model.gate_keys(1), half)
    by_file = SimpleNamespace(family=MIXTRAL)
    if reads:
        with pytest.raises(ModelError):
            prove_identities(Transformer("m", by_file.family, module, tokenizer))
