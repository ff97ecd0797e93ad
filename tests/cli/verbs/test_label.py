import json
from pathlib import Path

import pytest

from ffmem.cli.app import app
from tests.fixtures.stand_in import serving
from tests.names.lm.planted import planted_index, true_answer


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    from ffmem.cli import app as registered

    assert registered is app
    app(["label", *arguments], exit_on_error=False, result_action="return_value")
    return capsys.readouterr().out


def test_plan_report_and_markdown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    planted_index(tmp_path / "index")
    with serving(true_answer) as server:
        common = (
            str(tmp_path / "index"), "--server", server.url, "--model", "model", "--no-model", "--quiet", "--cells", "L0.1-3",
        )  # fmt: skip
        plan = json.loads(run(capsys, *common, "--plan", "--json"))
        assert plan["n_units"] == 3 and server.n_calls == 0
        told = json.loads(run(capsys, *common, "--json"))
        assert [one["label"] for one in told["units"]] == ["the word bar", "the word bas", "the word bat"]
        n_calls = server.n_calls
        text = run(capsys, *common, "--markdown")
        assert "| cells | 3 |" in text and server.n_calls == n_calls
    assert told["trusted"] and told["run"] == 1
