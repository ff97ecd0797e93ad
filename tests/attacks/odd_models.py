"""Odd folders: tiny models with odd configs, odd tokenizers, odd text; and what a plain hook sees in each sentence alone.

The model is loaded and called here by transformers alone: nothing of ffmem is in what an index is compared with.
"""

import copy
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from hypothesis import strategies as st
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedTokenizerFast

from tests.conftest import TEXT, tiny_model
from tests.families import CONTEXT
from tests.fixtures.tokenizers import word_pieces

VALUE_MATRICES = {
    "llama": "mlp.down_proj",
    "mistral": "mlp.down_proj",
    "qwen2": "mlp.down_proj",
    "qwen3": "mlp.down_proj",
    "gemma2": "mlp.down_proj",
    "gemma3": "mlp.down_proj",
    "gpt2": "mlp.c_proj",
    "gpt_neo": "mlp.c_proj",
    "gptj": "mlp.fc_out",
    "gpt_neox": "mlp.dense_4h_to_h",
    "opt": "fc2",
    "bloom": "mlp.dense_4h_to_h",
    "falcon": "mlp.dense_4h_to_h",
    "falcon_alibi": "mlp.dense_4h_to_h",
    "phi": "mlp.fc2",
    "bert": "output.dense",
    "roberta": "output.dense",
    "t5": "DenseReluDense.wo",
    "marian": "fc2",
}
"""By variant, where its modules have the matrix of values; found here by the end of their names."""


def _rope(kind: str, **named: object) -> dict[str, object]:
    rope = {"rope_type": kind, "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 16} | named
    return {"rope_parameters": rope}


ROPES = (
    _rope("linear"),
    _rope("yarn"),
    _rope("dynamic"),
    _rope("longrope", short_factor=[1.0] * 4, long_factor=[1.0, 2.0, 3.0, 4.0]),
    _rope("llama3", low_freq_factor=1.0, high_freq_factor=4.0),
    _rope("dynamic") | {"max_position_embeddings": 16},
)
ANY = (
    {"is_causal": False},
    {"output_attentions": True},
    {"output_hidden_states": True},
    {"return_dict": False},
    {"use_cache": False},
    {"tie_word_embeddings": True},
    {"attention_dropout": 0.5, "hidden_dropout_prob": 0.5, "resid_pdrop": 0.5, "dropout": 0.5},
    {"pad_token_id": None},
    {"pad_token_id": 3},
    {"pad_token_id": 10**6},
    {"is_decoder": True},
    {"chunk_size_feed_forward": 1},
    {"chunk_size_feed_forward": 3},
    {"max_position_embeddings": 12},
    {"decoder_start_token_id": None},
    {"decoder_start_token_id": 2},
    {"problem_type": "regression"},
)
OWN: dict[str, tuple[dict[str, object], ...]] = {
    "llama": (*ROPES, {"pretraining_tp": 2}, {"hidden_act": "relu"}, {"rms_norm_eps": 0.5}),
    "mistral": (*ROPES, {"sliding_window": 3}, {"sliding_window": None}, {"hidden_act": "gelu"}),
    "qwen2": (*ROPES, {"sliding_window": 2}, {"use_sliding_window": False}),
    "qwen3": (*ROPES, {"use_sliding_window": True, "sliding_window": 3, "max_window_layers": 1}),
    "gemma2": ({"sliding_window": 2}, {"final_logit_softcapping": None}, {"attn_logit_softcapping": 1.0}),
    "gemma3": ({"use_bidirectional_attention": True}, {"sliding_window": 2}, {"query_pre_attn_scalar": 1}),
    "gpt2": (
        {"scale_attn_by_inverse_layer_idx": True},
        {"reorder_and_upcast_attn": True},
        {"add_cross_attention": True},
    ),
    "opt": ({"do_layer_norm_before": False}, {"layerdrop": 0.9}, {"activation_function": "gelu"}),
    "bloom": ({"apply_residual_connection_post_layernorm": True}, {"slow_but_exact": True, "pretraining_tp": 2}),
    "falcon": ({"alibi": True}, {"parallel_attn": False}, {"bias": True}),
    "bert": ({"add_cross_attention": True}, {"position_embedding_type": "relative_key"}, {"type_vocab_size": 2}),
    "roberta": ({"pad_token_id": 0}, {"pad_token_id": 20}),
    "t5": ({"is_encoder_decoder": False}, {"feed_forward_proj": "gelu"}, {"relative_attention_max_distance": 4}),
    "marian": ({"scale_embedding": True}, {"encoder_layerdrop": 0.9}, {"static_position_embeddings": True}),
}

LETTERS = {"amino acids": "ACDEFGHIKLMNPQRSTVWY", "bases": "ACGT", "digits": "0123456789"}
NORMALIZERS = {
    "": None,
    "NFC": normalizers.NFC(),
    "NFD": normalizers.NFD(),
    "NFKC": normalizers.NFKC(),
    "lower": normalizers.Lowercase(),
    "bare": normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase()]),
    "strip": normalizers.Strip(),
    "longer": normalizers.Replace("e", "ee"),
    "shorter": normalizers.Replace(Regex("[aeiou]+"), "a"),
}
TEMPLATES = ("", "<s> $A", "$A </s>", "<s> $A </s>", "<s> <s> $A </s> <s>", "<s> $A:1 </s>:1")
SPECIAL = ("<s>", "</s>", "<pad>", "<unk>")


