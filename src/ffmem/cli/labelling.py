"""What `ffmem label` connects: an index, its model, one or two language models, what they may use, and where labels go."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from typing import Annotated

import numpy as np
from cyclopts import Parameter
from cyclopts.validators import Number

from ffmem import render
from ffmem.annotations import batches
from ffmem.cli.app import FLAT, Count, Seconds, Some
from ffmem.cli.choosing import among
from ffmem.cli.options import IndexModelOptions, Quiet
from ffmem.errors import InputError
from ffmem.json_values import JsonObject
from ffmem.names.halves import FEWEST_DOCUMENTS
from ffmem.names.lm.by_rule import ByRule
from ffmem.names.lm.client.address import check_may_send, parse_address, read_key
from ffmem.names.lm.client.budget import Budget, Limits, Prices
from ffmem.names.lm.client.cache import ReplyCache
from ffmem.names.lm.client.pace import pace
from ffmem.names.lm.client.probe import probe
from ffmem.names.lm.client.request import Request
from ffmem.names.lm.client.server import Server
from ffmem.names.lm.examples import N_HARD, N_TRIGGERS, N_WEAKER
from ffmem.names.lm.judge import MEASURES
from ffmem.names.lm.keeping import decided_by, keep
from ffmem.names.lm.known import Unit
from ffmem.names.lm.labelling import Labelling, LabelOptions, Rule
from ffmem.names.lm.material import AskedModel, Material, NotAsked
from ffmem.names.lm.plan import Plan, plan
from ffmem.names.lm.prompts import PROMPTS, prompts_hash
from ffmem.names.lm.report import LabelReport, report_of
from ffmem.names.lm.texts import Texts
from ffmem.store.identity import identity_id
from ffmem.store.labels import open_labels
from ffmem.store.paths import StorePaths
from ffmem.store.reader import Index
from ffmem.version import __version__

PER_LAYER = 20
"""Cells of each layer, if none are named."""
_PLANNED = 50
"""Units whose prompts are made and counted for a plan."""
Listen = Callable[[str, int, int], None]
Amount = Annotated[float | None, Parameter(validator=Number(gte=0))]
Limit = Annotated[int | None, Parameter(validator=Number(gte=0))]


@dataclass(frozen=True)
class LabelRun:
    """Options of `ffmem label` beside its server and model."""

    judge_model: str | None = None
    """Another model to judge what the first one says; by default the same one."""
    judge_server: str | None = None
    """Where that model is; by default on the same server."""
    cells: str | None = None
    """Which cells: layers (L3, L0-L5), cells (L9.2997, L9.0-511), shares (1%) or collections (@NAME), between commas.
    By default --per-layer of each layer, drawn as `ffmem annotate draw` does."""
    per_layer: Some = PER_LAYER
    """Cells of each layer that are drawn, if none are named."""
    candidates: Some = 1
    """Names that are asked for of each unit; the best on some held-out items is the one that is scored, on others."""
    seed: Count = 0
    """Of all draws."""
    no_model: bool = False
    """Do without the index's model: no scores by fuzzing and simulation, fewer kinds of fakes, and easier hard negatives."""
    index_model: Annotated[str | None, Parameter(help="Where the index's model is now, if it has moved.")] = None
    plan: bool = False
    """Say what the run would need, and send nothing."""
    send_text: bool = False
    """The text of the corpus may be sent to a server that is not this machine."""
    key_variable: str | None = None
    """The environment variable with the server's key; by default FFMEM_API_KEY. Keys are given in no other way."""
    max_calls: Limit = None
    """Stop before there are more calls than this."""
    max_tokens: Limit = None
    """Stop before more tokens than this are read and written."""
    max_money: Amount = None
    """Stop before the run costs more than this."""
    price_in: Amount = None
    """Price of a million tokens that the model reads."""
    price_out: Amount = None
    """Price of a million tokens that it writes."""
    concurrency: Some = 1
    """Calls at a time."""
    timeout_s: Seconds = 120.0
    """Seconds for one call."""
    retry_failed: bool = False
    """Ask again what was answered with something that is no answer."""
    quiet: Quiet = False
    loading: Annotated[IndexModelOptions, FLAT] = IndexModelOptions()  # noqa: RUF009 (frozen)

    @property
    def prices(self) -> Prices | None:
        """If any is given."""
        if self.price_in is None and self.price_out is None:
            return None
        return Prices(self.price_in or 0.0, self.price_out or 0.0)


