"""Linear maps whose weights are kept in 8 or 4 bits: a forward pass multiplies with the very numbers they stand for.

The layers of bitsandbytes do not: in 8 bits they round the inputs as well, and in 4 bits some processors compute in
bfloat16. Then coefficients times values would miss the output by a hundredth. So its packed numbers are taken over, and
`PackedLinear.weight` gives them as floats to whoever asks: the forward pass, and whoever reads keys and values.
"""

import importlib.util
import warnings
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ffmem.errors import InputError
from ffmem.models.base import CallArguments
from ffmem.options import Quantize

METHOD = "bitsandbytes"
"""The one method whose weights are read, as configs name it."""


class PackedLinear(nn.Module):
    """A linear map with packed weights, made from one of bitsandbytes.

    Args:
        packed: the weights as integers.
        scale: what they are multiplied with.
        bias: as in nn.Linear.
        dtype: number type of the dense weight.

    Cost: a dense weight exists only while it is used, in each forward pass anew.
    """

    def __init__(self, packed: Tensor, scale: Tensor, bias: Tensor | None, dtype: torch.dtype) -> None:
        super().__init__()
        # parameters, so that they count when weights are hashed
        self.packed = nn.Parameter(packed.detach(), requires_grad=False)
        self.scale = nn.Parameter(scale.detach().float(), requires_grad=False)
        self.bias = None if bias is None else nn.Parameter(bias.detach().to(dtype), requires_grad=False)
        self.dtype = dtype

    @property
    def weight(self) -> Float[Tensor, "outputs inputs"]:
        """The weight as plain numbers, made anew."""
        raise NotImplementedError

    def forward(self, x: Float[Tensor, "*batch inputs"]) -> Float[Tensor, "*batch outputs"]:
        """The product with the dense weight, plus the bias."""
        return nn.functional.linear(x, self.weight, self.bias)


class Linear8Bit(PackedLinear):
    """A row of the weight is integers from -127 to 127, times the row's largest magnitude / 127."""

    @property
    def weight(self) -> Float[Tensor, "outputs inputs"]:
        """The weight as plain numbers, made anew."""
        return (self.packed.float() * (self.scale / 127)[:, None]).to(self.dtype)


class Linear4Bit(PackedLinear):
    """Blocks of weights are places in a table of 16 numbers, two a byte, times the block's largest magnitude.

    Args:
        state: bitsandbytes' account of the packing: block size, table, shape.
    """

    def __init__(self, packed: Tensor, state: Any, bias: Tensor | None, dtype: torch.dtype) -> None:
        scale = state.absmax
        if state.nested:  # the scales are packed themselves
            scale = _bitsandbytes().functional.dequantize_blockwise(state.absmax, state.state2) + state.offset
        super().__init__(packed.view(torch.uint8).view(-1), scale, bias, dtype)
        self.table = nn.Parameter(state.code.detach().float(), requires_grad=False)
        self.shape, self.block_size = state.shape, state.blocksize

    @property
    def weight(self) -> Float[Tensor, "outputs inputs"]:
        """The weight as plain numbers, made anew."""
        # not by bitsandbytes: on a CPU, its loops take wrong scales where a row is not a whole number of blocks
        places = torch.stack((self.packed >> 4, self.packed & 15), dim=-1).view(-1)[: self.shape.numel()].int()
        scales = self.scale.repeat_interleave(self.block_size)[: places.numel()]
        return (self.table[places] * scales).view(self.shape).to(self.dtype)


def take_packed_weights(module: nn.Module, dtype: torch.dtype) -> None:
    """Put a PackedLinear in the place of each linear map of bitsandbytes in a model."""
    for path, part in list(module.named_modules()):
        found: Any = part
        if type(part).__name__ == "Linear8bitLt":
            module.set_submodule(path, Linear8Bit(found.weight.data, found.weight.SCB, found.bias, dtype))
        elif type(part).__name__ == "Linear4bit":
            module.set_submodule(path, Linear4Bit(found.weight.data, found.weight.quant_state, found.bias, dtype))


def packing(config: Any, model: str, quantize: Quantize, device: str) -> CallArguments:
    """What transformers must be told to load a model with packed weights; nothing if they are plain and to stay so.

    Args:
        config: the model's config, which says if its weights are packed already.
        model: its name in messages.
        quantize: how to pack plain weights.
        device: where the model is to be.

    Raises:
        InputError: a method that is not read, packages that are missing, or weights that would be packed twice.
    """
    found = getattr(config, "quantization_config", None)
    if found is None and quantize == "no":
        return {}
    if found is not None:
        _check_method(found if isinstance(found, dict) else found.to_dict(), model, quantize)
    missing = [name for name in (METHOD, "accelerate") if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(
            f"8- and 4-bit weights need the packages {METHOD} and accelerate, and {' and '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} not installed",
            "Expected ffmem with its extra quantized",
            "pip install 'ffmem[quantized]'",
        )
    _bitsandbytes()
    place = {"device_map": {"": device}}
    return place if quantize == "no" else place | {"quantization_config": _config(quantize)}


def _check_method(found: CallArguments, model: str, quantize: Quantize) -> None:
    method = found.get("quant_method")
    if method != METHOD:
        raise InputError(
            f"the weights of {model} are quantised by a method that ffmem does not read: {method}",
            f"Expected plain weights, those of {METHOD} in 8 or 4 bits, or a .gguf file",
            "Use the model that this one was made from; --quantize 4bit or 8bit makes it small again",
        )
    if quantize != "no":
        raise InputError(
            f"--quantize is {quantize!r}, but the weights of {model} are quantised already",
            "Expected plain weights to quantise",
            "Leave --quantize out, or take the model that this one was made from",
        )


def _config(quantize: Quantize) -> Any:
    from transformers import BitsAndBytesConfig

    make: Any = BitsAndBytesConfig  # its constructor has no types
    return make(load_in_8bit=True) if quantize == "8bit" else make(load_in_4bit=True, bnb_4bit_quant_type="nf4")


def _bitsandbytes() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # about torch.jit, which it uses
        import bitsandbytes
    return bitsandbytes
