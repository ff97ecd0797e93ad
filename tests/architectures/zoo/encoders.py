"""Encoders with a head that fills masks."""

from typing import Any

from transformers import (
    AlbertConfig,
    AlbertForMaskedLM,
    BertConfig,
    BertForMaskedLM,
    BertForPreTraining,
    BertLMHeadModel,
    BigBirdConfig,
    BigBirdForMaskedLM,
    CamembertConfig,
    CamembertForMaskedLM,
    DebertaConfig,
    DebertaForMaskedLM,
    DebertaV2Config,
    DebertaV2ForMaskedLM,
    DistilBertConfig,
    DistilBertForMaskedLM,
    ElectraConfig,
    ElectraForMaskedLM,
    ErnieConfig,
    ErnieForMaskedLM,
    EsmConfig,
    EsmForMaskedLM,
    EuroBertConfig,
    EuroBertForMaskedLM,
    LongformerConfig,
    LongformerForMaskedLM,
    ModernBertConfig,
    ModernBertForMaskedLM,
    MPNetConfig,
    MPNetForMaskedLM,
    NomicBertConfig,
    NomicBertForMaskedLM,
    RobertaConfig,
    RobertaForMaskedLM,
    RoFormerConfig,
    RoFormerForMaskedLM,
    XLMRobertaConfig,
    XLMRobertaForMaskedLM,
)

from tests.architectures import D_FF, D_MODEL, SIZES, Architecture
from tests.architectures.keys import Act, gelu, gelu_tanh
from tests.architectures.truth import Place, fused, glu, plain

WIDE = SIZES | {"intermediate_size": D_FF}
PIECES = WIDE | {"pad_token_id": 0}
"""With the word pieces' padding."""
DISTIL = {"dim": D_MODEL, "hidden_dim": D_FF, "n_layers": 2, "n_heads": 4, "max_position_embeddings": 128}
DEBERTA = PIECES | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_biased_input": False}
DEBERTA |= {"max_relative_positions": -1}
DEBERTA_V3 = DEBERTA | {"position_buckets": 8, "share_att_key": True, "norm_rel_ebd": "layer_norm"}
MODERN = PIECES | {"layer_types": ["full_attention", "sliding_attention"], "local_attention": 8, "cls_token_id": 2}
MODERN |= {"sep_token_id": 3}


def bert_layers(layers: Any, act: Act = gelu) -> list[Place]:
    """BERT's: the norm stands behind the residual sum, in the module whose matrix holds the values."""
    return [
        plain(layer, layer.output.dense, layer.intermediate.dense, layer.output.dense, act, linear=False)
        for layer in layers
    ]


def distilbert_layers(layers: Any) -> list[Place]:
    """DistilBERT's: as BERT's, under other names."""
    return [plain(layer, layer.ffn, layer.ffn.lin1, layer.ffn.lin2, gelu, linear=False) for layer in layers]


def modernbert_layers(layers: Any) -> list[Place]:
    """ModernBERT's: the first half of Wi's outputs go through the activation; the norm stands before."""
    return [fused(layer, layer.mlp, layer.mlp.Wi, layer.mlp.Wo, gelu) for layer in layers]


def albert_layers(encoder: Any) -> list[Place]:
    """ALBERT's: one layer that runs twice."""
    layer = encoder.albert_layer_groups[0].albert_layers[0]
    return [
        plain(layer, layer.ffn_output, layer.ffn, layer.ffn_output, gelu_tanh, linear=False, call=call)
        for call in (0, 1)
    ]


def esm_layers(layers: Any) -> list[Place]:
    """ESM's: BERT's names, but the norm stands before."""
    return [plain(layer, layer.output.dense, layer.intermediate.dense, layer.output.dense, gelu) for layer in layers]


def nomic_layers(layers: Any) -> list[Place]:
    """Nomic's: gated cells, with the norm behind the residual sum."""
    return [glu(layer, layer.mlp, linear=False) for layer in layers]


def _longformer(n: int) -> Any:
    return LongformerForMaskedLM(LongformerConfig(**WIDE, attention_window=4, sep_token_id=0, vocab_size=n))


