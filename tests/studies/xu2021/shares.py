"""Accuracies of a study that is made up."""

from collections.abc import Sequence

Shares = dict[str, dict[str, float]]


def shares(encoder: Sequence[float], decoder: Sequence[float], control: float = 0.12) -> Shares:
    """Of trained probes at each place; controls are as good as each other."""
    names = ["embeddings", *(f"L{number}" for number in range(9))]
    found: Shares = {"text": {"own": 0.7, "unigram": control}}
    for name, share in zip(names, encoder, strict=False):
        found[f"enc.{name}"] = {
            "trained": share,
            "norms": share,
            "identity": 0.1,
            "uniform": control,
            "shuffled": control,
        }
    for name, share in zip(names, decoder, strict=False):
        found[f"dec.{name}"] = {"trained": share, "identity": share / 2}
    return found
