"""What the experiment writes: a result, and a table for each layer."""

import csv

from ffmem.studies.geva2021.pattern_results import PatternsResult
from tests.studies.conftest import Story


def test_cells_with_patterns_are_those_of_the_tables(story: Story) -> None:
    result = story.findings.get("patterns", PatternsResult)
    for layer in result.layers:
        with (story.results.folder / "patterns" / f"{layer.layer}.csv").open() as file:
            rows = [row for row in csv.DictReader(file) if row["accepted"] == "True"]
        units = {(row["cell"], row["sign"]) for row in rows}
        assert len(units) == round(layer.units_with_pattern.value * layer.n_units)
        for kind, rate in layer.units_with_kind.items():
            having = {(row["cell"], row["sign"]) for row in rows if row["kind"] == kind}
            assert len(having) == round(rate.value * layer.n_units)


def test_what_was_asked_for_was_measured(story: Story) -> None:
    result, options = story.findings.get("patterns", PatternsResult), story.findings.header["options"]
    assert result.scores is not None and result.scores.n_prefixes == options["scored_positions"]
    assert [layer.layer for layer in result.layers] == [layer.name for layer in story.index.cells.layers]
    assert result.likeness is not None and len(result.likeness.layers) == story.index.n_layers
