"""The truth about what was planted in a training text, as `examples/reference_model/plant.py` writes it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cattrs

from ffmem.analyses.memorised.canaries import Template
from ffmem.errors import InputError
from ffmem.store.files import parse_json


@dataclass(frozen=True)
class Canary:
    """A filling of the template."""

    words: tuple[str, ...]
    text: str
    count: int
    """How often it was inserted; 0: never."""


@dataclass(frozen=True)
class PlantedDocument:
    """A document that comes again."""

    text: str
    count: int
    """How often it stands in the training text."""


@dataclass(frozen=True)
class Planted:
    """What was planted."""

    template: Template
    canaries: tuple[Canary, ...]
    documents: tuple[PlantedDocument, ...]

    def filling(self, canary: Canary) -> tuple[int, ...]:
        """Its words by their numbers among those of the template."""
        return tuple(self.template.words.index(word) for word in canary.words)

    @property
    def texts(self) -> frozenset[str]:
        """Everything that was planted, whatever its count: none of it says what is known of an ordinary document."""
        return frozenset([one.text for one in self.canaries] + [one.text for one in self.documents])


def read_planted(path: str) -> Planted:
    """The truth from its file.

    Raises:
        InputError: it cannot be read, or is not as plant.py writes it.
    """
    try:
        read: Any = parse_json(Path(path).read_bytes())
        canaries = cattrs.structure(read["canaries"], tuple[Canary, ...])
        documents = cattrs.structure(read["documents"], tuple[PlantedDocument, ...])
        template = Template(str(read["template"]), tuple(map(str, read["words"])))
        for one in canaries:
            numbers = [template.words.index(word) for word in one.words]
            if len(numbers) != template.n_blanks or template.filled(numbers) != one.text:
                raise ValueError(f"{one.text!r} is no filling of the template")
    except (OSError, ValueError, KeyError, TypeError, cattrs.BaseValidationError) as error:
        raise InputError(
            f"{path} is no file of what was planted: {error}",
            "Expected the planted.json that examples/reference_model/plant.py writes beside the corpus",
            "Name that file, or leave --planted out",
        ) from error
    return Planted(template, canaries, documents)
