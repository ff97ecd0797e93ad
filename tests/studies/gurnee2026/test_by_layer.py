"""The one table against the results that it is made of."""

from ffmem.studies.gurnee2026.by_layer import CHAPTER
from ffmem.studies.gurnee2026.states import states
from ffmem.studies.results import Results
from ffmem.studies.runner import findings_of


def test_every_layer_and_measure_has_a_row_with_all_lenses(read: Results) -> None:
    findings = findings_of(read)
    (exhibit,) = CHAPTER.exhibits
    verdicts, full = exhibit.tables(findings)
    layers = [one.layer for one in states(findings).readings.layers]
    assert [row["layer"] for row in verdicts.rows] == layers and len(full.rows) == 10 * len(layers)
    found = {(row["layer"], row["measured"]): row for row in full.rows}
    for number, layer in enumerate(layers):
        row = found[layer, "state: top token is the model's own"]
        by = states(findings).readings.layers[number].by["same"]
        assert row["Jacobian"] == by["jacobian"].value and row["raw"] == by["raw"].value
        assert row["Jacobian is"] == verdicts.rows[number]["state: top token is the model's own"]
        assert found[layer, "value: top token follows the best trigger"]["Jacobian about the means"] is None


def test_the_reading_counts_what_the_table_says(read: Results) -> None:
    findings = findings_of(read)
    (exhibit,) = CHAPTER.exhibits
    verdicts, _ = exhibit.tables(findings)
    words = [word for row in verdicts.rows[:-1] for title, word in row.items() if title != "layer"]
    assert f"better in {words.count('better'):,}, worse in {words.count('worse'):,}" in exhibit.reading(findings)
