"""RoBERTa with and without its head: two positions of its table are no token's."""

from transformers import RobertaConfig, RobertaForMaskedLM, RobertaModel

from tests.families import CONTEXT, WIDE, Example

EXAMPLES = {
    "roberta": Example(
        lambda n: RobertaForMaskedLM(RobertaConfig(**WIDE, vocab_size=n)),
        tokenizer="bytes with a BOS",
        longest=CONTEXT - 2,
        has_table=True,
    ),
    "roberta_headless": Example(
        lambda n: RobertaModel(RobertaConfig(**WIDE, vocab_size=n)), longest=CONTEXT - 2, has_table=True
    ),
}
