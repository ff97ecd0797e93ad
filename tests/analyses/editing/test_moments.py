"""Second moments against sums by hand, and what is kept of them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ffmem import load_model
from ffmem.analyses.editing.moments import kept_moments, second_moments
from ffmem.analyses.editing.text import windows
from ffmem.corpus.documents import Document


@pytest.mark.parametrize("family", ["llama", "mixtral"])
def test_moments_are_sums_of_products_over_own_tokens(
    family: str, tiny_folder: Callable[[str], Path], editing_documents: list[Document]
) -> None:
    model = load_model(tiny_folder(family))
    text = windows(model, editing_documents, "own", n_tokens=60, length=16)
    found = second_moments(model, text, [1])[1]
    rows = []
    for one in text:
        with torch.no_grad(), model.watch_coefficients(lambda _, m: rows.append(m[0].clone()), layers=[1]):
            model.forward(torch.tensor([one.ids]))
        rows[-1] = rows[-1][one.first :]
    m = torch.cat(rows).double().numpy()
    by_hand = np.zeros((m.shape[1], m.shape[1]))
    for position in m:
        by_hand += np.outer(position, position)
    np.testing.assert_allclose(found.matrix.numpy(), by_hand / len(m), rtol=1e-9, atol=1e-12)
    assert found.n_positions == len(m)
    torch.linalg.cholesky(found.ready)  # also of cells that were never active


def test_kept_moments_are_read_again_and_made_again_where_damaged_or_of_something_else(
    tiny_folder: Callable[[str], Path], editing_documents: list[Document], tmp_path: Path
) -> None:
    model = load_model(tiny_folder("llama"))
    text = windows(model, editing_documents, "own", n_tokens=60, length=16)
    passes: list[int] = []

    def ask(some: object = text, places: tuple[int, ...] = (0, 1)) -> dict[int, object]:
        passes.clear()
        return kept_moments(tmp_path / "kept", model, some, places, passes.append)  # type: ignore[arg-type,return-value]

    first = ask()
    assert len(passes) == len(text)
    again = ask()
    assert not passes
    assert torch.equal(again[0].matrix, first[0].matrix)  # type: ignore[attr-defined]
    assert len(list((tmp_path / "kept").iterdir())) == 2
    ask(text[:2])
    assert len(passes) == 2
    next(iter((tmp_path / "kept").iterdir())).write_bytes(b"cut")
    ask()
    assert torch.equal(ask()[0].matrix, first[0].matrix)  # type: ignore[attr-defined]
