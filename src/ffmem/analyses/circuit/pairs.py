"""Pairs of prompts as a model reads them: position by position beside each other, and only those that it gets right."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ffmem.analyses.circuit.gates import differences, last_logits
from ffmem.analyses.circuit.tasks import Pair
from ffmem.analyses.decomposition import check_causal
from ffmem.analyses.one_token import one_token
from ffmem.errors import InputError
from ffmem.models.inputs import read_text
from ffmem.models.transformer import Transformer
from ffmem.options import Bos

BATCH = 32
"""Rows of a pass."""
_FIELDS = ("prompt", "counterfactual", "right", "wrong")


@dataclass(frozen=True)
class Group:
    """Pairs of one template and one length, which a circuit can be of: a node is a cell at a position."""

    name: str
    pairs: tuple[Pair, ...]
    ids: Int[Tensor, "pairs positions"]
    counterfactual_ids: Int[Tensor, "pairs positions"]
    right: tuple[int, ...]
    wrong: tuple[int, ...]
    whole: Float[Tensor, "pairs"]
    """F of each prompt as the model is: the score of what is right less that of what is wrong. All above 0."""

    def __getitem__(self, which: slice) -> "Group":
        """Some of them."""
        return Group(
            self.name, self.pairs[which], self.ids[which], self.counterfactual_ids[which], self.right[which],
            self.wrong[which], self.whole[which],
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.pairs)


@dataclass(frozen=True)
class Aligned:
    """What of some pairs can be used, and what became of the others."""

    groups: tuple[Group, ...]
    """The largest of each template."""
    n: int
    n_unequal: int
    """Prompt and counterfactual are not of the same length, or of another than most of their template."""
    n_wrong: int
    """The model prefers what is wrong: F is not above 0."""
    n_by_template: dict[str, tuple[int, int]]
    """Of each template how many could be compared, and how many of them the model gets right."""

    @property
    def share_right(self) -> float:
        """How many of those that could be compared the model gets right; NaN if none could."""
        n = self.n - self.n_unequal
        return (n - self.n_wrong) / n if n else float("nan")


def read_pairs(path: Path, encoding: str = "utf-8") -> list[Pair]:
    """The pairs of a file: a JSON object a line, with prompt, counterfactual, right, wrong, and template if there are several.

    Raises:
        InputError: it cannot be read, or a line is no pair.
    """
    try:
        lines = path.read_text(encoding).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} cannot be read: {error}", "Expected a file of pairs, one JSON object a line", "Name another file"
        ) from error
    pairs = [_pair(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not pairs:
        raise InputError(f"{path} has no pairs", "Expected one JSON object a line", "Name another file")
    return pairs


def _pair(path: Path, number: int, line: str) -> Pair:
    try:
        read = json.loads(line)
        values = [read[name] for name in _FIELDS]
        if not all(isinstance(one, str) and one for one in values):
            raise ValueError("a value is no text")
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"line {number} of {path} is no pair: {type(error).__name__}: {error}",
            f"Expected an object with the texts {', '.join(_FIELDS)}",
            'Write lines like {"prompt": "The boy", "counterfactual": "The boys", "right": " is", "wrong": " are"}',
        ) from error
    return Pair(str(read.get("template", path.stem)), *values)


def align(model: Transformer, pairs: Iterable[Pair], *, bos: Bos = "auto") -> Aligned:
    """Pairs side by side, those alone that the model gets right.

    Args:
        model: a causal model.
        pairs: of any templates.
        bos: special tokens.

    Raises:
        InputError: the model predicts no next token, or right and wrong are not one token each.
    """
    check_causal(model)
    rows: dict[tuple[str, int], list[tuple[Pair, Sequence[int], Sequence[int]]]] = {}
    n, n_unequal = 0, 0
    for pair in pairs:
        n += 1
        one, other = (read_text(model, text, bos).to_continue for text in (pair.prompt, pair.counterfactual))
        if len(one) == len(other):
            rows.setdefault((pair.template, len(one)), []).append((pair, one, other))
        else:
            n_unequal += 1
    groups, n_wrong, by_template = [], 0, {}
    for template in dict.fromkeys(template for template, _ in rows):
        lengths = {length: some for (name, length), some in rows.items() if name == template}
        longest = max(lengths, key=lambda one: len(lengths[one]))
        n_unequal += sum(len(some) for length, some in lengths.items() if length != longest)
        group = _group(model, template, lengths[longest])
        right = (group.whole > 0).nonzero().squeeze(1).tolist()
        by_template[template] = (len(group), len(right))
        n_wrong += len(group) - len(right)
        if right:
            groups.append(_some(group, right))
    return Aligned(tuple(groups), n, n_unequal, n_wrong, by_template)


def _group(model: Transformer, name: str, rows: Sequence[tuple[Pair, Sequence[int], Sequence[int]]]) -> Group:
    pairs = tuple(pair for pair, _, _ in rows)
    ids = torch.tensor([list(one) for _, one, _ in rows], device=model.device)
    others = torch.tensor([list(one) for _, _, one in rows], device=model.device)
    tokens = {text: one_token(model, text) for pair in pairs for text in (pair.right, pair.wrong)}
    right, wrong = tuple(tokens[one.right] for one in pairs), tuple(tokens[one.wrong] for one in pairs)
    return Group(name, pairs, ids, others, right, wrong, own_scores(model, ids, right, wrong))


def _some(group: Group, which: Sequence[int]) -> Group:
    return Group(
        group.name,
        tuple(group.pairs[one] for one in which),
        group.ids[which],
        group.counterfactual_ids[which],
        tuple(group.right[one] for one in which),
        tuple(group.wrong[one] for one in which),
        group.whole[which],
    )


def own_scores(
    model: Transformer, ids: Int[Tensor, "pairs positions"], right: Sequence[int], wrong: Sequence[int]
) -> Float[Tensor, "pairs"]:
    """F of each row, float64, on the CPU: the model as it is, or as hooks that are on have it."""
    found = []
    with torch.no_grad():
        for start in range(0, len(ids), BATCH):
            rows = slice(start, start + BATCH)
            found.append(differences(last_logits(model, ids[rows]), right[rows], wrong[rows]).cpu())
    return torch.cat(found)
