"""Who makes an output, and who would agree with it by chance: against loops over cells and prefixes."""

import numpy as np
import pytest
import torch

from ffmem.analyses.contributors import EFFECTIVE, KINDS, Kind, Others, agreeing, by_chance, contributors


def made(gated: bool, seed: int, n: int = 9) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Coefficients, lengths and tops of 30 cells; few tokens, so that some agree."""
    generator = torch.Generator().manual_seed(seed)
    m = torch.randn(n, 30, generator=generator).exp() * torch.randn(n, 30, generator=generator).sign()
    m[:, ::4] = 0.0
    return (
        (m if gated else m.clamp(min=-0.1)),
        torch.rand(30, generator=generator) + 0.1,
        torch.randint(0, 12, (2, 30), generator=generator),
    )


def cells_of(kind: Kind, m: torch.Tensor, lengths: torch.Tensor, gated: bool) -> set[tuple[int, int]]:
    """(sign, cell) by what the words say."""
    sizes = [(abs(float(m[i])) * float(lengths[i]), i) for i in range(len(m))]
    order = [i for size, i in sorted(sizes, reverse=True) if size > 0]
    named = {
        "active": [i for i in range(len(m)) if m[i] > 0 or (gated and m[i] < 0)],
        "effective": [i for size, i in sizes if size > EFFECTIVE * max(sizes)[0]],
        "ten_strongest": order[:10],
        "strongest": order[:1],
    }[kind]
    return {(0 if m[i] > 0 else 1, i) for i in named}


def test_agreement_is_that_of_a_loop() -> None:
    for gated in (True, False):
        m, lengths, tops = made(gated, seed=1)
        masks = contributors(m, lengths, gated=gated)
        wanted = torch.randint(0, 12, (len(m),), generator=torch.Generator().manual_seed(2))
        found = agreeing(masks, tops, wanted)
        for kind in KINDS:
            expected = [
                any(int(tops[place]) == int(wanted[row]) for place in cells_of(kind, m[row], lengths, gated))
                for row in range(len(m))
            ]
            assert found[kind].tolist() == expected, kind
            assert sum(expected) > 0 or kind == "strongest"


def test_chance_is_the_share_of_other_documents() -> None:
    _, lengths, tops = made(True, seed=3, n=7)
    theirs, _, _ = made(True, seed=4, n=5)
    documents = torch.tensor([0, 0, 1, 1, 2, 9, 9])
    others = Others((contributors(theirs, lengths, gated=True),), torch.tensor([0, 1, 1, 2, 3]))
    wanted = torch.randint(0, 12, (7,), generator=torch.Generator().manual_seed(5))
    found = by_chance(others, 0, tops, wanted, documents)
    for kind in KINDS:
        pull = np.zeros(5)
        for row in range(7):
            elsewhere = [i for i in range(5) if int(others.documents[i]) != int(documents[row])]
            agree = [
                any(int(tops[place]) == int(wanted[row]) for place in cells_of(kind, theirs[i], lengths, True))
                for i in elsewhere
            ]
            assert found[kind].share[row] == np.float32(np.mean(agree)), kind
            pull[elsewhere] += (np.array(agree) - np.mean(agree)) / len(elsewhere)
        assert found[kind].pull.tolist() == pytest.approx(pull.tolist(), abs=1e-6), kind


def test_without_another_document_chance_is_unknown() -> None:
    m, lengths, tops = made(True, seed=6, n=2)
    others = Others((contributors(m, lengths, gated=True),), torch.tensor([4, 4]))
    found = by_chance(others, 0, tops, torch.tensor([1, 2]), torch.tensor([4, 5]))
    assert torch.isnan(found["active"].share).tolist() == [True, False]
