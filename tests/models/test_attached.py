"""What is written and what lies in files -> a model with dictionaries."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ffmem import InputError, load_model
from ffmem.dictionaries import Attachment
from ffmem.models.attached import attach, attach_indexed, identities_of
from tests.families import D_MODEL, N_LAYERS
from tests.models.dictionaries.making import gemma_scope, mirror, saelens

HOOK = {"architecture": "topk", "k": 2, "hook_name": "blocks.0.hook_mlp_out", "rescale_acts_by_decoder_norm": True}


def test_rescaled_keys_give_the_same_sum_over_values_of_length_1(
    tiny_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    arrays, x = mirror(D_MODEL), torch.randn(5, D_MODEL)
    arrays |= {
        "W_dec": arrays["W_dec"] * torch.linspace(0.5, 3, 2 * D_MODEL)[:, None],
        "b_enc": torch.full((2 * D_MODEL,), 0.1),
    }
    model = load_model(str(tiny_folder("gpt2")))
    attach(model, [Attachment.parse(f"L0=aa:{saelens(tmp_path / 'a', HOOK, **arrays)}")])
    (found,) = model.dictionaries
    norms = arrays["W_dec"].norm(dim=1)
    products = (x @ arrays["W_enc"] + arrays["b_enc"]) * norms
    kept = torch.where(products >= products.topk(2).values[:, -1:], products.relu(), 0.0)
    torch.testing.assert_close(found.coefficients(x), kept)
    torch.testing.assert_close(found.reconstruct(kept, x), (kept / norms) @ arrays["W_dec"])
    assert str(model.all_cells.cell_id(N_LAYERS, 7)) == "L0.aa.7" and len(model.cells.layers) == N_LAYERS
    torch.testing.assert_close(model.value_rows(N_LAYERS).norm(dim=1), torch.ones(2 * D_MODEL))


def test_what_does_not_fit_the_model_is_refused(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    model = load_model(str(tiny_folder("gpt2")))
    wide = saelens(tmp_path / "wide", HOOK, **mirror(D_MODEL + 1))
    with pytest.raises(InputError, match=rf"L0\.aa reads states of {D_MODEL + 1} numbers, and the stream .* {D_MODEL}"):
        attach(model, [Attachment.parse(f"L0=aa:{wide}")])
    with pytest.raises(InputError, match="layer L7 does not exist"):
        attach(model, [Attachment.parse(f"L7=aa:{wide}")])
    flat = mirror(D_MODEL) | {"W_dec": torch.zeros(2 * D_MODEL, D_MODEL)}
    with pytest.raises(InputError, match="has a value of zeros"):
        attach(model, [Attachment.parse(f"L0=aa:{saelens(tmp_path / 'flat', HOOK, **flat)}")])


def test_an_indexed_dictionary_must_have_the_same_arrays(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    model, threshold = load_model(str(tiny_folder("gpt2"))), torch.zeros(2 * D_MODEL)
    told = [Attachment.parse(f"L1=aa@update:{gemma_scope(tmp_path, **mirror(D_MODEL), threshold=threshold)}")]
    attach(model, told)
    facts, before = [one.facts for one in model.dictionaries], identities_of(model)
    gemma_scope(tmp_path, **mirror(D_MODEL), threshold=threshold + 1)
    attach_indexed(model, told, facts)  # it has them
    attach(model, [])
    with pytest.raises(InputError, match=r"L1\.aa has other arrays or fields than the one that was indexed"):
        attach_indexed(model, told, facts)
    assert identities_of(model) != before and list(before) == ["dictionary L1.aa"]
