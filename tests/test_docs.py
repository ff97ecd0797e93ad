"""The documentation names everything there is, and what is generated is fresh."""

import ast
import re
import subprocess
from dataclasses import fields
from pathlib import Path

import pytest

import ffmem
from ffmem import errors
from ffmem.corpus.registry import FILE_KINDS, OTHER_KINDS
from ffmem.models.family_table import family_table
from ffmem.models.registry import FAMILIES
from ffmem.options import IndexOptions, RunOptions

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
REFRESH = "python -c 'from ffmem.cli import reference; print(reference(), end=\"\")' > docs/reference/cli.md"


def test_the_command_reference_is_fresh() -> None:
    from ffmem.cli import reference

    assert (DOCS / "reference" / "cli.md").read_text() == reference(), f"stale: run {REFRESH}"


def test_every_option_is_in_the_reference() -> None:
    text = (DOCS / "reference" / "cli.md").read_text()
    for option in [*fields(IndexOptions), *fields(RunOptions)]:
        assert re.search(f"`--{option.name.replace('_', '-')}[ ,`]", text), option.name  # a flag has no value


def test_every_public_name_has_its_heading() -> None:
    text = (DOCS / "reference" / "python.md").read_text()
    for name in ffmem.__all__:
        if not name.startswith("_"):
            assert re.search(rf"^##+ `{name}\b", text, re.MULTILINE), name


def test_every_reading_command_has_its_heading() -> None:
    commands = re.findall(r"^## ffmem (\w+)$", (DOCS / "reference" / "cli.md").read_text(), re.MULTILINE)
    headings = re.findall(r"^## `(\w+)`$", (DOCS / "reference" / "queries.md").read_text(), re.MULTILINE)
    assert {*commands} - {"index", "verify"} == {*headings}


def test_every_error_class_has_its_heading() -> None:
    text = (DOCS / "errors.md").read_text()
    for name in ("FfmemError", "InputError", "StoreError", "ModelError"):
        assert issubclass(getattr(errors, name), errors.FfmemError)
        assert re.search(rf"^#+ .*{name}", text, re.MULTILINE), name


def test_every_family_is_documented() -> None:
    text = (DOCS / "reference" / "families.md").read_text()
    for family in FAMILIES:
        assert f"## `{family.name}`" in text
        for architecture in family.architectures:
            assert architecture in text


def test_the_table_of_families_is_fresh() -> None:
    text = (DOCS / "reference" / "families.md").read_text()
    assert f"<!-- families -->\n{family_table()}<!-- /families -->\n" in text, "stale: print family_table() into it"


def test_every_kind_of_corpus_is_documented() -> None:
    text = (DOCS / "reference" / "corpora.md").read_text()
    kinds = dict(OTHER_KINDS) | {kind.name: f"FILE{kind.suffix}" for kind in FILE_KINDS}
    sections = dict(re.findall(r"^## `(\S+)`\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    assert sections.keys() == kinds.keys()
    for name, typed in kinds.items():
        assert sections[name].lstrip().startswith(f"`{typed}`"), name
    for kind in FILE_KINDS:
        for suffix in kind.suffixes:
            assert f"{suffix}`" in sections[kind.name], suffix


@pytest.mark.parametrize("page", sorted([*DOCS.rglob("*.md"), ROOT / "README.md"]), ids=lambda p: p.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_readme_opens_with_the_two_commands() -> None:
    code = re.search(r"```(?:sh|bash|console)?\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert code is not None and "make demo" in code[1] and "make test" in code[1]


def test_what_the_page_on_clusters_shows_can_be_read(tmp_path: Path) -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML, which transformers brings, is not installed")
    page = (DOCS / "how-to" / "cluster.md").read_text()
    (job,) = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)]
    cluster = job["spec"]["rayClusterSpec"]
    assert job["kind"] == "RayJob" and job["spec"]["entrypoint"].startswith("ffmem index ")
    assert f"ray=={cluster['rayVersion']}" in (ROOT / "constraints.txt").read_text()
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        assert {one["name"] for one in pod["volumes"]} == {one["name"] for one in pod["containers"][0]["volumeMounts"]}
    (script,) = re.findall(r"```bash\n(.*?)```", page, re.DOTALL)
    (tmp_path / "ffmem.sbatch").write_text(script)
    checked = subprocess.run(["bash", "-n", tmp_path / "ffmem.sbatch"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    for option in re.findall(r"`(--[a-z-]+)", page.split("## A laptop")[0]):
        assert re.search(f"{option}[ ,`]", (DOCS / "reference" / "cli.md").read_text()), option


NOT_FOR_USERS = ("/design/", "performance.md", "reproduction", "comparison.md", "glossary.md")
"""Notes for developers, pages made by studies, what other tools call things, and the list itself."""


def _messages(source: str) -> list[str]:
    """What the errors of a module say, with `{}` for what is filled in."""
    said = []
    for call in ast.walk(ast.parse(source)):
        if isinstance(call, ast.Call) and ast.unparse(call.func) in {"InputError", "StoreError", "ModelError"}:
            for part in (*call.args, *(keyword.value for keyword in call.keywords)):
                texts = [
                    one.value for one in ast.walk(part) if isinstance(one, ast.Constant) and isinstance(one.value, str)
                ]
                said.append("{}".join(texts))
    return said


def test_no_text_for_users_has_a_word_that_the_glossary_replaces() -> None:
    table = (DOCS / "glossary.md").read_text().split("\n## Words that we do not use\n")[1]
    rows = re.findall(r"^\| ([^|]+?) \| [^|]+ \|[^|]*\|$", table, re.MULTILINE)
    words = [word for row in rows[1:] for word in row.split(", ")]
    assert "neuron" in words and "ablation" in words
    source = ROOT / "src" / "ffmem"
    pages = [ROOT / "README.md", *DOCS.rglob("*.md"), *source.glob("server/templates/*.html")]
    texts = [(str(one), one.read_text()) for one in pages if not any(part in str(one) for part in NOT_FOR_USERS)]
    texts += [(str(file), part) for file in source.rglob("*.py") for part in _messages(file.read_text())]
    assert len(texts) > 1000  # three parts of each error
    texts = [(name, " ".join(text.split())) for name, text in texts]
    found = {
        (word, name, text[max(match.start() - 40, 0) : match.end() + 20])
        for word in words
        for name, text in texts
        for match in re.finditer(rf"\b{re.escape(word)}s?\b", text, re.IGNORECASE)
    }
    assert not found


def test_the_glossary_has_one_entry_for_each_word() -> None:
    heads = [re.sub(r"\s+", " ", head) for head in re.findall(r"\*\*([^*]+)\*\*", (DOCS / "glossary.md").read_text())]
    assert len(heads) > 80 and len(set(heads)) == len(heads)
