"""What products with keys go through: tried, one after the other, on what a pass shows."""

from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor, nn
from transformers.activations import ACT2FN

Activation = Callable[[Tensor], Tensor]

_NAMES = (
    "silu", "gelu", "gelu_pytorch_tanh", "gelu_new", "relu", "relu2", "quick_gelu", "gelu_fast", "gelu_python_tanh",
    "sigmoid", "tanh", "mish", "leaky_relu", "relu6", "laplace",
)  # fmt: skip
_FIELDS = (
    "hidden_act",
    "hidden_activation",
    "activation_function",
    "activation",
    "afn",
    "ffn_act",
    "act_fn",
    "dense_act_fn",
)


def named_activations(config: Any) -> dict[str, Activation]:
    """Activations by name, first those that a config names: names of one function have the config's.

    Those with parameters of their own, such as PReLU, are no functions that a name stands for: the model's own modules are
    tried for them.
    """
    names = [name for part in _configs(config) for name in _named(part)]
    known = {name: ACT2FN[name] for name in (*names, *_NAMES) if name in ACT2FN and name != "linear"}
    return {name: function for name, function in known.items() if not _has_parameters(function)}


def constants(config: Any) -> list[float]:
    """Numbers of a config that something may be multiplied with."""
    found = {
        float(value)
        for part in _configs(config)
        for one in part.to_dict().values()
        for value in (one if isinstance(one, list | tuple) else [one])
        if isinstance(value, float | int) and not isinstance(value, bool) and 1e-4 < abs(value) < 1e4
    }
    return sorted(found - {1.0})


def _has_parameters(function: Any) -> bool:
    return isinstance(function, nn.Module) and any(True for _ in (*function.parameters(), *function.buffers()))


def _named(config: Any) -> Iterator[str]:
    for name in _FIELDS:
        value = getattr(config, name, None)
        if isinstance(value, str):
            yield value


def _configs(config: Any) -> Iterator[Any]:
    for name in ("text_config", "decoder"):
        part = getattr(config, name, None)
        if hasattr(part, "to_dict"):
            yield part
    yield config
