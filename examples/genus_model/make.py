"""A GPT-2 that reads no text: genera of bacteria in the order of their abundance. Makes a model folder and a corpus.

The weights are those of the package ``microformer-mgm`` (MIT), a language model of the gut's and other microbiomes. The package
holds no samples, so the corpus is drawn from the model itself: each document is one sample, a list of genera.

    pip install --no-deps microformer-mgm==0.5.8
    python examples/genus_model/make.py runs/genera
    ffmem index runs/genera/genus-gpt2 runs/genera/genera.jsonl --split lines --bos yes --out runs/genera/index
    ffmem reproduce runs/genera/index
"""

import argparse
import json
import pickle
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast


class _Plain:
    """Stands for a class of the package, or of an old library: only its fields are wanted."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


class _NamesAlone(pickle.Unpickler):
    """Reads the pickled tokenizer without running anything that it names."""

    _NEEDED = ("MicroTokenizer", "Trie", "AddedToken")

    def find_class(self, module: str, name: str) -> Any:
        if name in self._NEEDED:
            return _Plain if name != "AddedToken" else lambda *_, **__: _Plain()
        raise pickle.UnpicklingError(f"the tokenizer of the package names {module}.{name}")


def read_tokens(file: BinaryIO) -> list[str]:
    """The names of tokens in the order of their ids; a genus is "g__" and its name."""
    tokenizer = _NamesAlone(file).load()
    return [token for token, _ in sorted(tokenizer.vocab.items(), key=lambda item: item[1])]


def save_model(resources: Path, folder: Path) -> GPT2LMHeadModel:
    """The package's model as transformers saves it, with a tokenizer that cuts at spaces."""
    general = resources / "general_model"
    config = GPT2Config.from_pretrained(general)
    model = GPT2LMHeadModel(config)
    weights = torch.load(general / "pytorch_model.bin", weights_only=True, map_location="cpu")
    missing, unexpected = model.load_state_dict(weights, strict=False)
    lost = [name for name in missing if name != "lm_head.weight"]  # it is the embedding
    wrong = [
        name for name in unexpected if not name.endswith((".attn.bias", ".attn.masked_bias"))
    ]  # masks, not weights
    if lost or wrong:
        raise SystemExit(f"the weights are not those of this GPT-2: {lost} are missing, {wrong} are unknown")
    model.tie_weights()
    with (resources / "MicroTokenizer.pkl").open("rb") as file:
        tokens = read_tokens(file)
    if len(tokens) != config.vocab_size:
        raise SystemExit(f"{len(tokens)} tokens for an embedding of {config.vocab_size}")
    words = Tokenizer(WordLevel({token: i for i, token in enumerate(tokens)}, unk_token="<mask>"))
    words.pre_tokenizer = WhitespaceSplit()
    special = {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<mask>"}
    model.eval().save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=words, **special).save_pretrained(folder)
    return model


def write_samples(model: GPT2LMHeadModel, folder: Path, out: Path, n_samples: int, longest: int) -> None:
    """Samples drawn from the model, one a document, as text that its tokenizer gives back as the same tokens."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    torch.manual_seed(0)
    special = set(tokenizer.all_special_ids)
    with out.open("w", encoding="utf-8") as lines:
        for start in range(0, n_samples, 50):
            begun = torch.full((min(50, n_samples - start), 1), tokenizer.bos_token_id)
            with torch.inference_mode():
                drawn = model.generate(
                    begun,
                    attention_mask=torch.ones_like(begun),
                    do_sample=True,
                    max_length=longest,
                    pad_token_id=tokenizer.pad_token_id,
                )
            for i, row in enumerate(drawn.tolist()):
                text = " ".join(tokenizer.convert_ids_to_tokens([token for token in row if token not in special]))
                lines.write(json.dumps({"text": text, "id": f"sample-{start + i}"}) + "\n")
            print(f"{start + len(drawn)} of {n_samples} samples", flush=True)


def main() -> None:
    """See the top of this file."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("out", type=Path)
    arguments.add_argument("--samples", type=int, default=1000)
    arguments.add_argument("--longest", type=int, default=128, help="genera a sample")
    given = arguments.parse_args()
    package = find_spec("mgm")
    if package is None or package.origin is None:
        raise SystemExit("the weights are missing: pip install --no-deps microformer-mgm==0.5.8")
    model = save_model(Path(package.origin).parent / "resources", given.out / "genus-gpt2")
    write_samples(model, given.out / "genus-gpt2", given.out / "genera.jsonl", given.samples, given.longest)


if __name__ == "__main__":
    main()
