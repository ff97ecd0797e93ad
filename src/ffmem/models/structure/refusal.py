"""A model that is refused, with all that a report of it needs."""

from torch import nn

from ffmem.errors import ModelError


class NotProvenError(ModelError):
    """No structure of a model is proven, or an identity does not hold."""

    modules: str = ""
    """Its modules, a line each."""

    def of(self, module: nn.Module) -> "NotProvenError":
        """The same, with the modules of the model that it is about."""
        self.modules = module_tree(module)
        return self


def module_tree(module: nn.Module) -> str:
    """The modules of a model, a line each, those alike in a list together: all that a report of a refused model needs."""
    lines = [f"{type(module).__name__} ({type(module).__module__})"]
    seen: set[tuple[str, str]] = set()
    for path, part in module.named_modules():
        parameters = ", ".join(f"{name} {list(one.shape)}" for name, one in part.named_parameters(recurse=False))
        general = ".".join("*" if step.isdigit() else step for step in path.split("."))
        line = f"{type(part).__name__}{f': {parameters}' if parameters else ''}"
        if path and (general, line) not in seen:
            seen.add((general, line))
            lines.append(f"{'  ' * (path.count('.') + 1)}{general} = {line}")
    return "\n".join(lines)
