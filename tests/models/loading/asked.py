"""Coefficients of a model for a few tokens: by its view, and by plain hooks in a plain call."""

import torch

from ffmem.models.transformer import Transformer

TOKENS = torch.tensor([[0, 17, 42, 99, 5, 73, 7]])


def coefficients(model: Transformer) -> torch.Tensor:
    """Of all layers, as the view reports them."""
    seen: list[torch.Tensor] = []
    with torch.no_grad(), model.watch_coefficients(lambda _, found: seen.append(found.clone())):
        model.forward(TOKENS)
    return torch.stack(seen)


def plain_coefficients(module: torch.nn.Module, ending: str, **more: object) -> torch.Tensor:
    """The same by hooks on the modules whose path ends so, in a plain call of the model."""
    seen: list[torch.Tensor] = []
    hooks = [
        part.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
        for name, part in module.named_modules()
        if name.endswith(ending)
    ]
    with torch.no_grad():
        module.eval()(input_ids=TOKENS, **more)
    for hook in hooks:
        hook.remove()
    return torch.stack([one.view(1, TOKENS.shape[1], -1) for one in seen])
