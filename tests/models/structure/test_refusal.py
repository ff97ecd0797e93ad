"""The modules of a model, as a report of it lists them."""

from torch import nn

from ffmem.models.structure.refusal import NotProvenError, module_tree


def test_those_alike_in_a_list_are_one_line() -> None:
    layers = [nn.Sequential(nn.Linear(2, 3, bias=False)) for _ in range(4)]
    layers[2][0] = nn.Linear(2, 3)
    module = nn.Sequential()
    module.add_module("layers", nn.ModuleList(layers))
    lines = [
        "Sequential (torch.nn.modules.container)",
        "  layers = ModuleList",
        "    layers.* = Sequential",
        "      layers.*.* = Linear: weight [3, 2]",
        "      layers.*.* = Linear: weight [3, 2], bias [3]",
    ]
    assert module_tree(module).split("\n") == lines
    assert NotProvenError("what", "got", "mend").of(module).modules.split("\n") == lines
