"""Commands that find circuits: the attribution graph of a prediction, and pairs of prompts to try circuits on."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ffmem import render
from ffmem.analyses.circuit.graph import MOST_EDGES, MOST_NODES, THRESHOLD
from ffmem.analyses.circuit.graph import circuit as graph_of
from ffmem.analyses.circuit.graph_parts import Heads, Rule
from ffmem.analyses.circuit.pairs import Aligned, align, read_pairs
from ffmem.analyses.circuit.tasks import TaskName, make_pairs, task_names
from ffmem.cli.app import FLAT, Json, Some, as_json, show
from ffmem.cli.options import KnownFrom, KnownModel, ModelOptions
from ffmem.errors import InputError
from ffmem.json_values import json_text
from ffmem.render.circuit_json import viewer_graph
from ffmem.render.circuit_page import circuit_page
from ffmem.render.circuit_svg import circuit_svg
from ffmem.render.flow_svg import as_file
from ffmem.store.files import atomic_write

if TYPE_CHECKING:
    from ffmem.analyses.circuit.graph_parts import Circuit
    from ffmem.models.transformer import Transformer

_FORMS = (".json", ".html", ".svg")


def circuit(
    model: KnownModel,
    text: Annotated[str | None, Parameter(help="Words in quotes; none with --task.")] = None,
    /,
    *,
    target: str | None = None,
    against: str | None = None,
    rule: Rule = "relp",
    heads: Heads = "whole",
    threshold: float = THRESHOLD,
    nodes: Some = MOST_NODES,
    edges: Some = MOST_EDGES,
    task: str | None = None,
    pairs: Some = 20,
    seed: int = 0,
    index: KnownFrom = None,
    out: Path | None = None,
    options: Annotated[ModelOptions, FLAT] = ModelOptions(),  # noqa: B008 (frozen)
    json: Json = False,
) -> None:
    """Find what carries a prediction through all layers: the graph of its cells, heads and tokens, as text, page or JSON.

    With --task: pairs of prompts that differ in one word, and how many of them the model gets right; `ffmem study arora2026`
    finds the cells that carry those.

    Parameters
    ----------
    target
        The token to explain, exactly one, spaces included: " Paris". By default the model's own prediction.
    against
        A second token: then the score is the difference of the two.
    rule
        How nodes are chosen: relp (relevance: attention weights, norm scales and gates held) or ig (integrated gradients).
    heads
        A node for each head and token (whole), for each token that it read there (by-source), or none, edges going through.
    threshold
        Nodes with less of the score, in size, are left out, and edges with less of their node.
    nodes
        At most so many nodes, the largest first.
    edges
        At most so many edges, the largest first.
    task
        agreement, induction, greater-than, capitals, or a file of pairs, instead of a text.
    pairs
        Pairs of each template that are made for a task.
    seed
        Seed of the pairs.
    out
        Write the graph as a viewer's JSON (.json), a page (.html) or a picture (.svg); of a task its pairs (.jsonl).
    """
    opened, loaded = options.load_known(model, index)
    if task is not None:
        _show_task(loaded, _task_of(task, text), pairs, seed, out, json)
        return
    text = _checked(text, out)
    found = graph_of(
        loaded, text, target=target, against=against, rule=rule, heads=heads, threshold=threshold, most_nodes=nodes,
        most_edges=edges, index=opened,
    )  # fmt: skip
    if out is not None:
        atomic_write(out, _content(found, out.suffix))
    show(found if json else render.circuit(found) + (f"\nwritten: {out}" if out else ""))


def _checked(text: str | None, out: Path | None) -> str:
    """The text of a graph, and that it can be written where it is to be."""
    if text is None:
        raise InputError(
            "there is neither a text nor a task", "Expected a text, or --task", 'Write: ffmem circuit MODEL "The keys"'
        )
    if out is not None and out.suffix not in _FORMS:
        raise InputError(
            f"--out is {out}", f"Expected a name that ends with {' or '.join(_FORMS)}", "Write --out graph.json"
        )
    return text


def _content(found: "Circuit", suffix: str) -> bytes:
    if suffix == ".json":
        return f"{as_json(viewer_graph(found))}\n".encode()
    return as_file(circuit_svg(found) if suffix == ".svg" else circuit_page(found))


def _task_of(task: str, text: str | None) -> TaskName | Path:
    if text is not None:
        raise InputError("there are both a text and a task", "Expected one of them", "Leave the text or --task out")
    for name in task_names():
        if name == task:
            return name
    if not Path(task).is_file():
        raise InputError(
            f"there is no task {task!r}, nor a file of that name",
            f"Expected one of: {', '.join(task_names())}; or a file of pairs",
            "Write --task agreement",
        )
    return Path(task)


def _show_task(model: "Transformer", task: TaskName | Path, n: int, seed: int, out: Path | None, json: bool) -> None:
    if out is not None and out.suffix != ".jsonl":
        raise InputError(f"--out is {out}", "Expected a name that ends with .jsonl", "Write --out pairs.jsonl")
    made = read_pairs(task) if isinstance(task, Path) else make_pairs(model, task, n, seed=seed)
    found = align(model, made)
    if out is not None:
        kept = [pair for group in found.groups for pair in group.pairs]
        atomic_write(out, "".join(f"{json_text(one)}\n" for one in kept).encode())
    if json:
        show(_plain(found))
    else:
        show(render.task_pairs(str(task), found) + (f"\nwritten: {out}" if out else ""))


def _plain(found: Aligned) -> dict[str, object]:
    groups = [
        {"template": group.name, "n_tokens": group.ids.shape[1], "pairs": group.pairs, "scores": group.whole.tolist()}
        for group in found.groups
    ]
    counts = {"n": found.n, "n_unequal": found.n_unequal, "n_wrong": found.n_wrong, "share_right": found.share_right}
    return counts | {"groups": groups}
