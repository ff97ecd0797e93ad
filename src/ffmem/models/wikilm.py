"""The language model of Baevski & Auli (2019), as Geva et al. (2021) read its memories: ReLU cells, no final LayerNorm.

Pre-LN layers, sinusoidal positions, an adaptive input (words in bands by frequency, rarer ones with smaller vectors) and
an adaptive softmax that shares its vectors and projections. transformers has no such model, so it stands here, and is
registered there: folders are saved and loaded as those of any other family.

Source: Baevski & Auli, "Adaptive Input Representations for Neural Language Modeling" (ICLR 2019); Grave et al., "Efficient
softmax approximation for GPUs" (ICML 2017), without whose biases it stands.
"""

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any, ClassVar, no_type_check

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel
from transformers.cache_utils import Cache, DynamicCache
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutput

Keep = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""From the keys and values of some positions to those of all so far."""
_FIRST_POSITION = 2
"""What the first token's position is numbered: fairseq counts from the padding's id (1) on."""


@no_type_check  # as transformers makes it, its __init__ takes any keyword, which checks of its signature do not know
class WikiLMConfig(PreTrainedConfig):
    """Sizes; the defaults are those of the paper's model, ``transformer_lm.wiki103.adaptive``."""

    model_type = "wikilm"

    vocab_size: int = 267_744
    """Words, most frequent first after the special ones."""
    cutoffs: list[int] | None = None
    """Where the second band begins, and each further one; (20000, 60000) by default, [] for a single band."""
    adaptive_factor: int = 4
    """By how much the vectors of each band are shorter than those of the band before."""
    hidden_size: int = 1024
    num_hidden_layers: int = 16
    num_attention_heads: int = 8
    intermediate_size: int = 4096
    activation_function: str = "relu"
    final_norm: bool = False
    """Whether a LayerNorm stands before the softmax; the paper's model has none."""
    max_position_embeddings: int = 3072
    layer_norm_eps: float = 1e-5
    dropout: float = 0.0
    """Of embeddings and of what each sub-layer adds, in training."""
    attention_dropout: float = 0.0
    tail_dropout: float = 0.0
    """Of the projected states of the rarer bands, in training."""
    initializer_range: float = 0.02
    pad_token_id: int | None = 1
    bos_token_id: int | None = 2
    eos_token_id: int | list[int] | None = 2
    tie_word_embeddings: bool = False  # the vectors are shared by construction, not by a second name

    def __post_init__(self, **kwargs: Any) -> None:
        self.cutoffs = [20_000, 60_000] if self.cutoffs is None else list(self.cutoffs)
        super().__post_init__(**kwargs)  # type: ignore[no-untyped-call]

    @property
    def bands(self) -> list[tuple[int, int, int]]:
        """First word, end, and length of the vectors of each band."""
        edges = [0, *(self.cutoffs or []), self.vocab_size]
        return [
            (start, end, self.hidden_size // self.adaptive_factor**band)
            for band, (start, end) in enumerate(pairwise(edges))
        ]


class Band(nn.Module):
    """The vectors of words of similar frequency, and their way to d_model."""

    def __init__(self, n_words: int, d_band: int, d_model: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(n_words, d_band)
        self.projection = nn.Linear(d_band, d_model, bias=False)


class AdaptiveInput(nn.Module):
    """Words to vectors, each band with its own length and projection."""

    def __init__(self, config: WikiLMConfig) -> None:
        super().__init__()
        self.edges = [(start, end) for start, end, _ in config.bands]
        self.bands: Any = nn.ModuleList(Band(end - start, d, config.hidden_size) for start, end, d in config.bands)

    def forward(self, token_ids: Int[Tensor, "batch positions"]) -> Float[Tensor, "batch positions d_model"]:
        """The vectors, unscaled."""
        flat = token_ids.reshape(-1)
        first = self.bands[0].projection
        vectors = first.weight.new_zeros(len(flat), first.out_features)
        for (start, end), band in zip(self.edges, self.bands, strict=True):
            here = ((flat >= start) & (flat < end)).nonzero().squeeze(1)
            if len(here):
                some = band.projection(band.embedding(flat[here] - start))
                vectors = vectors.index_copy(0, here, some.to(vectors.dtype))
        shaped: Tensor = vectors.view(*token_ids.shape, -1)
        return shaped


class AdaptiveSoftmax(nn.Module):
    """States to log-probabilities of all words, with the vectors and projections of the adaptive input.

    The head scores the words of the first band (by their vectors alone: the first band's projection is the input's only)
    and a class for each further band; log p(word of band b) = log p(class b) + log p(word | band b).

    The ranking of words depends on the state's length, not on its direction only: the classes compete with words, and
    each band has a normaliser of its own.
    """

    def __init__(self, config: WikiLMConfig) -> None:
        super().__init__()
        self.classes = nn.Linear(config.hidden_size, len(config.bands) - 1, bias=False)
        self.tail_dropout = config.tail_dropout

    def _head(self, states: Tensor, words: AdaptiveInput) -> Tensor:
        scores = torch.cat((functional.linear(states, words.bands[0].embedding.weight), self.classes(states)), dim=-1)
        return scores.log_softmax(-1)

    def _tail(self, states: Tensor, band: Any) -> Tensor:
        shorter = functional.dropout(states @ band.projection.weight, self.tail_dropout, self.training)
        return functional.linear(shorter, band.embedding.weight).log_softmax(-1)

    def forward(self, states: Float[Tensor, "*batch d_model"], words: AdaptiveInput) -> Float[Tensor, "*batch d_vocab"]:
        """Natural logarithms; their exponentials sum to 1."""
        n_first = words.edges[0][1]
        head = self._head(states, words)
        parts = [head[..., :n_first]]
        for number, band in enumerate(words.bands[1:]):
            parts.append(self._tail(states, band) + head[..., n_first + number, None])
        return torch.cat(parts, dim=-1)

    def of_words(
        self, states: Float[Tensor, "n d_model"], word_ids: Int[Tensor, "n"], words: AdaptiveInput
    ) -> Float[Tensor, "n"]:
        """The log-probability of one word each: the rarer bands are computed only where a word of theirs is asked for."""
        n_first = words.edges[0][1]
        head = self._head(states, words)
        columns = word_ids.clone()
        for number, (start, end) in enumerate(words.edges[1:]):
            columns[(word_ids >= start) & (word_ids < end)] = n_first + number
        found: Tensor = head.gather(1, columns[:, None])[:, 0]
        for (start, end), band in zip(words.edges[1:], words.bands[1:], strict=True):
            here = ((word_ids >= start) & (word_ids < end)).nonzero().squeeze(1)
            if len(here):
                within = self._tail(states[here], band).gather(1, (word_ids[here] - start)[:, None])[:, 0]
                found = found.index_add(0, here, within)
        return found

    def slopes(self, words: AdaptiveInput) -> Float[Tensor, "d_vocab d_model"]:
        """How the log-probability of each word changes with the state, where that is zero and all words of a band are alike."""
        n_first = words.edges[0][1]
        head = torch.cat((words.bands[0].embedding.weight, self.classes.weight))
        head = head - head.mean(0)
        parts = [head[:n_first]]
        for number, band in enumerate(words.bands[1:]):
            vectors = band.embedding.weight
            parts.append((vectors - vectors.mean(0)) @ band.projection.weight.T + head[n_first + number])
        return torch.cat(parts)

    def normalisers(self, state: Float[Tensor, "d_model"], word_id: int, words: AdaptiveInput) -> Float[Tensor, ""]:
        """What is taken off the linear score of a word to give its log-probability: that of the head, and of its band.

        Computed in the number type of the state.
        """
        kind = state.dtype
        head = torch.cat((words.bands[0].embedding.weight, self.classes.weight)).to(kind) @ state
        taken = head.logsumexp(0)
        for (start, end), band in zip(words.edges[1:], words.bands[1:], strict=True):
            if start <= word_id < end:
                shorter = state @ band.projection.weight.to(kind)
                taken = taken + (band.embedding.weight.to(kind) @ shorter).logsumexp(0)
        return taken


def sinusoids(positions: Int[Tensor, "*batch positions"], d_model: int) -> Float[Tensor, "*batch positions d_model"]:
    """Sines, then cosines, of d_model / 2 wave lengths from 2 pi to 10000 x 2 pi, float32."""
    half = d_model // 2
    rates = torch.exp(torch.arange(half, device=positions.device) * (-math.log(10_000) / (half - 1)))
    angles = positions[..., None].float() * rates
    return torch.cat((angles.sin(), angles.cos()), dim=-1)


class WikiLMAttention(nn.Module):
    """Causal self-attention of several heads, with biases."""

    def __init__(self, config: WikiLMConfig) -> None:
        super().__init__()
        self.config = config
        self.n_heads, self.dropout = config.num_attention_heads, config.attention_dropout
        d_model = config.hidden_size
        self.query, self.key, self.value, self.output = (nn.Linear(d_model, d_model) for _ in range(4))

    def forward(
        self, states: Float[Tensor, "batch positions d_model"], mask: Tensor | None, keep: Keep | None = None
    ) -> tuple[Float[Tensor, "batch positions d_model"], Float[Tensor, "batch heads positions sources"] | None]:
        """What the sub-layer adds to the stream, and the weights, where the model runs with "eager" attention."""
        query, key, value = (
            matrix(states).unflatten(-1, (self.n_heads, -1)).transpose(1, 2)
            for matrix in (self.query, self.key, self.value)
        )
        if keep is not None:
            key, value = keep(key, value)
        dropout = self.dropout if self.training else 0.0
        weights: Tensor | None = None
        if self.config._attn_implementation == "eager":
            if mask is None:
                mask = torch.ones(states.shape[1], states.shape[1], dtype=torch.bool, device=states.device).tril()
            scores = query @ key.mT * query.shape[-1] ** -0.5
            weights = scores.masked_fill(~mask, -torch.inf).softmax(-1)
            mixed = functional.dropout(weights, dropout) @ value
        else:
            mixed = functional.scaled_dot_product_attention(
                query, key, value, attn_mask=mask, dropout_p=dropout, is_causal=mask is None
            )
        return self.output(mixed.transpose(1, 2).flatten(2)), weights


class WikiLMLayer(nn.Module):
    """r = h + attention(LN(h)); o = r + fc2(ReLU(fc1(LN(r))))."""

    def __init__(self, config: WikiLMConfig) -> None:
        super().__init__()
        d_model = config.hidden_size
        self.attention_norm = nn.LayerNorm(d_model, eps=config.layer_norm_eps)
        self.attention = WikiLMAttention(config)
        self.ff_norm = nn.LayerNorm(d_model, eps=config.layer_norm_eps)
        self.fc1 = nn.Linear(d_model, config.intermediate_size)
        self.fc2 = nn.Linear(config.intermediate_size, d_model)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, states: Float[Tensor, "batch positions d_model"], mask: Tensor | None, keep: Keep | None = None
    ) -> Float[Tensor, "batch positions d_model"]:
        """The layer's output."""
        added, _ = self.attention(self.attention_norm(states), mask, keep)
        residual = states + self.dropout(added)
        output: Tensor = residual + self.dropout(self.fc2(torch.relu(self.fc1(self.ff_norm(residual)))))
        return output


class WikiLMPreTrainedModel(PreTrainedModel):
    """What both models below share with transformers."""

    config_class = WikiLMConfig
    base_model_prefix = "model"
    _supports_sdpa = True

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=self.config.initializer_range)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=module.embedding_dim**-0.5)
        elif isinstance(module, nn.LayerNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)


