"""Tests mirror the source: every module with logic has a test file of its name in the mirrored place."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE, TESTS = ROOT / "src" / "ffmem", ROOT / "tests"
COVERED_ELSEWHERE = {
    # a family is data: each is held to the contract in tests/contracts, with a tiny model of its own
    "models/families",
}
"""Rooms whose modules are tested together, and why."""
MISSING = {
    "index/run/ray/actor",
    "index/run/ray/remote_worker",
    "studies/alignment/choice",
    "studies/alignment/findings",
    "studies/alignment/gains",
    "studies/alignment/layers",
    "studies/alignment/output",
    "studies/alignment/systems",
}
"""Modules that have no test of their name yet. This list only shrinks: a new module brings its test."""


def has_logic(path: Path) -> bool:
    """Whether a module has a function with more in it than a docstring."""
    functions = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef))
    return any(not all(isinstance(inner, ast.Expr | ast.Pass) for inner in function.body) for function in functions)


def modules() -> dict[str, Path]:
    """Every module with logic, by its path below the package without the suffix -> where its test belongs."""
    return {
        path.relative_to(SOURCE).with_suffix("").as_posix(): TESTS
        / path.relative_to(SOURCE).parent
        / f"test_{path.name}"
        for path in sorted(SOURCE.rglob("*.py"))
        if not path.name.startswith("__") and has_logic(path)
    }


def without_test() -> set[str]:
    return {
        module
        for module, test in modules().items()
        if not test.is_file() and Path(module).parent.as_posix() not in COVERED_ELSEWHERE
    }


def test_every_module_with_logic_has_a_test_of_its_name() -> None:
    new = without_test() - MISSING
    assert not new, (
        f"no test of their name: {', '.join(str(modules()[module].relative_to(ROOT)) for module in sorted(new))}"
    )


def test_the_list_of_missing_tests_only_shrinks() -> None:
    done = MISSING - without_test()
    assert not done, (
        f"these have a test of their name now (or are gone); take them off the list: {', '.join(sorted(done))}"
    )


def test_logic_is_told_from_tables(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text('"""A table."""\nX = {1: 2}\n\nclass A:\n    """Data."""\n    b: int\n')
    assert not has_logic(tmp_path / "a.py")
    (tmp_path / "a.py").write_text("class A:\n    def b(self) -> int:\n        return 1\n")
    assert has_logic(tmp_path / "a.py")
