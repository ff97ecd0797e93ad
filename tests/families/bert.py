"""BERT with and without its head."""

from transformers import BertConfig, BertForMaskedLM, BertModel

from tests.families import WIDE, Example

_CONFIG = WIDE | {"pad_token_id": 0}

EXAMPLES = {
    "bert": Example(
        lambda n: BertForMaskedLM(BertConfig(**_CONFIG, vocab_size=n)), tokenizer="word pieces", has_table=True
    ),
    "bert_headless": Example(
        lambda n: BertModel(BertConfig(**_CONFIG, vocab_size=n)), tokenizer="word pieces", has_table=True
    ),
}
