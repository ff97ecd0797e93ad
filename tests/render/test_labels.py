from dataclasses import replace

from ffmem.names.lm.client.budget import Use
from ffmem.names.lm.plan import Plan
from ffmem.names.lm.report import report_of
from ffmem.render.labels import label_plan, label_report
from tests.names.lm.test_report import INDEX, outcome

ABOUT = {
    "server": "http://127.0.0.1:1/v1",
    "use": Use(n_calls=1234, n_answered=1234, n_from_cache=5, tokens_in=9000, tokens_out=80, money=1.5).to_json(),
}


def test_a_report_puts_cells_beside_controls() -> None:
    report = report_of(INDEX, outcome(), labeller="a|b", judge="b", seed=0, with_model=True)
    lines = label_report(report, ABOUT).splitlines()
    row = next(one for one in lines if one.startswith("cells"))
    assert row.split()[1:6] == ["20", "3", "2", "50%", "(30%"]
    assert next(one for one in lines if one.startswith("fakes")).split()[1:5] == ["20", "0", "0", "5%"]
    assert "L0.0  name of L0.0  token" in next(one for one in lines if one.startswith("L0.0 ")).replace("   ", "  ")
    assert any("passes, does not beat the rule" in one for one in lines if one.startswith("L0.5"))
    assert any("1,234 calls answered, 5 answers were there already" in one for one in lines)
    assert "money: 1.5000" in lines[-2] and lines[-1] == "58% of what was asked is about controls"


def test_markdown_has_tables_that_no_label_breaks() -> None:
    report = report_of(INDEX, outcome(), labeller="a", judge="b", seed=0, with_model=True)
    odd = replace(report, units=(replace(report.units[0], label="one | two\x1b[31m\nthree"),))
    text = label_report(odd, ABOUT, markdown=True)
    row = next(one for one in text.splitlines() if one.startswith("| L0.0 "))
    assert "one \\| two" in row and "\x1b" not in row and row.replace("\\|", "").count("|") == 7
    assert "| --- | --- | --- | --- | --- | --- | --- |" in text


def test_a_plan_says_that_nothing_was_sent() -> None:
    found = Plan(320, 50, 17_000, 12, 9_400_000, 2_400_000, 21_000, None, 3.25, "bytes / 4", "")
    text = label_plan(found)
    assert "320, counted on 50 of them" in text and "17,000 (12 more" in text and "9.4 MB" in text and "3.2500" in text
    assert text.endswith("Nothing was sent.") and "not known" in text