def _esm(n: int) -> Any:
    config = PIECES | {"mask_token_id": 4, "position_embedding_type": "rotary", "token_dropout": True}
    return EsmForMaskedLM(EsmConfig(**config, emb_layer_norm_before=False, vocab_size=n))


ENTRIES = (
    Architecture(
        "bert", 2018, "google-bert/bert-base-uncased", lambda n: BertForMaskedLM(BertConfig(**PIECES, vocab_size=n)),
        lambda model: bert_layers(model.bert.encoder.layer), lambda model: model.cls, tokenizer="word pieces",
    ),
    Architecture(
        "bert_pretraining", 2018, "google-bert/bert-large-uncased-whole-word-masking",
        lambda n: BertForPreTraining(BertConfig(**PIECES, vocab_size=n)),
        lambda model: bert_layers(model.bert.encoder.layer), lambda model: model.cls, tokenizer="word pieces",
        note="its masks' logits are called prediction_logits",
    ),
    Architecture(
        "bert_decoder", 2018, "a BERT with is_decoder",
        lambda n: BertLMHeadModel(BertConfig(**PIECES, is_decoder=True, vocab_size=n)),
        lambda model: bert_layers(model.bert.encoder.layer), lambda model: model.cls, tokenizer="word pieces",
        note="causal: BERT's layers as a language model",
    ),
    Architecture(
        "roberta", 2019, "FacebookAI/roberta-base", lambda n: RobertaForMaskedLM(RobertaConfig(**WIDE, vocab_size=n)),
        lambda model: bert_layers(model.roberta.encoder.layer), lambda model: model.lm_head,
    ),
    Architecture(
        "xlm_roberta", 2019, "FacebookAI/xlm-roberta-base",
        lambda n: XLMRobertaForMaskedLM(XLMRobertaConfig(**WIDE, vocab_size=n)),
        lambda model: bert_layers(model.roberta.encoder.layer), lambda model: model.lm_head,
    ),
    Architecture(
        "camembert", 2019, "almanach/camembert-base",
        lambda n: CamembertForMaskedLM(CamembertConfig(**WIDE, vocab_size=n)),
        lambda model: bert_layers(model.roberta.encoder.layer), lambda model: model.lm_head,
    ),
    Architecture(
        "distilbert", 2019, "distilbert/distilbert-base-uncased",
        lambda n: DistilBertForMaskedLM(DistilBertConfig(**DISTIL, vocab_size=n)),
        lambda model: distilbert_layers(model.distilbert.transformer.layer), lambda model: model.vocab_transform,
        tokenizer="word pieces", note="its head is spread over the model: vocab_transform, vocab_layer_norm, vocab_projector",
    ),
    Architecture(
        "albert", 2019, "albert/albert-base-v2",
        lambda n: AlbertForMaskedLM(AlbertConfig(**PIECES, embedding_size=16, vocab_size=n)),
        lambda model: albert_layers(model.albert.encoder), lambda model: model.predictions, tokenizer="word pieces",
        note="all layers are one; embeddings are smaller than the stream",
    ),
    Architecture(
        "electra_generator", 2020, "google/electra-small-generator",
        lambda n: ElectraForMaskedLM(ElectraConfig(**PIECES, embedding_size=16, vocab_size=n)),
        lambda model: bert_layers(model.electra.encoder.layer), lambda model: model.generator_predictions,
        tokenizer="word pieces", note="embeddings are smaller than the stream",
    ),
    Architecture(
        "mpnet", 2020, "microsoft/mpnet-base", lambda n: MPNetForMaskedLM(MPNetConfig(**WIDE, vocab_size=n)),
        lambda model: bert_layers(model.mpnet.encoder.layer), lambda model: model.lm_head,
        note="a layer returns a tuple",
    ),
    Architecture(
        "deberta", 2020, "microsoft/deberta-base",
        lambda n: DebertaForMaskedLM(DebertaConfig(**DEBERTA, vocab_size=n)),
        lambda model: bert_layers(model.deberta.encoder.layer), lambda model: model.cls, tokenizer="word pieces",
        note="a layer returns a tuple",
    ),
    Architecture(
        "deberta_v3", 2021, "microsoft/deberta-v3-base",
        lambda n: DebertaV2ForMaskedLM(DebertaV2Config(**DEBERTA_V3, vocab_size=n)),
        lambda model: bert_layers(model.deberta.encoder.layer), lambda model: model.cls, tokenizer="word pieces",
        note="a layer returns a tuple",
    ),
    Architecture(
        "deberta_v3_new_head", 2021, "a DeBERTa with legacy false",
        lambda n: DebertaV2ForMaskedLM(DebertaV2Config(**DEBERTA_V3, legacy=False, vocab_size=n)),
        lambda model: bert_layers(model.deberta.encoder.layer), lambda model: model.lm_predictions,
        tokenizer="word pieces",
        note="the head multiplies with the embedding itself; get_output_embeddings gives another matrix, of d_model rows",
    ),
    Architecture(
        "modernbert", 2024, "answerdotai/ModernBERT-base",
        lambda n: ModernBertForMaskedLM(ModernBertConfig(**MODERN, vocab_size=n)),
        lambda model: modernbert_layers(model.model.layers), lambda model: model.model.final_norm,
        tokenizer="word pieces",
        note="gated in one matrix, Wi; a final norm, then a head with a norm of its own; LayerNorms without biases",
    ),
    Architecture(
        "eurobert", 2025, "EuroBERT/EuroBERT-210m",
        lambda n: EuroBertForMaskedLM(EuroBertConfig(**PIECES, num_key_value_heads=2, mlp_bias=True, vocab_size=n)),
        lambda model: [glu(layer, layer.mlp) for layer in model.model.layers],
        lambda model: model.model.norm, tokenizer="word pieces", note="Llama's layers, without a causal mask",
    ),
    Architecture(
        "longformer", 2020, "allenai/longformer-base-4096", _longformer,
        lambda model: bert_layers(model.longformer.encoder.layer), lambda model: model.lm_head,
        note="pads its input itself to whole windows: layers see more positions than there are tokens",
    ),
    Architecture(
        "big_bird", 2020, "google/bigbird-roberta-base",
        lambda n: BigBirdForMaskedLM(BigBirdConfig(**PIECES, vocab_size=n)),
        lambda model: bert_layers(model.bert.encoder.layer, gelu_tanh), lambda model: model.cls, tokenizer="word pieces",
        note="changes its own attention from block_sparse to full on the first short input",
    ),
    Architecture(
        "esm2", 2022, "facebook/esm2_t6_8M_UR50D", _esm, lambda model: esm_layers(model.esm.encoder.layer),
        lambda model: model.esm.encoder.emb_layer_norm_after, tokenizer="word pieces",
        note="BERT's names with the norms before, and a final norm; output.forward adds the stream",
    ),
    Architecture(
        "roformer", 2021, "junnyu/roformer_chinese_base",
        lambda n: RoFormerForMaskedLM(RoFormerConfig(**PIECES, embedding_size=16, vocab_size=n)),
        lambda model: bert_layers(model.roformer.encoder.layer), lambda model: model.cls, tokenizer="word pieces",
    ),
    Architecture(
        "ernie", 2022, "nghuyong/ernie-3.0-base-zh",
        lambda n: ErnieForMaskedLM(ErnieConfig(**PIECES, vocab_size=n)),
        lambda model: bert_layers(model.ernie.encoder.layer), lambda model: model.cls, tokenizer="word pieces",
    ),
    Architecture(
        "nomic_bert", 2024, "nomic-ai/nomic-bert-2048",
        lambda n: NomicBertForMaskedLM(NomicBertConfig(**PIECES, head_dim=8, vocab_size=n)),
        lambda model: nomic_layers(model.nomic_bert.layers), lambda model: model.cls, tokenizer="word pieces",
        note="gated cells with the norm behind the residual sum",
    ),
)  # fmt: skip
