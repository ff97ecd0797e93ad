"""A fuzzer that reads the OpenAPI document asks every address of it for what it promises, and for what it does not."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient

schemathesis = pytest.importorskip("schemathesis", reason="the fuzzer comes with the extra dev")

import hypothesis  # noqa: E402 (only where the fuzzer is there)

from ffmem import Index  # noqa: E402 (only where the fuzzer is there)


def test_the_document_names_every_page_with_data(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    paths = set(document["paths"])
    assert {"/index.json", "/cells.json", "/cells/{cell_id}.json", "/sentences/{sentence_id}.json"} <= paths
    for path, methods in document["paths"].items():
        for method in methods.values():
            assert method["summary"] and method.get("description"), path


# the fuzzer's own strategies use random, of which hypothesis warns now and then
@pytest.mark.filterwarnings("ignore:Do not use the `random` module:hypothesis.errors.HypothesisDeprecationWarning")
def test_no_request_makes_it_fail(index_of: Callable[[str], Index], tmp_path: Path) -> None:
    from ffmem.server.app import make_app
    from ffmem.server.opening import open_explorer

    shutil.copytree(index_of("llama").folder, tmp_path / "index")  # its own: the fuzzer writes to it
    explorer = open_explorer(tmp_path / "index")
    app = make_app(explorer, ("testserver", "localhost"))
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)

    for operation in schema.get_all_operations():

        @hypothesis.given(case=operation.ok().as_strategy())
        @hypothesis.settings(
            max_examples=8,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        def run(case: object) -> None:
            answer = case.call()  # type: ignore[attr-defined]
            assert answer.status_code < 500, (case, answer.text)

        run()