def _positions(
    input_ids: Int[Tensor, "batch positions"], attention_mask: Tensor | None, n_before: int
) -> tuple[Int[Tensor, "*batch positions"], Tensor | None]:
    """What positions are numbered, behind so many that are kept; and what each sees: None is all up to itself."""
    n_all, device = n_before + input_ids.shape[1], input_ids.device
    positions = torch.arange(n_before, n_all, device=device)
    padded = attention_mask is not None and not attention_mask.all()
    if not padded and not n_before:
        return positions, None
    before = torch.ones(n_all, n_all, dtype=torch.bool, device=device).tril()
    if attention_mask is None or not padded:
        return positions, before[n_before:]
    mask = before & attention_mask[:, None, None, :].bool()
    mask |= torch.eye(n_all, dtype=torch.bool, device=device)  # padding sees itself
    return (attention_mask.cumsum(1) - 1).clamp(min=0)[:, n_before:], mask[:, :, n_before:]


class WikiLMModel(WikiLMPreTrainedModel):
    """The model without its softmax: token ids to final states."""

    layer_class: ClassVar[type[nn.Module]] = WikiLMLayer
    """What its layers are."""

    def __init__(self, config: WikiLMConfig) -> None:
        super().__init__(config)
        self.words = AdaptiveInput(config)
        self.layers = nn.ModuleList(self.layer_class(config) for _ in range(config.num_hidden_layers))
        self.final_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps) if config.final_norm else None
        self.dropout = nn.Dropout(config.dropout)
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(
        self,
        input_ids: Int[Tensor, "batch positions"],
        attention_mask: Int[Tensor, "batch all_positions"] | None = None,
        output_hidden_states: bool = False,
        past_key_values: Cache | None = None,
        use_cache: bool = False,
        **_: Any,
    ) -> BaseModelOutputWithPast:
        """Final states; with ``output_hidden_states`` also the embeddings and every layer's output but the last.

        With ``use_cache`` attention keeps what it has of these positions, so that a later call goes on from them.
        """
        kept = DynamicCache() if use_cache and past_key_values is None else past_key_values
        n_before = 0 if kept is None else int(kept.get_seq_length())
        positions, mask = _positions(input_ids, attention_mask, n_before)
        vectors = self.words(input_ids)
        waves = sinusoids(positions + _FIRST_POSITION, self.config.hidden_size).to(vectors.dtype)
        states = self.dropout(vectors * math.sqrt(self.config.hidden_size) + waves)
        between = [states]
        for number, layer in enumerate(self.layers):
            states = layer(states, mask, None if kept is None else partial(kept.update, layer_idx=number))
            between.append(states)
        if self.final_norm is not None:
            states = self.final_norm(states)
            between[-1] = states
        return BaseModelOutputWithPast(
            last_hidden_state=states,
            past_key_values=kept,
            hidden_states=tuple(between) if output_hidden_states else None,
        )

    def get_input_embeddings(self) -> AdaptiveInput:
        """All bands."""
        return self.words