@dataclass(frozen=True)
class OddTokenizer:
    """What a tokenizer is made of."""

    kind: str
    normalizer: str = ""
    template: str = ""
    prefix_space: bool = False
    trim: bool = True
    has_pad: bool = True
    added: bool = False
    drops: bool = False
    """Whether what a vocabulary of letters does not have is left out, instead of being the unknown token."""

    def make(self) -> PreTrainedTokenizerFast:
        """Train it; a moment."""
        backend = self._backend()
        if self.normalizer and not self.drops:
            backend.normalizer = NORMALIZERS[self.normalizer]
        if self.template:
            ids = [(name, backend.token_to_id(name)) for name in SPECIAL[:2]]
            processor = processors.TemplateProcessing(single=self.template, special_tokens=ids)
            backend.post_processor = (
                processors.Sequence([backend.post_processor, processor]) if backend.post_processor else processor
            )
        names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"} | (
            {"pad_token": "<pad>"} if self.has_pad else {}
        )
        made = PreTrainedTokenizerFast(tokenizer_object=backend, **names)
        if self.added:
            made.add_tokens([AddedToken("river", lstrip=True, rstrip=True), AddedToken("fox ", normalized=False)])
        return made

    def _backend(self) -> Tokenizer:
        text, special = [TEXT] * 3, list(SPECIAL)
        if self.kind == "bytes":
            backend = Tokenizer(models.BPE())
            backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=self.prefix_space)
            backend.decoder = decoders.ByteLevel()
            backend.post_processor = processors.ByteLevel(trim_offsets=self.trim)
            alphabet = pre_tokenizers.ByteLevel.alphabet()
            trainer: Any = trainers.BpeTrainer(
                vocab_size=350, special_tokens=special, initial_alphabet=alphabet, show_progress=False
            )
        elif self.kind == "pieces":
            backend = Tokenizer(models.WordPiece(unk_token="<unk>"))
            backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
            backend.decoder = decoders.WordPiece()
            backend.model = models.WordPiece(word_pieces(backend, text, 300, special), unk_token="<unk>")
            backend.add_special_tokens(special)
            return backend
        elif self.kind in ("metaspace", "fallback"):
            backend = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=self.kind == "fallback"))
            backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always" if self.prefix_space else "never")
            backend.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()])
            bytes_of = [f"<0x{n:02X}>" for n in range(256)] if self.kind == "fallback" else []
            trainer = trainers.BpeTrainer(vocab_size=700, special_tokens=[*special, *bytes_of], show_progress=False)
        elif self.kind == "unigram":
            backend = Tokenizer(models.Unigram())
            backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
            backend.decoder = decoders.Metaspace()
            trainer = trainers.UnigramTrainer(
                vocab_size=150, special_tokens=special, unk_token="<unk>", show_progress=False
            )
        else:
            words = {name: number for number, name in enumerate((*special, *LETTERS[self.kind]))}
            backend = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
            backend.pre_tokenizer = pre_tokenizers.Split("", "isolated")
            if self.drops:
                backend.normalizer = normalizers.Replace(Regex(f"[^{LETTERS[self.kind]}]"), "")
            return backend
        backend.train_from_iterator(text, trainer)
        return backend


@dataclass(frozen=True)
class OddCase:
    """One folder, one text, one way to build."""

    variant: str
    changes: tuple[dict[str, object], ...]
    tokenizer: OddTokenizer
    lines: tuple[str, ...]
    batch_tokens: int
    bos: str = "auto"
    skip_first: int = 0
    too_few_rows: int = 0
    """By how many rows the embedding is short of the tokenizer."""
    options: dict[str, object] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """The model's folder."""
        tokenizer = self.tokenizer.make()
        tokenizer.save_pretrained(folder)
        model: Any = tiny_model(self.variant, max(8, len(tokenizer) - self.too_few_rows))
        model.save_pretrained(folder)
        path = folder / "config.json"
        config = json.loads(path.read_text())
        for change in self.changes:
            config |= change
        path.write_text(json.dumps(config))


_WORDS = st.sampled_from(
    [
        "the",
        "fox",
        "river",
        "Ａ",
        "naïve",
        "cafe\u0301",
        "ﬁn",
        "日本",
        "😀",
        "👩‍👧",
        "<s>",
        "<pad>",
        "<unk>",
        "ee",
        "x\u0301\u0302",
        "9",
        "ACGT",
    ]
)
_LINES = st.one_of(
    st.lists(_WORDS, min_size=1, max_size=14).map(" ".join),
    st.text("ACDEFGHIKLMNPQRSTVWY", min_size=1, max_size=30),
    st.text("0123456789", min_size=1, max_size=30),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp", "Cs"]), min_size=1, max_size=12),
)


