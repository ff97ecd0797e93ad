from dataclasses import replace

from ffmem.names.lm.client.budget import Use
from ffmem.names.lm.plan import Plan
from ffmem.render.label_costs import plan_text, use_text

PLAN = Plan(320, 50, 9600, 12, 5_120_000, 1_280_000, 22_400, 2.5, 1.25, "the server's counts in 31 calls", "31 calls")


def test_a_plan_says_what_it_rests_on() -> None:
    assert plan_text(PLAN).splitlines() == [
        "units       320, counted on 50 of them",
        "calls       9,600 (12 more are answered already)",
        "text sent   5.1 MB",
        "tokens      1,280,000 read, 22,400 written (by the server's counts in 31 calls)",
        "time        2 h 30 min (by 31 calls)",
        "money       1.2500 at the prices given",
    ]


def test_what_is_not_known_is_said() -> None:
    blank = replace(
        PLAN, n_units=50, n_answered=0, text_bytes=900, hours=None, money=None, tokens_by="bytes / 4", times_by=""
    )
    told = plan_text(blank)
    assert "units       50\n" in told and "calls       9,600\n" in told and "text sent   900 bytes" in told
    assert "time        not known: no call was measured yet" in told and "no prices were given (--price-in" in told


def test_use_is_one_line_if_all_went_well() -> None:
    use = Use(n_calls=30, n_answered=30, n_from_cache=4, tokens_in=12_000, tokens_out=90, seconds=75.0)
    assert use_text(use) == (
        "30 calls answered, 4 answers were there already; 12,000 tokens read, 90 written; 1 min 15 s of answering"
    )


def test_what_went_wrong_has_lines_of_its_own() -> None:
    use = Use(n_calls=36, n_answered=30, n_unanswered=2, tokens_in=1, n_uncounted=3, money=0.5, waited_s=61.0)
    assert use_text(use).splitlines()[1:] == [
        "money: 0.5000 at the prices given",
        "4 calls were turned away (busy, away or refused); 1 min 01 s of waiting",
        "2 calls broke off or took too long: they count as if the server had answered them in full",
        "the tokens of 3 answers are estimated: bytes / 4",
    ]
