"""A family that nobody knows, in one file: what a user would put beside the others. It is copied into a folder of its own."""

from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput, CausalLMOutput

from ffmem.models.base import AttentionLayout, Family, Layout


class ToyConfig(PreTrainedConfig):
    model_type = "toy"

    vocab_size: int = 400
    hidden_size: int = 16
    num_hidden_layers: int = 2
    num_attention_heads: int = 1
    max_position_embeddings: int = 64
    hidden_act: str = "relu"


class ToyAttention(nn.Module):
    """Each position takes the mean of those up to it."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.v, self.o = nn.Linear(d_model, d_model), nn.Linear(d_model, d_model)

    def forward(self, states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        weights = torch.ones(states.shape[1], states.shape[1]).tril()
        weights = (weights / weights.sum(1, keepdim=True))[None, None]
        return self.o(weights[:, 0] @ self.v(states)), weights


class ToyLayer(nn.Module):
    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.before, self.norm = nn.LayerNorm(d_model), nn.LayerNorm(d_model)
        self.mean = ToyAttention(d_model)
        self.keys, self.values = nn.Linear(d_model, 24), nn.Linear(24, d_model)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        states = states + self.mean(self.before(states))[0]
        return states + self.values(torch.relu(self.keys(self.norm(states))))


class ToyModel(PreTrainedModel):
    config_class = ToyConfig

    def __init__(self, config: ToyConfig) -> None:
        super().__init__(config)
        self.words = nn.Embedding(config.vocab_size, config.hidden_size)
        self.blocks = nn.ModuleList(ToyLayer(config.hidden_size) for _ in range(config.num_hidden_layers))
        self.last = nn.LayerNorm(config.hidden_size)
        self.post_init()

    def forward(self, input_ids: torch.Tensor, **_: Any) -> BaseModelOutput:
        states = self.words(input_ids)
        for block in self.blocks:
            states = block(states)
        return BaseModelOutput(last_hidden_state=self.last(states))

    def get_input_embeddings(self) -> nn.Embedding:
        return self.words


class ToyForCausalLM(PreTrainedModel):
    config_class = ToyConfig

    def __init__(self, config: ToyConfig) -> None:
        super().__init__(config)
        self.body = ToyModel(config)
        self.head = nn.Linear(config.hidden_size, config.vocab_size)
        self.post_init()

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **_: Any) -> CausalLMOutput:
        return CausalLMOutput(logits=self.head(self.body(input_ids)[0]))

    def get_input_embeddings(self) -> nn.Embedding:
        return self.body.words

    def get_output_embeddings(self) -> nn.Linear:
        return self.head


AutoConfig.register("toy", ToyConfig, exist_ok=True)
AutoModelForCausalLM.register(ToyConfig, ToyForCausalLM, exist_ok=True)

FAMILY = Family(
    name="toy",
    architectures={"ToyForCausalLM": "AutoModelForCausalLM"},
    layout=lambda _: Layout(
        backbone="body",
        layers="blocks",
        key="keys",
        value="values",
        ff_norm="norm",
        attention=(AttentionLayout(module="mean", value="mean.v", output="mean.o", norm="before"),),
        final_norm="last",
    ),
    activation="hidden_act",
)
