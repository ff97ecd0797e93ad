"""What a user says of a dictionary, a transcoder or sparse autoencoder, that is to be indexed beside a layer.

Written ``LAYER=NAME:FOLDER``, or ``LAYER=NAME@PLACE:FOLDER`` where the folder does not say what it reads.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from ffmem.errors import InputError
from ffmem.ids import is_dictionary_name

StatesAt = Literal["resid-pre", "resid-mid", "normalized", "mlp-input", "mlp-output", "update", "resid-post"]
"""States around a feed-forward layer: the stream before the whole layer; the stream before the norm; the normed stream before
the norm's gain and bias; x, which the layer's own keys read; y, the layer's output; what is added to the stream, which is y but
where a norm or a scale follows it; the stream after the layer."""

_FORM = re.compile(
    r"(?P<layer>(?:(?:enc|dec)\.)?L\d{1,9})=(?P<name>[^:@=]+)(?:@(?P<place>[^:@]*))?:(?P<path>.+)",
    re.ASCII | re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True)
class Attachment:
    """A dictionary beside a layer, as a user writes it."""

    layer: str
    """``L9``, ``dec.L3``."""
    name: str
    reads: StatesAt | None
    """What its encoder reads; None: as its files say."""
    path: Path
    """Its folder, or its file."""

    @classmethod
    def parse(cls, text: str) -> "Attachment":
        """The dictionary that ``text`` tells of; no file is looked at.

        Raises:
            InputError: it has not the form, or names no place that there is.
        """
        found = _FORM.fullmatch(text) if isinstance(text, str) else None
        name = found["name"].lower() if found else ""
        if found is None or not is_dictionary_name(name):
            raise InputError(
                f"--dictionary is {text!r}",
                "Expected LAYER=NAME:FOLDER, with a name of 2 to 31 letters, digits, _ and -, which begins with a letter and "
                "is not written like an expert (e5)",
                "Write for example --dictionary L9=tc16k:FOLDER",
            )
        place = found["place"]
        if place is not None and place not in get_args(StatesAt):
            raise InputError(
                f"--dictionary has {text!r}, which reads {place!r}",
                f"Expected one of: {', '.join(get_args(StatesAt))}",
                f"Write for example --dictionary {found['layer']}={name}@mlp-input:{found['path']}",
            )
        stack, _, number = found["layer"].lower().rpartition("l")
        return cls(f"{stack}L{int(number)}", name, place, Path(found["path"]))  # type: ignore[arg-type]  # it is one of them

    @property
    def cells(self) -> str:
        """How its cells are called, without their indices: ``L9.tc16k``."""
        return f"{self.layer}.{self.name}"

    @property
    def place(self) -> tuple[int, int, str]:
        """What dictionaries are ordered by."""
        stack, _, number = self.layer.rpartition("L")
        return ("", "enc.", "dec.").index(stack), int(number), self.name

    def __str__(self) -> str:
        return f"{self.layer}={self.name}{f'@{self.reads}' if self.reads else ''}:{self.path}"


def parse_attachments(texts: Iterable[str]) -> tuple[Attachment, ...]:
    """The dictionaries that some texts tell of, in the order of their layers and names: as their cells stand in an index.

    Raises:
        InputError: one of them has not the form, or two have one name at one layer.
    """
    found = [Attachment.parse(text) for text in texts]
    names = [one.cells for one in found]
    twice = next((name for number, name in enumerate(names) if name in names[:number]), None)
    if twice is not None:
        raise InputError(
            f"--dictionary gives the name {twice} to two dictionaries",
            "Expected another name for each at a layer",
            "Call one of them otherwise",
        )
    return tuple(sorted(found, key=lambda one: one.place))
