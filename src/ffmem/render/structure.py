"""Where a model's memories lie -> text for people."""

from typing import Any

from ffmem.json_values import JsonObject


def structure(found: JsonObject) -> str:
    """Where everything lies in a model, and the errors of the identities that prove it."""
    lines = [
        f"model        {found['model']} ({found['architecture']}), read by {found['read_by']}",
        f"cells        {found['cells']}; a is {found['activation']}",
    ]
    for kind in found["kinds"]:
        lines.append(
            f"layers       {kind['layers']} of {kind['list']}" + (f", after {kind['after']}" if "after" in kind else "")
        )
        lines += [f"  memories   {kind['memories']}", f"  stream     {kind['stream']}"]
    lines.append(f"head         {found['head']}" + (f" ({found['no_scores']})" if "no_scores" in found else ""))
    if "labels" in found:
        lines.append(f"labels       {_labels(found['labels'])}")
    lines.append(f"longest      {found['longest_input'] or 'no limit'}")
    if "attention" in found:
        lines.append(f"attention    {found['attention']}")
    lines.append(f"identities   {_errors(found['errors'])}")
    if "errors_of_the_search" in found:
        lines.append(f"the search   {_errors(found['errors_of_the_search'])}")
    return "\n".join(lines)


def _labels(found: JsonObject) -> str:
    if "refused" in found:
        return f"no scores of values: {found['refused']}, and only a norm may, or they would be no sums"
    return f"{found['head']}: {', '.join(found['names'])}"


def _errors(errors: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value:.1e}" for name, value in errors.items()) + " (largest relative errors)"
