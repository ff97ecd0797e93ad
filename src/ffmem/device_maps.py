"""How a model is spread over devices: what a user types for `--device-map`."""

import re

from ffmem.errors import InputError
from ffmem.sizes import parse_size

AUTO = "auto"
Limits = dict[int | str, int]
"""Most bytes of weights on each device: GPUs by their number, and "cpu"; what fits none of them stays on the disk."""


def parse_device_map(text: str) -> Limits | None:
    """The limits that the option ``device_map`` gives; None for "auto".

    Raises:
        InputError: it is neither "auto" nor a list of devices with sizes.
    """
    if text == AUTO:
        return None
    found: Limits = {}
    for part in text.split(",") if isinstance(text, str) else [""]:
        form = re.fullmatch(r"\s*(?:cuda:)?(\d{1,3}|cpu)\s*=\s*(\S.*)", part)
        name = None if form is None else form[1] if form[1] == "cpu" else int(form[1])
        if form is None or name is None or name in found:
            raise InputError(
                f"--device-map is {text!r}",
                "Expected auto, or devices, once each, with the most memory that weights may take there: GPUs by their "
                "numbers, and cpu",
                "Write --device-map auto, or for example --device-map 0=60GB,1=60GB,cpu=100GB",
            )
        found[name] = parse_size(form[2].strip(), f"--device-map {form[1]}")
    return found
