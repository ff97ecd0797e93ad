"""What a user may choose about an edit; equal options give equal edits."""

from dataclasses import asdict, dataclass, fields
from typing import Literal, get_args

from ffmem.errors import InputError
from ffmem.json_values import JsonObject

Method = Literal["rome", "memit", "tune", "knowledge", "cell"]
"""How values are changed: see `methods`."""

_LEAST: dict[str, float] = {
    "contexts": 0, "context_tokens": 1, "steps": 1, "rate": 1e-6, "reach": 0, "decay": 0, "keep": 0, "weight": 0,
    "bound": 1e-12, "spread": 1, "gradient_steps": 1, "share": 0, "scale": 0, "tokens": 2, "length": 2, "seed": 0,
}  # fmt: skip
"""The smallest value that each number may have."""


@dataclass(frozen=True)
class EditOptions:
    """How an edit is made."""

    method: Method = "rome"
    """rome: one change of rank one for each fact; memit: all facts at once, spread over layers; tune: values follow the
    gradient, none by more than --bound; knowledge: the values of the cells that a fact goes through are moved from old to new;
    cell: one value is set by hand, with --cell, --promote and --by."""
    layer: int | None = None
    """The layer, from 0; of memit the last of several. By default a third of the way up."""
    spread: int = 3
    """Layers that memit spreads a change over, the last of them --layer."""
    contexts: int = 4
    """Openings of texts that are put before the prompt, so that the key is the subject's and not that of one sentence."""
    context_tokens: int = 8
    """Tokens of such an opening."""
    steps: int = 20
    """Steps by which the wanted output is found, or values are tuned."""
    rate: float = 0.2
    """Length of a step for the wanted output, as a share of the length of the layer's own."""
    reach: float = 4.0
    """How far the wanted output may lie from the layer's own, as a multiple of its length; of memit, of the stream's."""
    decay: float = 0.1
    """Weight of the squared length of the change, as a share of the output's, in what is minimised."""
    keep: float = 0.1
    """Weight of what the model says of the subject otherwise: KL after "SUBJECT is a"."""
    weight: float = 100.0
    """Of memit: how much the text's own coefficients count against the facts; 0: facts exactly."""
    bound: float = 0.02
    """Of tune: the most that any number of a value may move, as a share of the root mean square of the layer's."""
    gradient_steps: int = 20
    """Of knowledge: points at which a gradient is taken on the way from no coefficients to the model's own."""
    share: float = 0.3
    """Of knowledge: a cell counts from this share of the largest attribution on."""
    scale: float = 2.0
    """Of knowledge: how many times the difference of the tokens' directions is added to a value."""
    cell: str | None = None
    """Of cell: whose value is set, such as L3.17."""
    promote: str | None = None
    """Of cell: the token whose score the value is to raise, exactly one, spaces included."""
    by: float = 10.0
    """Of cell: by how much a coefficient of 1 adds to the token's raw score more than before; below 0, less."""
    tokens: int = 20_000
    """Tokens of the corpus that a layer's moments are taken over."""
    length: int = 64
    """Tokens of a stretch of text, at most."""
    seed: int = 0
    """Seed of everything drawn."""

    def __post_init__(self) -> None:
        if self.method not in get_args(Method):
            raise InputError(
                f"--method is {self.method!r}",
                f"Expected one of: {', '.join(get_args(Method))}",
                "Write --method rome",
            )
        self._check_by_hand()
        for field in fields(self):
            value, least = getattr(self, field.name), _LEAST.get(field.name)
            if least is None:
                continue
            whole = field.type is int or field.type == "int"
            right = isinstance(value, int) if whole else isinstance(value, int | float)
            if isinstance(value, bool) or not right or not least <= value < float("inf"):
                flag = "--" + field.name.replace("_", "-")
                raise InputError(
                    f"{flag} is {value!r}",
                    f"Expected a {'whole ' if whole else ''}number of at least {least:g}",
                    f"Write {flag} {field.default}",
                )

    def _check_by_hand(self) -> None:
        given = self.cell is not None or self.promote is not None
        if (given and self.method != "cell") or (self.method == "cell" and (self.cell is None or self.promote is None)):
            raise InputError(
                f"--method is {self.method}, --cell is {self.cell!r} and --promote is {self.promote!r}",
                "Expected --cell and --promote with --method cell, and only there",
                'Write for example --method cell --cell L3.17 --promote " Paris" --by 10',
            )
        if not abs(self.by) < float("inf"):
            raise InputError(f"--by is {self.by}", "Expected a number", "Write --by 10")

    def to_json(self) -> JsonObject:
        """The options as plain JSON values, in the order of definition."""
        return asdict(self)
