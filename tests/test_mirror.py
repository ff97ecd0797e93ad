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
    "analyses/alignment/aligner",
    "analyses/alignment/links",
    "analyses/alignment/maps",
    "analyses/alignment/pairs",
    "analyses/attention/inputs",
    "analyses/attention/mixing",
    "analyses/attention/options",
    "analyses/indexed",
    "analyses/patterns/control",
    "analyses/patterns/detect",
    "analyses/patterns/results",
    "analyses/patterns/summary",
    "annotations/adjudication",
    "annotations/drafts",
    "cli/loading",
    "cli/studying",
    "cli/verbs/activate",
    "cli/verbs/reproduce",
    "cli/verbs/serve",
    "cli/verbs/tables",
    "errors",
    "index/adopt",
    "index/finish",
    "index/indexed_model",
    "index/inherit",
    "index/progress",
    "index/request",
    "index/run/choose",
    "index/run/job",
    "index/run/processes",
    "index/run/ray/actor",
    "index/run/ray/remote_worker",
    "index/scan/accumulators",
    "index/scan/job",
    "index/scan/shard_text",
    "index/scan/tasks",
    "index/scan/worker",
    "index/state/accumulator",
    "index/state/gpu_kernel",
    "index/state/kernel",
    "index/state/states",
    "index/text/text_spool",
    "index/text/token_spool",
    "index/verification",
    "index/verify",
    "index/verify_files",
    "index/verify_model",
    "models/attention",
    "models/base",
    "models/coefficient_hooks",
    "models/family_table",
    "models/fingerprints",
    "models/frozen_norm",
    "models/loading/accounting",
    "models/loading/adapters",
    "models/loading/marian_tokenizer",
    "models/loading/same_weights",
    "models/loading/tensors",
    "models/quiet",
    "models/samples",
    "models/sentences_to_try",
    "models/transformer",
    "models/wikilm",
    "queries/export",
    "queries/inverted",
    "queries/overview",
    "queries/profile",
    "queries/question",
    "queries/record_batches",
    "queries/table",
    "render/alignment",
    "render/index",
    "render/progress",
    "render/study",
    "server/app",
    "server/listen",
    "server/model_questions",
    "server/opening",
    "server/routes/annotate",
    "server/routes/attention",
    "server/routes/cells",
    "server/routes/diff",
    "server/routes/figures",
    "server/routes/overview",
    "server/routes/prompt",
    "server/routes/search",
    "server/routes/sentences",
    "server/views/annotate",
    "server/views/annotated",
    "server/views/attention",
    "server/views/cell",
    "server/views/cells",
    "server/views/diff",
    "server/views/figures",
    "server/views/overview",
    "server/views/prompt",
    "server/views/search",
    "server/views/sentence",
    "server/views/similar",
    "server/warm",
    "site/write",
    "store/facts",
    "store/files",
    "store/histogram",
    "store/reader",
    "store/schema",
    "studies/alignment/choice",
    "studies/alignment/findings",
    "studies/alignment/gains",
    "studies/alignment/layers",
    "studies/alignment/output",
    "studies/alignment/systems",
    "studies/geva2021/cell_patterns",
    "studies/study",
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
