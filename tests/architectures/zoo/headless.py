"""Models whose scores are not of tokens: classifiers, embedders of sentences, and bases that were saved without a head."""

from typing import Any

from transformers import (
    AlbertConfig,
    AlbertModel,
    BertConfig,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertModel,
    DebertaV2Config,
    DebertaV2ForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    DistilBertModel,
    ElectraConfig,
    ElectraForPreTraining,
    Gemma3TextConfig,
    Gemma3TextModel,
    GPT2Config,
    GPT2ForSequenceClassification,
    GPT2ForTokenClassification,
    GPT2Model,
    LlamaConfig,
    LlamaForSequenceClassification,
    LlamaModel,
    MistralConfig,
    MistralModel,
    ModernBertConfig,
    ModernBertForSequenceClassification,
    ModernBertModel,
    MPNetConfig,
    MPNetModel,
    NomicBertConfig,
    NomicBertModel,
    Qwen3Config,
    Qwen3ForSequenceClassification,
    Qwen3Model,
    RobertaConfig,
    RobertaForQuestionAnswering,
    RobertaForSequenceClassification,
    RobertaForTokenClassification,
    RobertaModel,
    XLMRobertaConfig,
    XLMRobertaForSequenceClassification,
    XLMRobertaModel,
)

from tests.architectures import D_FF, D_MODEL, GATED, WINDOW, Architecture
from tests.architectures.keys import gelu_tanh
from tests.architectures.truth import Place, glu, plain
from tests.architectures.zoo.encoders import (
    DEBERTA_V3,
    DISTIL,
    MODERN,
    PIECES,
    WIDE,
    albert_layers,
    bert_layers,
    distilbert_layers,
    modernbert_layers,
    nomic_layers,
)

_LABELS = {"num_labels": 3}
_ENDS = 2
"""Of an answer: where it starts and where it stops."""
_GPT2 = {"n_embd": D_MODEL, "n_layer": 2, "n_head": 4, "n_positions": 128, "n_inner": D_FF, "pad_token_id": 1}
_GEMMA = GATED | WINDOW | {"query_pre_attn_scalar": 8, "use_bidirectional_attention": True}


def _gpt2(blocks: Any) -> list[Place]:
    return [plain(block, block.mlp, block.mlp.c_fc, block.mlp.c_proj, gelu_tanh, True) for block in blocks]


def _mlp(layers: Any) -> list[Place]:
    return [glu(layer, layer.mlp) for layer in layers]


def _gemma(model: Any) -> list[Place]:
    return [
        glu(layer, layer.mlp, gelu_tanh, gain=1 + layer.post_feedforward_layernorm.weight, normed=True)
        for layer in model.layers
    ]


def _bert_classifier(name: str, hub: str, cls: Any, n_labels: int = 3) -> Architecture:
    return Architecture(
        name, 2018, hub, lambda n: cls(BertConfig(**PIECES, num_labels=n_labels, vocab_size=n)),
        lambda model: bert_layers(model.bert.encoder.layer), tokenizer="word pieces", labels=True,
    )  # fmt: skip


def _roberta_classifier(name: str, hub: str, cls: Any, n_labels: int = 3) -> Architecture:
    return Architecture(
        name, 2019, hub, lambda n: cls(RobertaConfig(**WIDE, num_labels=n_labels, vocab_size=n)),
        lambda model: bert_layers(model.roberta.encoder.layer), labels=True,
    )  # fmt: skip


