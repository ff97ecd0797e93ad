"""Special tokens: those of the tokenizer's own call, whatever the vocabulary can spell."""

import pytest
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from ffmem import ModelError
from ffmem.models.frame import frame_of
from ffmem.models.samples import sample_sentences

AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"


def of_letters(
    letters: str, template: str = "", unknown: bool = True, drop_others: bool = False
) -> PreTrainedTokenizerFast:
    """A vocabulary of single letters, with [CLS] 0, [SEP] 1, [UNK] 2."""
    words = {"[CLS]": 0, "[SEP]": 1, "[UNK]": 2} | {letter: 3 + i for i, letter in enumerate(letters)}
    backend = Tokenizer(models.WordLevel(words, unk_token="[UNK]") if unknown else models.BPE(words, []))
    if drop_others:
        backend.normalizer = normalizers.Replace(Regex(f"[^{letters}]"), "")
    backend.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    if template:
        backend.post_processor = processors.TemplateProcessing(
            single=template, special_tokens=[("[CLS]", 0), ("[SEP]", 1)]
        )
    names = {"unk_token": "[UNK]"} if unknown else {}
    return PreTrainedTokenizerFast(tokenizer_object=backend, cls_token="[CLS]", sep_token="[SEP]", **names)


TEMPLATES = {
    "": ((), ()),
    "[CLS] $A": ((0,), ()),
    "$A [SEP]": ((), (1,)),
    "[CLS] $A [SEP]": ((0,), (1,)),
    "[CLS] [CLS] $A [SEP] [CLS]": ((0, 0), (1, 0)),
}


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("letters", [AMINO_ACIDS, "ACGT", "0123456789", "日本語", "x", "😀"])
@pytest.mark.parametrize("others", ["unknown", "nothing", "dropped"])
def test_whatever_a_vocabulary_can_spell(template: str, letters: str, others: str) -> None:
    """One probe that has no token, such as "a" of amino acids, once put all special tokens behind the text."""
    tokenizer = of_letters(letters, template, others == "unknown", others == "dropped")
    assert tuple(frame_of(tokenizer)) == TEMPLATES[template]
    assert sample_sentences(tokenizer)


def test_a_special_token_that_is_also_a_word_is_told_apart_by_the_tokenizers_own_mask() -> None:
    """A vocabulary of one word, which stands around each text as well: ids alone cannot tell the frame."""
    backend = Tokenizer(models.WordLevel({"x": 0}, unk_token="x"))
    backend.post_processor = processors.TemplateProcessing(single="x $A", special_tokens=[("x", 0)])
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="x")
    assert tuple(frame_of(tokenizer)) == ((0,), ())


def test_a_frame_that_depends_on_the_text_is_refused() -> None:
    tokenizer = of_letters(AMINO_ACIDS, "[CLS] $A [SEP]")

    class Odd(PreTrainedTokenizerFast):
        def __call__(self, text: str, **named: object) -> object:  # type: ignore[override]
            found = super().__call__(text, **named)  # type: ignore[arg-type]
            if len(found["input_ids"]) > 20:
                found["input_ids"] = found["input_ids"][:-1]
            return found

    odd = Odd(tokenizer_object=tokenizer.backend_tokenizer, unk_token="[UNK]")
    with pytest.raises(ModelError, match=r"no constant special tokens.*Write --bos no"):
        frame_of(odd)


def test_a_vocabulary_without_text_is_refused() -> None:
    backend = Tokenizer(models.WordLevel({"[PAD]": 0}, unk_token=None))
    with pytest.raises(ModelError, match=r"no token in any of our sample texts"):
        frame_of(PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="[PAD]"))
