"""Questions to an index of some cells: as to one of all, with the others left out."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import ffmem
from ffmem import Index, InputError
from ffmem.analyses.activation import activate
from ffmem.analyses.agreement import measure_agreement
from ffmem.analyses.attention.one_map import one_map
from ffmem.analyses.explain import explain
from ffmem.analyses.token_coefficients import token_coefficients
from ffmem.models.transformer import Transformer
from ffmem.queries.diff import diff
from ffmem.queries.export import export
from ffmem.queries.find import find
from ffmem.queries.highlights import highlights
from ffmem.queries.look_up import info
from ffmem.queries.names import places
from ffmem.queries.overview import overview
from ffmem.queries.promotes import promotes
from ffmem.queries.search import search
from ffmem.queries.similar import similar
from ffmem.queries.sql import query
from ffmem.queries.table import cells
from ffmem.render import info as shown_info
from ffmem.store.keys import NO_TOKEN
from ffmem.studies.geva2021.study import reproduce

SOME = {"gpt2": "L2,L0.5-9,L0.11", "mixtral": "L1:10%,L2.0-3", "llama": "L0.3-20,L2:50%"}
FAMILIES = tuple(SOME)
Pair = tuple[Index, Index]


@pytest.fixture(params=FAMILIES)
def pair(
    request: pytest.FixtureRequest,
    index_of: Callable[[str], Index],
    sparse_index_of: Callable[[str, str], Index],
) -> Pair:
    """The index of all cells of a model, and one of some."""
    return index_of(request.param), sparse_index_of(request.param, SOME[request.param])


@pytest.fixture
def model(pair: Pair, tiny_folder: Callable[[str], Path]) -> Transformer:
    return ffmem.load_model(tiny_folder(Path(pair[0].manifest.identity.model.source).name))


def test_a_cell_is_what_it_is_among_all(pair: Pair) -> None:
    whole, some = pair
    for place, layer in enumerate(some.cells.layers):
        for row in range(0, layer.n_cells, 7):
            cell = str(some.cells.cell_id(place, row))
            found, expected = some[cell], whole[cell]
            assert found.triggers == expected.triggers and found.statistics == expected.statistics
            assert [one.token for one in found.promoted] == [one.token for one in expected.promoted]
    missing = "L1.0" if "L1" not in [one.name for one in some.cells.layers] else "L1.e0.47"
    if whole.cells.parse(missing) not in some.cells:
        with pytest.raises(InputError, match="is not in this index"):
            some[missing]


def test_tables_and_searches_are_those_of_all_less_the_others(pair: Pair) -> None:
    whole, some = pair
    here = {str(one.cell) for one in cells(some, limit=10**6)}
    assert len(here) == some.n_cells
    everything = cells(whole, sort="max", limit=10**6)
    assert [str(one.cell) for one in cells(some, sort="max", limit=10**6)] == [
        str(one.cell) for one in everything if str(one.cell) in here
    ]
    sentence = int(whole.text.sentence_of(np.asarray(some.layer(0).trigger_token)[:1, 0, 0])[0])
    hits = [one for one in whole.cells_of_sentence(sentence) if str(one.cell) in here]
    assert list(some.cells_of_sentence(sentence)) == hits and hits
    words = whole.text.sentence(sentence).text.split()[0]
    found = search(some, words, with_cells=True, limit=1000)
    expected = search(whole, words, with_cells=True, limit=1000)
    assert [one.sentence_id for one in found.hits] == [one.sentence_id for one in expected.hits]
    for one, other in zip(found.hits, expected.hits, strict=True):
        assert one.cells is not None and other.cells is not None
        assert list(one.cells) == [hit for hit in other.cells if str(hit.cell) in here]
    rows = find(some, trigger=words, limit=10**6).rows
    assert {str(one.cell) for one in rows} == {
        str(one.cell) for one in find(whole, trigger=words, limit=10**6).rows
    } & here
    for layer in overview(some):
        assert layer.n_cells == sum(one.startswith(f"{layer.layer}.") for one in here)
    assert all(str(one.cell.cell) in here for one in highlights(some))


def test_promotes_and_similar_know_the_rows_of_the_model(pair: Pair, model: Transformer) -> None:
    whole, some = pair
    here = {str(one.cell) for one in cells(some, limit=10**6)}
    token = "id:300"
    for with_model in (None, model):
        found = promotes(some, token, limit=10**6, model=with_model).rows
        expected = promotes(whole, token, limit=10**6, model=with_model).rows
        wanted = {str(one.cell): one for one in expected if str(one.cell) in here}
        assert {str(one.cell) for one in found} == wanted.keys()
        for one in found:
            other = wanted[str(one.cell)]
            assert one.true_rank == other.true_rank and one.logit == pytest.approx(other.logit, rel=1e-4, abs=1e-5)
    cell = str(some.cells.cell_id(some.n_layers - 1, 0))
    vectors = ("value", "up-key", "gate-key") if some.n_signs == 2 else ("value", "key")
    for by in ("triggers", "promoted", *vectors):
        own = similar(some, cell, by=by, limit=10**6, model=model)  # type: ignore[arg-type]
        all_of_them = similar(whole, cell, by=by, limit=10**6, model=model)  # type: ignore[arg-type]
        wanted_likeness = {str(one.cell): one.similarity for one in all_of_them.rows if str(one.cell) in here}
        found_likeness = {str(one.cell): one.similarity for one in own.rows}
        assert found_likeness.keys() == wanted_likeness.keys() and found_likeness
        assert found_likeness == pytest.approx(wanted_likeness, rel=1e-4, abs=1e-5)


def test_a_text_is_read_by_the_whole_model(pair: Pair, model: Transformer) -> None:
    whole, some = pair
    text = "the river and the old village"
    known = 0
    by_whole, by_some = (activate(model, text, index=one, limit=200) for one in (whole, some))
    for one, other in zip(by_whole.tokens, by_some.tokens, strict=True):
        for full, part in zip(one.cells, other.cells, strict=True):
            assert (full.cell, full.coefficient, full.norm) == (part.cell, part.coefficient, part.norm)
            if full.cell in some.cells:
                assert part == full
                known += 1
            else:
                assert (part.share, part.rank, part.trigger, part.promoted) == (None, None, None, ())
    assert known
    shares = activate(model, text, index=some, by="share", limit=3)
    assert all(cell.cell in some.cells and cell.share for token in shares.tokens for cell in token.cells)
    one = explain(model, text, index=some, limit=200).cells
    other = explain(model, text, index=whole, limit=200).cells
    assert [(cell.cell.cell, cell.share) for cell in one] == [(cell.cell.cell, cell.share) for cell in other]
    maps = [one_map(model, text, index=index, limit=40) for index in (some, whole)]
    for ours, theirs in zip(maps[0].layers, maps[1].layers, strict=True):
        for memory, expected in zip(ours.memories, theirs.memories, strict=True):
            assert memory.cell.cell == expected.cell.cell and memory.addition == expected.addition
            assert memory.cell == expected.cell or memory.cell.cell not in some.cells


def test_coefficients_at_every_token_are_those_of_the_cell(pair: Pair, model: Transformer) -> None:
    _, some = pair
    place = some.n_layers - 1
    row = int(np.asarray(some.layer(place).maximum).argmax())
    cell = some.cells.cell_id(place, row)
    first = some[cell].triggers[0]
    found = token_coefficients(model, some, cell, [first.sentence_id])
    assert found[first.sentence_id][first.position] == pytest.approx(first.coefficient, rel=1e-4)


def test_layers_are_named_by_their_place_in_the_model(sparse_index_of: Callable[[str, str], Index]) -> None:
    some = sparse_index_of("gpt2", SOME["gpt2"])
    assert [one.name for one in some.cells.layers] == ["L0", "L2"]
    assert places(some, "2") == places(some, "L2") == range(1, 2) and places(some, 0) == range(1)
    assert places(some, "1:") == range(1, 2) and places(some, ":2") == range(1) and places(some, "0:3") == range(2)
    assert {one.cell.layer for one in cells(some, layer="2", limit=1000)} == {2}
    for text in ("1", "L1"):
        with pytest.raises(InputError, match=r"layer L1 is not in this index.*Expected one of L0, L2\. Build an index"):
            places(some, text)
    with pytest.raises(InputError, match=r"no layer of 1:2 is in this index"):
        places(some, "1:2")
    with pytest.raises(InputError, match=r"does not exist: this model has 3 layers of 48 cells"):
        places(some, "L3")


def test_tables_for_sql_have_the_ids(pair: Pair, tmp_path: Path) -> None:
    pytest.importorskip("duckdb", reason="the extra sql is not installed")
    some = pair[1]
    here = {str(one.cell) for one in cells(some, limit=10**6)}
    columns = "cell, layer, expert, index, n_tokens, n_active, mean, maximum"
    expected, found = (
        {row[0]: row for row in query(one, f"select {columns} from cells", limit=10**6).rows} for one in pair
    )
    assert found == {cell: row for cell, row in expected.items() if cell in here}
    sizes = query(some, "select name, d_ff, n_cells from layers").rows
    assert [(name, n) for name, _, n in sizes] == [(one.name, one.n_cells) for one in some.cells.layers]
    assert {d_ff for _, d_ff, _ in sizes} == {48}
    counted = dict(query(some, "select cell, count(*) from triggers group by cell", limit=10**6).rows)
    tokens = [np.asarray(some.layer(place).trigger_token) for place in range(some.n_layers)]
    assert sum(counted.values()) == sum(int((one != NO_TOKEN).sum()) for one in tokens)
    pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
    import pyarrow.parquet as pq

    export(some, tmp_path / "tables")
    files = sorted((tmp_path / "tables").rglob("*cells*.parquet"))
    written = [cell for file in files for cell in pq.read_table(file)["cell"].to_pylist()]
    assert set(written) == here and len(written) == len(here)


def test_only_indexes_of_the_same_cells_are_compared(
    index_of: Callable[[str], Index], sparse_index_of: Callable[[str, str], Index]
) -> None:
    some, whole = sparse_index_of("gpt2", SOME["gpt2"]), index_of("gpt2")
    same = diff(some, some, limit=1000)
    assert len(same.rows) == some.n_cells and same.mean_overlap == pytest.approx(1.0)
    with pytest.raises(InputError, match=r"different cells of their models: .*all 48 cells in L2.*has 3 layers of 48"):
        diff(some, whole)


def test_what_needs_all_cells_says_so(
    sparse_index_of: Callable[[str, str], Index], tiny_folder: Callable[[str], Path]
) -> None:
    some = sparse_index_of("llama", SOME["llama"])
    message = r"needs all cells of the model, and .* has 42 of 144: .*Build one without --cells"
    with pytest.raises(InputError, match=message):
        reproduce(some)
    with pytest.raises(InputError, match=message):
        measure_agreement(some, ffmem.load_model(tiny_folder("llama")), "raw")


def test_info_says_what_there_is(sparse_index_of: Callable[[str, str], Index]) -> None:
    some = sparse_index_of("llama", "10%,L1.0-7,L2.47")
    found = info(some)
    json.dumps(found)
    assert (found["n_cells"], found["n_model_cells"]) == (some.n_cells, 144)
    assert f"cells        {some.n_cells} of 144: 5 of 48 cells in L0" in shown_info(some)
    assert "cells 10%,L1.0-7,L2.47" in shown_info(some)