ENTRIES = (
    # classifiers
    _bert_classifier("bert_sequence", "nlptown/bert-base-multilingual-uncased-sentiment", BertForSequenceClassification),
    _bert_classifier("bert_tokens", "dslim/bert-base-NER", BertForTokenClassification),
    _bert_classifier("bert_answers", "deepset/bert-base-cased-squad2", BertForQuestionAnswering, _ENDS),
    _roberta_classifier(
        "roberta_sequence", "cardiffnlp/twitter-roberta-base-sentiment-latest", RobertaForSequenceClassification
    ),
    _roberta_classifier("roberta_tokens", "Jean-Baptiste/roberta-large-ner-english", RobertaForTokenClassification),
    _roberta_classifier("roberta_answers", "deepset/roberta-base-squad2", RobertaForQuestionAnswering, _ENDS),
    Architecture(
        "xlm_roberta_sequence", 2019, "BAAI/bge-reranker-v2-m3",
        lambda n: XLMRobertaForSequenceClassification(XLMRobertaConfig(**WIDE, num_labels=1, vocab_size=n)),
        lambda model: bert_layers(model.roberta.encoder.layer), labels=True,
    ),
    Architecture(
        "distilbert_sequence", 2019, "distilbert/distilbert-base-uncased-finetuned-sst-2-english",
        lambda n: DistilBertForSequenceClassification(DistilBertConfig(**DISTIL, vocab_size=n)),
        lambda model: distilbert_layers(model.distilbert.transformer.layer), tokenizer="word pieces", labels=True,
    ),
    Architecture(
        "deberta_v3_sequence", 2021, "cross-encoder/nli-deberta-v3-base",
        lambda n: DebertaV2ForSequenceClassification(DebertaV2Config(**DEBERTA_V3, **_LABELS, vocab_size=n)),
        lambda model: bert_layers(model.deberta.encoder.layer), tokenizer="word pieces", labels=True,
    ),
    Architecture(
        "electra_discriminator", 2020, "google/electra-small-discriminator",
        lambda n: ElectraForPreTraining(ElectraConfig(**PIECES, embedding_size=16, vocab_size=n)),
        lambda model: bert_layers(model.electra.encoder.layer), tokenizer="word pieces", labels=True,
        note="one score a position: whether the token was replaced",
    ),
    Architecture(
        "modernbert_sequence", 2025, "Alibaba-NLP/gte-reranker-modernbert-base",
        lambda n: ModernBertForSequenceClassification(ModernBertConfig(**MODERN, num_labels=1, vocab_size=n)),
        lambda model: modernbert_layers(model.model.layers), tokenizer="word pieces", labels=True,
    ),
    Architecture(
        "gpt2_sequence", 2019, "microsoft/DialogRPT-updown",
        lambda n: GPT2ForSequenceClassification(GPT2Config(**_GPT2, num_labels=1, vocab_size=n)),
        lambda model: _gpt2(model.transformer.h), labels=True,
    ),
    Architecture(
        "gpt2_tokens", 2019, "a GPT-2 that marks tokens",
        lambda n: GPT2ForTokenClassification(GPT2Config(**_GPT2, **_LABELS, vocab_size=n)),
        lambda model: _gpt2(model.transformer.h), labels=True,
    ),
    Architecture(
        "llama_sequence", 2024, "Skywork/Skywork-Reward-Llama-3.1-8B-v0.2",
        lambda n: LlamaForSequenceClassification(LlamaConfig(**GATED, num_labels=1, vocab_size=n)),
        lambda model: _mlp(model.model.layers), labels=True, note="a reward model",
    ),
    Architecture(
        "qwen3_sequence", 2025, "tomaarsen/Qwen3-Reranker-0.6B-seq-cls",
        lambda n: Qwen3ForSequenceClassification(Qwen3Config(**GATED, num_labels=1, vocab_size=n)),
        lambda model: _mlp(model.model.layers), labels=True,
    ),
    # embedders of sentences
    Architecture(
        "minilm", 2020, "sentence-transformers/all-MiniLM-L6-v2",
        lambda n: BertModel(BertConfig(**PIECES, vocab_size=n)), lambda model: bert_layers(model.encoder.layer),
        tokenizer="word pieces",
    ),
    Architecture(
        "roberta_base", 2019, "sentence-transformers/all-distilroberta-v1",
        lambda n: RobertaModel(RobertaConfig(**WIDE, vocab_size=n)), lambda model: bert_layers(model.encoder.layer),
    ),
    Architecture(
        "mpnet_base", 2021, "sentence-transformers/all-mpnet-base-v2",
        lambda n: MPNetModel(MPNetConfig(**WIDE, vocab_size=n)), lambda model: bert_layers(model.encoder.layer),
    ),
    Architecture(
        "xlm_roberta_base", 2024, "BAAI/bge-m3",
        lambda n: XLMRobertaModel(XLMRobertaConfig(**WIDE, vocab_size=n)),
        lambda model: bert_layers(model.encoder.layer),
    ),
    Architecture(
        "distilbert_base", 2019, "sentence-transformers/msmarco-distilbert-base-v4",
        lambda n: DistilBertModel(DistilBertConfig(**DISTIL, vocab_size=n)),
        lambda model: distilbert_layers(model.transformer.layer), tokenizer="word pieces",
    ),
    Architecture(
        "modernbert_base", 2025, "Alibaba-NLP/gte-modernbert-base",
        lambda n: ModernBertModel(ModernBertConfig(**MODERN, vocab_size=n)),
        lambda model: modernbert_layers(model.layers), tokenizer="word pieces",
    ),
    Architecture(
        "nomic_bert_base", 2024, "nomic-ai/nomic-embed-text-v1.5",
        lambda n: NomicBertModel(NomicBertConfig(**PIECES, head_dim=8, vocab_size=n)),
        lambda model: nomic_layers(model.layers), tokenizer="word pieces",
    ),
    Architecture(
        "embedding_gemma", 2025, "google/embeddinggemma-300m",
        lambda n: Gemma3TextModel(Gemma3TextConfig(**_GEMMA, vocab_size=n)), _gemma,
        note="Gemma 3 without a causal mask: use_bidirectional_attention",
    ),
    Architecture(
        "albert_base", 2019, "sentence-transformers/paraphrase-albert-small-v2",
        lambda n: AlbertModel(AlbertConfig(**PIECES, embedding_size=16, vocab_size=n)),
        lambda model: albert_layers(model.encoder), tokenizer="word pieces",
    ),
    # bases of decoders
    Architecture(
        "gpt2_base", 2019, "a GPT-2 without its head", lambda n: GPT2Model(GPT2Config(**_GPT2, vocab_size=n)),
        lambda model: _gpt2(model.h),
    ),
    Architecture(
        "llama_base", 2024, "nvidia/llama-embed-nemotron-8b", lambda n: LlamaModel(LlamaConfig(**GATED, vocab_size=n)),
        lambda model: _mlp(model.layers),
    ),
    Architecture(
        "mistral_base", 2024, "intfloat/e5-mistral-7b-instruct",
        lambda n: MistralModel(MistralConfig(**GATED, sliding_window=4, vocab_size=n)), lambda model: _mlp(model.layers),
    ),
    Architecture(
        "qwen3_base", 2025, "a Qwen3 without its head", lambda n: Qwen3Model(Qwen3Config(**GATED, vocab_size=n)),
        lambda model: _mlp(model.layers),
    ),
)  # fmt: skip