@dataclass(frozen=True)
class Connected:
    """The models of a run."""

    labeller: Server
    judge: Server

    @property
    def servers(self) -> list[Server]:
        """Each once."""
        return [self.labeller] if self.judge is self.labeller else [self.labeller, self.judge]

    def asked(self, request: Request) -> Server:
        """The one that a request is for."""
        return self.labeller if request.purpose in ("label", "repair") else self.judge

    def halt(self) -> None:
        """Begin no more calls."""
        for one in self.servers:
            one.halt()


def units_of(index: Index, run: LabelRun) -> list[Unit]:
    """The units that a run is about: of gated cells both signs."""
    if run.cells is None:
        cells = [one.cell for one in batches.draw(index, "label", per_layer=run.per_layer, seed=run.seed).cells]
    else:
        masks = among(index, run.cells, run.seed) or ()
        cells = [
            index.cells.cell_id(place, row) for place, mask in enumerate(masks) for row in np.flatnonzero(mask).tolist()
        ]
    ordered = sorted(set(cells), key=index.cells.place)
    return [Unit(cell, sign) for cell in ordered for sign in (1, -1)[: index.n_signs]]


def plan_run(index: Index, server: str, model: str, run: LabelRun) -> Plan:
    """What a run would need; nothing is sent."""
    check_index(index)
    units = units_of(index, run)
    with _connected(index, server, model, run) as models:
        labelling = _labelling(index, models, run, None if run.no_model else NotAsked())
        tasks = [task for layer in labelling.tasks(units) for task in layer]
        counted = [labelling.requests(one) for one in tasks[:: -(-len(tasks) // _PLANNED)]]
        n_decoys = labelling.n_decoys(units)
        decoyed = [labelling.decoy_requests(one) for one in units[: min(n_decoys, _PLANNED)]]
        parts = []
        for found in models.servers:
            answered = found.cache.measured(found.address.url, found.model)
            known = found.capabilities if found.capabilities.tokens_per_call is not None else None
            for some, n in ((counted, len(tasks)), (decoyed, n_decoys)):
                own = [[one for one in requests if models.asked(one) is found] for requests in some]
                parts.append(
                    plan(
                        own, n, pace(known, answered), answered=answered, is_answered=found.is_answered,
                        prices=run.prices, concurrency=run.concurrency,
                    )
                )  # fmt: skip
    return replace(sum(parts[1:], parts[0]), n_units=len(units), n_units_counted=len(counted))


def run_labels(index: Index, server: str, model: str, run: LabelRun) -> tuple[LabelReport, JsonObject]:
    """Name cells and judge their names, keep both, and say what came of it and what it used."""
    check_index(index)
    units = units_of(index, run)
    labels = open_labels(index.folder, index.manifest)
    with (
        _connected(index, server, model, run, n_units=len(units)) as models,
        _asked_model(index, run) as asked,
        render.steps(run.quiet) as listen,
    ):
        for one in models.servers:
            if one.cache.capabilities(one.address.url, one.model) is None:
                probe(one)
        labelling = _labelling(index, models, run, asked, listen, ByRule(index, labels))
        about = _about(index, models, run, units)
        outcome = labelling.run(units)
        report = report_of(
            index, outcome, labeller=model, judge=models.judge.model, seed=run.seed, with_model=not run.no_model
        )
        use: JsonObject = {"use": models.labeller.budget.used.to_json()}
        number = keep(labels, outcome, report, about | use)
    return report, use | {"run": number, "server": about["server"]}


def check_index(index: Index) -> None:
    """Refuse an index that names cannot be held to.

    Raises:
        InputError: it has no sample, or too few documents.
    """
    if not index.manifest.options.sample:
        index.sample(index.cells.cell_id(0, 0))
    n = index.manifest.counts.n_documents - index.manifest.counts.n_documents_held_out
    if n < FEWEST_DOCUMENTS:
        raise InputError(
            f"{index.folder} has {n} indexed documents",
            f"Expected {FEWEST_DOCUMENTS} or more: names are made from one half of them, and held to the other",
            "Index more text, or a file for each document",
        )


def _labelling(
    index: Index,
    models: Connected,
    run: LabelRun,
    asked: AskedModel | None,
    listen: Listen = lambda *_: None,
    rule: Rule = lambda *_: None,
) -> Labelling:
    return Labelling(
        Material(Texts(index, run.seed), asked, MEASURES, run.seed),
        models.labeller,
        models.judge,
        LabelOptions(run.candidates, run.seed),
        rule=rule,
        threads=run.concurrency,
        halt=models.halt,
        listen=listen,
        say=_say(run.quiet),
    )


def _asked_model(index: Index, run: LabelRun) -> AbstractContextManager[AskedModel | None]:
    if run.no_model:
        return nullcontext()
    from ffmem.names.lm.from_model import FromModel  # needs torch, which --no-model and --plan do not

    return FromModel(run.loading.load(index, run.index_model), Texts(index, run.seed))


def _say(quiet: bool) -> Callable[[str], None]:
    return (lambda _: None) if quiet else render.say("ffmem label:")


@contextmanager
def _connected(
    index: Index, server: str, model: str, run: LabelRun, *, n_units: int | None = None
) -> Iterator[Connected]:
    """The models, if text may be sent to them; without units nothing is sent."""
    budget = Budget(Limits(run.max_calls, run.max_tokens, run.max_money), run.prices)
    with ExitStack() as stack:
        cache = ReplyCache(StorePaths(index.folder).label_cache)
        stack.callback(cache.close)

        def connect(where: str, name: str) -> Server:
            address = parse_address(where)
            key = None if n_units is None else read_key(address, run.key_variable)
            if n_units is not None:
                pieces = N_TRIGGERS + N_WEAKER + N_HARD
                what = f"{pieces} pieces of the corpus' text, and more to judge by, for each of {n_units:,} units"
                check_may_send(address, key, run.send_text, what)
            return stack.enter_context(
                Server(
                    address, name, key, cache=cache, budget=budget, concurrency=run.concurrency,
                    timeout_s=run.timeout_s, retry_failed=run.retry_failed, say=_say(run.quiet),
                )
            )  # fmt: skip

        labeller = connect(server, model)
        other = run.judge_model not in (None, model) or run.judge_server not in (None, server)
        judge = connect(run.judge_server or server, run.judge_model or model) if other else labeller
        yield Connected(labeller, judge)


def _about(index: Index, models: Connected, run: LabelRun, units: list[Unit]) -> JsonObject:
    """What decides a run, as it is kept: everything but the key."""
    identity = index.manifest.identity
    deciding: JsonObject = {
        "index": identity_id(identity.json),
        "server": models.labeller.address.url,
        "model": models.labeller.model,
        "judge_server": models.judge.address.url,
        "judge_model": models.judge.model,
        "prompts_sha256": prompts_hash(),
        "candidates": run.candidates,
        "seed": run.seed,
        "with_model": not run.no_model,
    }
    return deciding | {
        "kind": "lm",
        "decided_by": decided_by(deciding, units),
        "version": __version__,
        "n_units": len(units),
        "weights_sha256": identity.model.weights_sha256,
        "corpus": identity.corpus.name,
        "sample": index.manifest.options.sample,
        "capabilities": {one.model: asdict(one.capabilities) for one in models.servers},
        "prompts": dict(PROMPTS),
        "parameters": {"temperature": 0},
    }
