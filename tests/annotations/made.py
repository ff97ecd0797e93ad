"""Annotations made up by tests."""

from ffmem.annotations.protocol import CellAnnotation, Pattern, PatternClass, ShownCell, ShownTrigger
from ffmem.ids import CellId


def trigger(number: int, sentence: str | None = None) -> ShownTrigger:
    text = f"sentence {number}" if sentence is None else sentence
    return ShownTrigger(number, 1, text, f"{text} [x]")


def annotation(
    marks: list[set[int]],
    classes: dict[int, PatternClass],
    *,
    annotator: str = "ann",
    cell: str = "0.0",
    sentences: list[str] | None = None,
    batch: str = "batch-1",
) -> CellAnnotation:
    """Of a cell "layer.index": the pattern numbers of each trigger, and the class of each pattern."""
    layer, index = cell.split(".")
    triggers = tuple(trigger(i, None if sentences is None else sentences[i]) for i in range(len(marks)))
    return CellAnnotation(
        batch,
        annotator,
        ShownCell(CellId(int(layer), int(index)), 1, triggers),
        tuple(Pattern(number, f"pattern {number}", one) for number, one in classes.items()),
        tuple(map(frozenset, marks)),
    )


def table_3(**others: str) -> CellAnnotation:
    """The paper's Table 3: 18 triggers carry pattern 1, 3 both, 1 pattern 2, 3 none."""
    marks: list[set[int]] = [{1}] * 18 + [{1, 2}] * 3 + [{2}] + [set()] * 3
    return annotation(marks, {1: "shallow", 2: "semantic"}, cell="4.895", **others)
