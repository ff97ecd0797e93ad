"""Dictionaries in an index: each list is what a plain pass of the Hugging Face model and a loop over its tokens give."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

import ffmem
from ffmem import Index, IndexOptions, InputError, render
from ffmem.analyses.activation import activate
from ffmem.analyses.explain import explain
from ffmem.index.indexed_model import load_indexed_model
from ffmem.index.merge import merge_indexes
from ffmem.index.verification.verify import verify_index
from ffmem.models.transformer import Transformer
from ffmem.store.keys import NO_TOKEN
from tests.families import D_MODEL
from tests.fixtures.corpora import write_corpus
from tests.fixtures.indexes import IN_PROCESS


@pytest.fixture
def index(dictionary_index: Index) -> Index:
    return dictionary_index


@pytest.fixture
def folders(dictionary_folders: dict[str, Path]) -> dict[str, Path]:
    return dictionary_folders


def _states(opt: nn.Module, ids: list[int]) -> dict[str, Tensor]:
    """What each dictionary reads at the tokens of a sentence, BOS taken off."""
    seen: dict[str, Tensor] = {}
    layers = opt.model.decoder.layers
    handles = [
        layers[1].fc1.register_forward_pre_hook(lambda _, given: seen.update(x=given[0].reshape(len(ids), -1))),
        layers[1].register_forward_hook(lambda _, __, output: seen.update(o=_first(output).reshape(len(ids), -1))),
        layers[0].fc2.register_forward_hook(lambda _, __, output: seen.update(y=output.reshape(len(ids), -1))),
    ]
    with torch.no_grad():
        opt(torch.tensor([ids]))
    for handle in handles:
        handle.remove()
    return {name: states[1:].double() for name, states in seen.items()}


def _first(output: Tensor | tuple[Tensor, ...]) -> Tensor:
    return output if isinstance(output, Tensor) else output[0]


def _coefficients(states: dict[str, Tensor]) -> dict[str, Tensor]:
    """By the definition of each architecture, position by position."""
    both = lambda x: torch.cat([x, -x], -1)  # noqa: E731
    x, o, y = states["x"], states["o"], states["y"]
    top = torch.zeros_like(both(x))
    for position, products in enumerate(both(x)):
        for cell in sorted(range(len(products)), key=lambda cell: -float(products[cell]))[:20]:
            top[position, cell] = max(float(products[cell]), 0.0)
    return {
        "L1.top": top,
        "L1.stream": both(o - 0.25).clamp(min=0),
        "L0.jump": torch.where(both(y) > 0.5, both(y), 0.0),
    }


def test_lists_are_those_of_a_plain_loop(index: Index, opt: nn.Module) -> None:
    best: dict[str, list[np.ndarray]] = {"L1.top": [], "L1.stream": [], "L0.jump": []}
    for sentence in range(index.text.n_sentences):
        ids = [opt.config.bos_token_id, *index.text.sentence(sentence).token_ids.tolist()]
        for name, m in _coefficients(_states(opt, ids)).items():
            best[name].append(m.max(0).values.numpy())
    for name, rows in best.items():
        place = index.cells.parse_layer(name)
        stored = index.layer(place).trigger_coefficient[:, 0]
        expected = -np.sort(-np.stack(rows, 1), axis=1)[:, : index.top]
        np.testing.assert_allclose(stored, expected, rtol=1e-4, atol=1e-5)
        assert (index.layer(place).trigger_token[:, 0] == NO_TOKEN).sum() == (expected == 0).sum()


def test_the_layers_own_cells_as_a_transcoder_are_the_same_cells(index: Index) -> None:
    own, same = index.cells.parse_layer("L1"), index.cells.parse_layer("L1.own")
    for name in ("trigger_token", "promoted_ids", "n_active"):
        np.testing.assert_array_equal(getattr(index.layer(own), name), getattr(index.layer(same), name))
    np.testing.assert_allclose(
        index.layer(own).trigger_coefficient, index.layer(same).trigger_coefficient, rtol=1e-5, atol=1e-6
    )
    cell = index.cell("l1.OWN.3")
    assert str(cell.cell) == "L1.own.3"
    assert [one.text for one in cell.triggers] == [one.text for one in index.cell("L1.3").triggers]


def test_the_rest_of_the_index_is_as_without_dictionaries(
    index: Index, tiny_folder: Callable[[str], Path], corpus: Path, tmp_path: Path
) -> None:
    options = replace(index.manifest.options, dictionary=())
    plain = ffmem.build_index(tiny_folder("opt"), corpus, tmp_path / "plain", options=options, run=IN_PROCESS)
    for file in (plain.folder / "index/layers").iterdir():
        assert (index.folder / "index/layers" / file.name).read_bytes() == file.read_bytes()
    assert index.without_dictionaries().cells.layers == plain.cells.layers
    assert "dictionar" not in (plain.folder / "manifest.json").read_text()


def test_the_certificate_tells_how_well_each_reconstructs(index: Index) -> None:
    found = index.manifest.certificate.json["dictionaries"]
    assert list(found) == ["L0.jump", "L1.own", "L1.stream", "L1.top"]
    assert found["L1.own"]["unexplained"] < 1e-9 and found["L1.stream"]["unexplained"] < 1e-9
    assert 0.01 < found["L1.top"]["normalised_mse"] < 1 and found["L1.top"]["n_active"] == 20
    assert found["L1.own"]["reads"] == "mlp-input" and found["L1.own"]["writes"] == "update"
    told = [line for line in render.info(index).splitlines() if line.startswith("dictionary")]
    assert told[1].startswith("dictionary   L1.own: transcoder (relu) of ") and "L0.jump: jumprelu" in told[0]


def test_promoted_tokens_are_those_of_what_reaches_the_stream(
    gated_dictionary_index: Index, tiny_folder: Callable[[str], Path]
) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_folder("gemma2"))
    gains = [1 + one.weight.detach() for one in (model.model.norm, model.model.layers[1].post_feedforward_layernorm)]
    unembedding, both = model.lm_head.weight.detach(), torch.cat([torch.eye(D_MODEL), -torch.eye(D_MODEL)])
    for name, values in (("L1.added", both), ("L1.before", both * gains[1])):
        arrays = gated_dictionary_index.layer(gated_dictionary_index.cells.parse_layer(name))
        best = ((values * gains[0]) @ unembedding.T).topk(5).values
        np.testing.assert_allclose(arrays.promoted_scores[:, :5], best, rtol=1e-4, atol=1e-5)


def test_dictionaries_are_merged_by_name_whatever_the_order_they_were_given_in(
    index: Index, folders: dict[str, Path], tiny_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    told = (f"L1=top:{folders['top']}", f"L0=jump@update:{folders['gemma']}")
    options = replace(index.manifest.options, cells="L0.0", max_tokens=300, dictionary=told)
    parts = []
    for number, order in enumerate((told, told[::-1])):
        text = write_corpus(tmp_path / f"{number}.txt", 12, seed=number)
        chosen = replace(options, dictionary=order)
        parts.append(
            ffmem.build_index(tiny_folder("opt"), text, tmp_path / str(number), options=chosen, run=IN_PROCESS)
        )
    merged = merge_indexes(*(one.folder for one in parts), out=tmp_path / "both")
    for name in ("L0.jump", "L1.top"):
        lists = [one.layer(one.cells.parse_layer(name)).trigger_coefficient[:, 0] for one in (*parts, merged)]
        expected = -np.sort(-np.concatenate(lists[:2], axis=1), axis=1)[:, : merged.top]
        np.testing.assert_array_equal(lists[2], expected)


def test_an_index_of_some_cells_is_left_with_its_own(index: Index) -> None:
    some = index.without_dictionaries()
    assert [one.name for one in some.cells.layers] == ["L0", "L1"] and some.n_cells == sum(
        one.n_cells for one in index.cells.layers if not one.dictionary
    )
    assert some.cell("L1.3") == index.cell("L1.3")
    with pytest.raises(InputError, match=r"cell L1\.top\.3 is of a dictionary, and here cells are the model's own"):
        some.cell("L1.top.3")


def test_files_that_are_gone_are_named(index: Index, folders: dict[str, Path], tmp_path: Path) -> None:
    copy = tmp_path / "gemma"
    shutil.copytree(folders["gemma"], copy)
    told = (f"L0=jump@update:{copy}",)
    options = replace(index.manifest.options, cells="L0.0", max_tokens=300, dictionary=told)
    text = write_corpus(tmp_path / "text.txt", 12)
    built = ffmem.build_index(
        index.manifest.identity.model.source, text, tmp_path / "i", options=options, run=IN_PROCESS
    )
    copy.rename(tmp_path / "elsewhere")
    assert built.cell("L0.jump.1").triggers
    with pytest.raises(InputError, match=r"the index has the dictionary L0\.jump of .*/gemma, and nothing is there"):
        load_indexed_model(built)
    with pytest.raises(InputError, match="there is no dictionary at"):
        ffmem.build_index(index.manifest.identity.model.source, text, tmp_path / "j", options=options, run=IN_PROCESS)


def test_an_index_with_dictionaries_is_verified_and_its_models_cells_are_activated(index: Index) -> None:
    found = verify_index(index, seed=1)
    assert found.problems == () and found.same_bytes
    model = load_indexed_model(index)
    text = index.text.sentence(0).text
    shown = activate(model, text, index=index, layer="L1.own", limit=3, by="coefficient")
    plain = activate(model, text, index=index, layer="L1", limit=3, by="coefficient")
    assert [[one.cell.index for one in token.cells] for token in shown.tokens] == [
        [one.cell.index for one in token.cells] for token in plain.tokens
    ]
    assert all(one.cell.dictionary == "own" for token in shown.tokens for one in token.cells)


def test_an_update_is_explained_once_more_by_each_dictionary_of_it(index: Index) -> None:
    model = load_indexed_model(index)
    text = index.text.sentence(1).text[:40]
    found = explain(model, text, index=index, limit=4)
    jump, own = found.dictionaries
    layer = next(one for one in found.layers if one.layer == "L1")
    assert own.dictionary == "L1.own" and jump.dictionary == "L0.jump"
    assert own.update == pytest.approx(layer.cells + layer.bias, abs=1e-5)
    assert (own.cells, own.bias) == pytest.approx((layer.cells, layer.bias), abs=1e-5) and abs(own.left_over) < 1e-5
    assert jump.cells + jump.bias + jump.left_over == pytest.approx(jump.update, abs=1e-9) and jump.unexplained > 0.01
    of_layer = {one.cell.cell.index: one.share for one in found.cells if one.cell.cell.layer == 1}
    for one in own.largest:
        if one.cell.cell.index in of_layer:
            assert one.share == pytest.approx(of_layer[one.cell.cell.index], abs=1e-5)
    assert "left over" in render.explanation(found) and len(found.to_json()["dictionaries"]) == 2
    assert "dictionaries" not in explain(model_without(model), text, limit=4).to_json()


def model_without(model: Transformer) -> Transformer:
    model.attach(())
    return model


def test_a_resumed_command_finds_it_and_other_arrays_are_another_index(
    index: Index, folders: dict[str, Path], tiny_folder: Callable[[str], Path], corpus: Path, tmp_path: Path
) -> None:
    again = ffmem.build_index(tiny_folder("opt"), corpus, index.folder, options=index.manifest.options, run=IN_PROCESS)
    assert again.manifest.json == index.manifest.json
    told = tuple(one.replace(str(folders["stream"]), str(folders["top"])) for one in index.manifest.options.dictionary)
    with pytest.raises(InputError, match=r"holds an index of something else: model\.dictionary L1\.stream"):
        ffmem.build_index(
            tiny_folder("opt"), corpus, index.folder, options=replace(index.manifest.options, dictionary=told),
            run=IN_PROCESS,
        )  # fmt: skip


def test_a_dictionary_that_does_not_fit_is_refused(
    folders: dict[str, Path],
    tiny_folder: Callable[[str], Path],
    corpus: Path,
    tmp_path: Path,
    small_options: IndexOptions,
) -> None:
    mine = replace(small_options, max_tokens=500)
    for told, match in (
        ("L9=own:" + str(folders["own"]), "layer L9 does not exist"),
        ("L0=own:" + str(folders["own"]), "hook_name 'blocks.1.mlp.hook_in', and --dictionary gives it to L0"),
        ("L1=own@resid-post:" + str(folders["own"]), "does not fit .*: reading resid-post, it leaves .* unexplained"),
        ("L1=gs:" + str(folders["gemma"]), "nothing in .* says what this dictionary reads"),
    ):
        with pytest.raises(InputError, match=match):
            ffmem.build_index(
                tiny_folder("opt"), corpus, tmp_path / "out", options=replace(mine, dictionary=(told,)), run=IN_PROCESS
            )
        assert not (tmp_path / "out").exists()
