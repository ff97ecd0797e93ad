"""One set of files with weights: which tensors they hold, and how each is read."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from ffmem.errors import ModelError


@dataclass(frozen=True)
class WeightFiles:
    """The files with a model's weights, under the names by which transformers looks for them."""

    links: Mapping[str, Path]
    """From those names to where the files are."""
    not_read: tuple[str, ...] = ()
    """Further files with weights, which hold the same or are of other frameworks."""

    @cached_property
    def tensors(self) -> dict[str, Path]:
        """From the name of each tensor to the file that holds it."""
        return {
            name: file for link, file in self.links.items() if link.endswith(".safetensors") for name in names_in(file)
        }

    @contextmanager
    def reading(self) -> Iterator[Any]:
        """A function from a tensor's name to the tensor, memory-mapped."""
        opened: dict[Path, Any] = {}

        def read(name: str) -> Tensor:
            file = self.tensors[name]
            if file not in opened:
                opened[file] = safe_open(file, framework="pt")
            tensor: Tensor = opened[file].get_tensor(name)
            return tensor

        yield read


def names_in(file: Path) -> list[str]:
    """The names of the tensors of a safetensors file.

    Raises:
        ModelError: it is cut short, or none.
    """
    try:
        with safe_open(file, framework="pt") as opened:
            return list(opened.keys())
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(
            f"the weights in {file.parent} cannot be read: {file.name}: {str(error)[:200]}",
            "Expected whole .safetensors files that fit config.json",
            "Download or save the model again",
        ) from error
