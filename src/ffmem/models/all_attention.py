"""The language model of Sukhbaatar et al. (2019): memories in the softmax of attention, and no feed-forward layers.

Embedding, positions and softmax are those of `wikilm`, so that the two can be held against each other. In a layer each head
has N keys and values of its own, the *persistent vectors*, which stand beside the keys and values of the context and share one
softmax with them. The weight of a persistent vector is the coefficient of a cell.

Source: Sukhbaatar, Grave, Lample, Jegou and Joulin, "Augmenting Self-attention with Persistent Memory" (2019). As there, keys
are d_head^(1/2) and values N^(1/2) times the parameters. There, positions are relative and the context is a window of adaptive
length, behind whose soft edge weights are divided by their sum once more; here there is no window, and they add up to 1.
"""

import math
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM

from ffmem.models.wikilm import Keep, WikiLMConfig, WikiLMForCausalLM, WikiLMModel, WikiLMPreTrainedModel


class AllAttentionConfig(WikiLMConfig):
    """That of `wikilm`; ``intermediate_size`` is N, the memories of each head: a layer has as many parameters with either."""

    model_type = "all_attention"

    activation_function: str = "softmax"


class PersistentVectors(nn.Module):
    """The memories of all heads of a layer: those of head h are rows h N to h N + N - 1.

    Args:
        n_heads: H.
        n_memories: N, of each head.
        d_head: length of keys and values.
    """

    def __init__(self, n_heads: int, n_memories: int, d_head: int) -> None:
        super().__init__()
        self.n_heads, self.n_memories, self.d_head = n_heads, n_memories, d_head
        self.keys = nn.Parameter(torch.empty(n_heads * n_memories, d_head))
        """kappa: the score of a memory is q . kappa, q the query before it is divided by d_head^(1/2)."""
        self.values = nn.Parameter(torch.empty(n_heads * n_memories, d_head))
        """nu: what a memory gives its head is N^(1/2) nu."""
        self.reset()

    def reset(self) -> None:
        """Draw them anew, as in the paper's code: of the size of other keys and values, once they are multiplied."""
        nn.init.normal_(self.keys, std=self.keys.shape[1] ** -0.5)  # which spares what a file has filled
        nn.init.normal_(self.values, std=max(self.n_memories, 1) ** -0.5)

    @property
    def scale(self) -> float:
        """N^(1/2)."""
        return math.sqrt(self.n_memories)

    def scores(self, query: Float[Tensor, "batch heads positions d_head"]) -> Float[Tensor, "batch heads positions n"]:
        """Of each head's memories, before the softmax."""
        found: Tensor = query @ self.keys.view(self.n_heads, self.n_memories, self.d_head).mT
        return found

    def forward(self, coefficients: Float[Tensor, "batch positions cells"]) -> Float[Tensor, "batch positions mixed"]:
        """What each head makes of its memories' values, one head after the other."""
        by_head = coefficients.view(*coefficients.shape[:2], self.n_heads, self.n_memories).transpose(1, 2)
        mixed: Tensor = by_head @ self.values.view(self.n_heads, self.n_memories, self.d_head) * self.scale
        return mixed.transpose(1, 2).flatten(2)


class AllAttention(nn.Module):
    """Causal self-attention of several heads, each over its context and its persistent vectors in one softmax."""

    def __init__(self, config: AllAttentionConfig) -> None:
        super().__init__()
        self.n_heads = config.num_attention_heads
        d_model = config.hidden_size
        self.query, self.key, self.value, self.output = (nn.Linear(d_model, d_model) for _ in range(4))
        self.memories = PersistentVectors(self.n_heads, config.intermediate_size, d_model // self.n_heads)
        self.memory_sum = nn.Identity()
        """What memories add to the stream passes here, so that a hook can see it."""
        self.attention_dropout = nn.Dropout(config.attention_dropout)

    def forward(
        self, states: Float[Tensor, "batch positions d_model"], mask: Tensor | None, keep: Keep | None = None
    ) -> tuple[
        Float[Tensor, "batch positions d_model"],
        Float[Tensor, "batch positions d_model"],
        Float[Tensor, "batch heads positions sources"],
    ]:
        """What the context adds to the stream, with b_O; what memories add; and the weights of the context.

        With those of the memories, these add up to 1.
        """
        query, key, value = (
            matrix(states).unflatten(-1, (self.n_heads, -1)).transpose(1, 2)
            for matrix in (self.query, self.key, self.value)
        )
        if keep is not None:
            key, value = keep(key, value)
        n_sources = key.shape[2]
        if mask is None:
            mask = torch.ones(states.shape[1], n_sources, dtype=torch.bool, device=states.device).tril()
        scores = (query @ key.mT * query.shape[-1] ** -0.5).masked_fill(~mask, -torch.inf)
        weights = torch.cat((scores, self.memories.scores(query)), dim=-1).softmax(-1)
        context, of_memories = self.attention_dropout(weights).split((n_sources, self.memories.n_memories), dim=-1)
        added: Tensor = self.output((context @ value).transpose(1, 2).flatten(2))
        mixed = self.memories(of_memories.transpose(1, 2).flatten(2))
        remembered: Tensor = self.memory_sum(nn.functional.linear(mixed, self.output.weight))
        return added, remembered, context


class AllAttentionLayer(nn.Module):
    """o = h + attention(LN(h)); what comes of the context is added before what comes of memories."""

    def __init__(self, config: AllAttentionConfig) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.attention = AllAttention(config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, states: Float[Tensor, "batch positions d_model"], mask: Tensor | None, keep: Keep | None = None
    ) -> Float[Tensor, "batch positions d_model"]:
        """The layer's output."""
        added, remembered, _ = self.attention(self.attention_norm(states), mask, keep)
        output: Tensor = states + self.dropout(added + remembered)
        return output


def _init_weights(model: WikiLMPreTrainedModel, module: nn.Module) -> None:
    if isinstance(module, PersistentVectors):
        module.reset()
    else:
        WikiLMPreTrainedModel._init_weights(model, module)


class AllAttentionModel(WikiLMModel):
    """The model without its softmax: token ids to final states."""

    config_class = AllAttentionConfig
    layer_class: ClassVar[type[nn.Module]] = AllAttentionLayer

    def _init_weights(self, module: nn.Module) -> None:
        _init_weights(self, module)


class AllAttentionForCausalLM(WikiLMForCausalLM):
    """The language model. Its "logits" are log-probabilities over all words."""

    config_class = AllAttentionConfig
    backbone_class: ClassVar[type[WikiLMModel]] = AllAttentionModel

    def _init_weights(self, module: nn.Module) -> None:
        _init_weights(self, module)


AutoConfig.register("all_attention", AllAttentionConfig, exist_ok=True)
AutoModelForCausalLM.register(AllAttentionConfig, AllAttentionForCausalLM, exist_ok=True)
