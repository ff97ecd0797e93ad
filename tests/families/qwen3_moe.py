"""Qwen 3 with experts; the layer in the middle has none."""

from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

from tests.families import D_FF, EXPERTS, Example

_CONFIG = EXPERTS | {"num_experts": 3, "moe_intermediate_size": D_FF, "mlp_only_layers": [1], "norm_topk_prob": True}

EXAMPLES = {"qwen3_moe": Example(lambda n: Qwen3MoeForCausalLM(Qwen3MoeConfig(**_CONFIG, vocab_size=n)))}