class WikiLMForCausalLM(WikiLMPreTrainedModel):
    """The language model. Its "logits" are log-probabilities over all words."""

    backbone_class: ClassVar[type[WikiLMModel]] = WikiLMModel

    def __init__(self, config: WikiLMConfig) -> None:
        super().__init__(config)
        self.model = self.backbone_class(config)
        self.softmax = AdaptiveSoftmax(config)
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(
        self, input_ids: Int[Tensor, "batch positions"], attention_mask: Tensor | None = None, **named: Any
    ) -> CausalLMOutput:
        """Log-probabilities of the word after each position."""
        found = self.model(input_ids, attention_mask, **named)
        return CausalLMOutput(logits=self.log_probabilities(found[0]), hidden_states=found.hidden_states)

    def log_probabilities(self, states: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_vocab"]:
        """Of final states, or of any vector that is to be read like one."""
        found: Tensor = self.softmax(states, self.model.words)
        return found

    def log_probabilities_of(
        self, states: Float[Tensor, "n d_model"], word_ids: Int[Tensor, "n"]
    ) -> Float[Tensor, "n"]:
        """Of one word after each state: `AdaptiveSoftmax.of_words`."""
        return self.softmax.of_words(states, word_ids, self.model.words)

    def direction(self, word_id: int) -> Float[Tensor, "d_model"]:
        """The vector whose product with a final state is the score of a word: of its class and of itself, where it is rare.

        Float64.
        """
        for number, ((start, end), band) in enumerate(zip(self.model.words.edges, self.model.words.bands, strict=True)):
            if start <= word_id < end:
                word: Tensor = band.embedding.weight[word_id - start].double()
                of_class = self.softmax.classes.weight[number - 1].double() if number else None
                return word if of_class is None else band.projection.weight.double() @ word + of_class
        raise IndexError(f"no word {word_id}")

    def slopes(self) -> Float[Tensor, "d_vocab d_model"]:
        """How log-probabilities change with a final state of zeros: as `direction`, with the normalisers to first order."""
        found: Tensor = self.softmax.slopes(self.model.words)
        return found

    def normalisers(self, state: Float[Tensor, "d_model"], word_id: int) -> Float[Tensor, ""]:
        """What is taken off the product of `direction` and a final state to give the log-probability of a word.

        Words of different bands have different normalisers, so scores without them say nothing about two such words.
        """
        found: Tensor = self.softmax.normalisers(state, word_id, self.model.words)
        return found

    def get_output_embeddings(self) -> None:
        """None: there is no single matrix."""
        return


AutoConfig.register("wikilm", WikiLMConfig, exist_ok=True)
AutoModelForCausalLM.register(WikiLMConfig, WikiLMForCausalLM, exist_ok=True)
