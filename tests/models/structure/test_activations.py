"""What is tried on products with keys, and the numbers of a config."""

import torch
from transformers import GemmaConfig, LlamaConfig, PretrainedConfig

from ffmem.models.structure.activations import constants, named_activations


def test_the_activation_of_the_config_comes_first() -> None:
    """One function has several names: a report uses the config's."""
    assert next(iter(named_activations(LlamaConfig(hidden_act="relu")))) == "relu"
    assert next(iter(named_activations(PretrainedConfig(activation_function="gelu_new")))) == "gelu_new"
    assert next(iter(named_activations(GemmaConfig()))) == "gelu_pytorch_tanh"


def test_they_are_the_functions_of_those_names() -> None:
    found = named_activations(LlamaConfig(hidden_act="linear"))
    z = torch.tensor([-2.0, -0.5, 0.0, 1.0, 3.0])
    assert torch.allclose(found["silu"](z), z * torch.sigmoid(z))
    assert torch.equal(found["relu2"](z), torch.tensor([0.0, 0.0, 0.0, 1.0, 9.0]))
    assert torch.allclose(found["gelu"](z), z * (1 + torch.erf(z / 2**0.5)) / 2)
    assert "linear" not in found


def test_the_numbers_of_a_config() -> None:
    """Not 1, flags, nor numbers so large or small that they multiply nothing; those inside lists too."""
    config = PretrainedConfig(mine=0.25, flag=True, some=[7.5, "a"], large=1e9, small=1e-6, one=1.0)
    found = constants(config)
    assert 0.25 in found and 7.5 in found
    assert not {1.0, 1e9, 1e-6} & set(found)
    assert found == sorted(found)


def test_what_has_parameters_is_no_function_of_a_name() -> None:
    """Those of a name would be on another device than the model, and others than the model's own."""
    assert not {"prelu", "xielu"} & named_activations(PretrainedConfig(hidden_act="prelu", activation="xielu")).keys()
