"""What a labelling run will need, and what it has used, as text."""

from ffmem.names.lm.client.budget import Use
from ffmem.names.lm.plan import Plan
from ffmem.render.terminal import duration


def plan_text(plan: Plan) -> str:
    """The plan in lines: units, calls, text, tokens, time and money, and what each of them rests on."""
    of = "" if plan.n_units_counted >= plan.n_units else f", counted on {plan.n_units_counted:,} of them"
    kept = f" ({plan.n_answered:,} more are answered already)" if plan.n_answered else ""
    hours = "not known: no call was measured yet" if plan.hours is None else duration(plan.hours * 3600)
    lines = [
        f"units       {plan.n_units:,}{of}",
        f"calls       {plan.n_calls:,}{kept}",
        f"text sent   {_bytes(plan.text_bytes)}",
        f"tokens      {plan.tokens_in:,} read, {plan.tokens_out:,} written (by {plan.tokens_by})",
        f"time        {hours}{f' (by {plan.times_by})' if plan.times_by else ''}",
    ]
    return "\n".join([*lines, f"money       {_money(plan.money)}"])


def use_text(use: Use) -> str:
    """What was used, in one line, and what of it is not certain in further ones."""
    lines = [
        f"{use.n_answered:,} calls answered, {use.n_from_cache:,} answers were there already; "
        f"{use.tokens_in:,} tokens read, {use.tokens_out:,} written; {duration(use.seconds)} of answering"
    ]
    if use.money is not None:
        lines.append(f"money: {_money(use.money)}")
    n_refused = use.n_calls - use.n_answered - use.n_unanswered
    if n_refused > 0 or use.waited_s:
        lines.append(
            f"{n_refused:,} calls were turned away (busy, away or refused); {duration(use.waited_s)} of waiting"
        )
    if use.n_unanswered:
        lines.append(
            f"{use.n_unanswered:,} calls broke off or took too long: they count as if the server had answered them in full"
        )
    if use.n_uncounted:
        lines.append(f"the tokens of {use.n_uncounted:,} answers are estimated: bytes / 4")
    return "\n".join(lines)


def _money(money: float | None) -> str:
    return (
        "not known: no prices were given (--price-in, --price-out)"
        if money is None
        else f"{money:,.4f} at the prices given"
    )


def _bytes(n_bytes: int) -> str:
    if n_bytes < 1000:
        return f"{n_bytes} bytes"
    return f"{n_bytes / 1000:,.1f} kB" if n_bytes < 1_000_000 else f"{n_bytes / 1e6:,.1f} MB"
