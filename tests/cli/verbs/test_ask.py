"""The verbs that ask all cells of an index at once, as a user runs them."""

import json
from collections.abc import Callable
from pathlib import Path

from ffmem import Index
from tests.fixtures.programs import ffmem


def test_questions_to_all_cells(index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]) -> None:
    folder = index_of("llama").folder
    found = json.loads(ffmem("search", folder, "silver", "--cells", "--limit", 3, "--json")[0])
    assert len(found["hits"]) == 3 < found["n_matches"] and found["hits"][0]["cells"] is not None
    assert "[silver]" in ffmem("search", folder, "silver")[0]
    assert "sentences searched match" in ffmem("search", folder, "s.l+ver$", "--regex", "--time-limit", 5)[0]
    assert "both --regex and --raw are given" in ffmem("search", folder, "x", "--regex", "--raw", expect=2)[1]
    assert "is not understood" in ffmem("search", folder, "x AND", "--raw", expect=2)[1]
    shown = ffmem("search", folder, "ilver ", "--literal")[0]
    assert "s[ilver ]" in shown and "searched for exactly as written, within words too." in shown
    assert "sentences searched match, searched for as whole words" in ffmem("search", folder, "silver")[0]

    rows = json.loads(ffmem("promotes", folder, " the", "--model", tiny_folder("llama"), "--json")[0])["rows"]
    assert [row["logit"] for row in rows] == sorted((row["logit"] for row in rows), reverse=True)
    assert all(row["true_rank"] is not None for row in rows)
    assert "among the tokens that they suppress most" in ffmem("promotes", folder, " the", "--suppressed")[0]
    assert "is not one token" in ffmem("promotes", folder, "the river", expect=2)[1]

    command = ("find", folder, "--trigger", "silver", "--fires-on", " the", "--layer", "1:", "--limit", 2)
    rows = json.loads(ffmem(*command, "--json")[0])["rows"]
    assert len(rows) == 2 and all(t["tokens"][t["position"]] == " the" for row in rows for t in row["triggers"])
    assert "cells found" in ffmem(*command)[0]
    assert ffmem("similar", folder, "L1.5", "--by", "value", "--model", tiny_folder("llama"))[0].count("L") > 10
    assert len(json.loads(ffmem("similar", folder, "L1.5", "--limit", 4, "--json")[0])["rows"]) == 4
    assert "mean overlap of triggers: 1.0000" in ffmem("diff", folder, folder, "--layer", ":2")[0]
    assert "different shapes" in ffmem("diff", folder, index_of("gpt2").folder, expect=2)[1]