def tokenizers() -> st.SearchStrategy[OddTokenizer]:
    """Tokenizers of every kind."""
    return st.builds(
        OddTokenizer,
        kind=st.sampled_from(["bytes", "bytes", "pieces", "metaspace", "fallback", "unigram", *LETTERS]),
        normalizer=st.sampled_from(["", "", *NORMALIZERS]),
        template=st.sampled_from(TEMPLATES),
        prefix_space=st.booleans(),
        trim=st.booleans(),
        has_pad=st.booleans(),
        added=st.booleans(),
        drops=st.booleans(),
    )


def _with_neighbours(lines: list[str]) -> list[str]:
    """The lines, and beside each a longer one: sentences of nearly the same length share a padded batch."""
    return [line for one in lines for line in (one, f"{one} 9")]


@st.composite
def cases(draw: st.DrawFn) -> OddCase:
    """A folder with at most two odd settings."""
    variant = draw(st.sampled_from(sorted(VALUE_MATRICES)))
    return OddCase(
        variant=variant,
        changes=tuple(draw(st.lists(st.sampled_from([*OWN.get(variant, ()), *ANY]), max_size=2))),
        tokenizer=draw(tokenizers()),
        lines=tuple(_with_neighbours(draw(st.lists(_LINES, min_size=3, max_size=7)))),
        batch_tokens=draw(st.sampled_from([8, 40, 150, 4000])),
        bos=draw(st.sampled_from(["auto", "auto", "no"])),
        skip_first=draw(st.sampled_from([0, 0, 1])),
        too_few_rows=draw(st.sampled_from([0, 0, 0, 0, 1, 30])),
    )


class PlainModel:
    """A folder as transformers alone loads and calls it."""

    def __init__(self, folder: Path, variant: str) -> None:
        config = transformers.AutoConfig.from_pretrained(folder)
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        config.return_dict = True  # how a call answers, not what it computes
        self._module = getattr(transformers, config.architectures[0]).from_pretrained(folder, config=config).eval()
        self._end, self._start = (
            VALUE_MATRICES[variant],
            config.decoder_start_token_id if variant in ("t5", "marian") else None,
        )

    def coefficients(self, text: str, bos: str, piece: list[int] | None = None) -> list[np.ndarray]:
        """Of each layer, (own tokens, cells), of a text alone, in a model that has read nothing before.

        A piece of a longer text has the tokens that it has there, in the place of its own.
        """
        module = copy.deepcopy(self._module)
        caught: dict[str, list[torch.Tensor]] = {}
        names = [
            name for name, _ in module.named_modules() if name.endswith(f".{self._end}") and "attention" not in name
        ]
        for name in names:
            module.get_submodule(name).register_forward_pre_hook(
                lambda _, inputs, name=name: caught.setdefault(
                    name, []
                ).append(  # in pieces, if its config asks for that
                    inputs[0].detach().reshape(-1, inputs[0].shape[-1]).clone()
                )
            )
        given = self.tokenizer(text, return_tensors="pt", add_special_tokens=bos == "auto")
        if not given.get("token_type_ids", torch.zeros(1)).any():
            given.pop("token_type_ids", None)
        own = self.tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids
        whole = given["input_ids"][0].tolist()
        first = self._n_before(whole, own) if bos == "auto" and self._adds() else 0
        if piece is not None and piece != own:
            whole, own = [*whole[:first], *piece, *whole[first + len(own) :]], piece
            given = {"input_ids": torch.tensor([whole]), "attention_mask": torch.ones(1, len(whole), dtype=torch.long)}
        if self._start is not None:
            start = torch.tensor([[self._start]])
            given["decoder_input_ids"] = torch.cat((start, given["input_ids"]), 1)
        with torch.no_grad():
            module(**given)
        shift = [first + (self._start is not None and "decoder" in name) for name in names]
        found = (torch.cat(caught[name]) for name in names)
        return [m[s : s + len(own)].numpy() for m, s in zip(found, shift, strict=True)]

    def _adds(self) -> bool:
        return bool(self.tokenizer.backend_tokenizer.num_special_tokens_to_add(False))

    def _n_before(self, whole: list[int], own: list[int]) -> int:
        """By the template, which says how many tokens stand before $A."""
        text = json.loads(self.tokenizer.backend_tokenizer.to_str())["post_processor"]
        parts = [one for one in text.get("processors", [text]) if one["type"] == "TemplateProcessing"]
        n = next(i for i, part in enumerate(parts[0]["single"]) if "Sequence" in part)
        assert whole[n : n + len(own)] == own
        return n


assert CONTEXT >= 40
