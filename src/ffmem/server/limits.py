"""What a request may ask for. Each limit stands in the error that it causes."""

MAX_QUERY = 1_000
"""Characters of a text or an expression that is searched for."""
MAX_PROMPT = 20_000
"""Characters of a prompt; the model's context limits it further."""
MAX_CHANGES = 50
"""Changes of one intervention."""
MAX_NEW_TOKENS = 100
"""Tokens that an intervention writes on."""
MAX_ATTENTION_TOKENS = 256
"""Tokens of a text whose attention is shown: every pair of them has a number for each head."""
MAX_HEADS = 50
"""Heads that are patched at a time."""
MAX_ROWS = 200
"""Rows of one answer."""
MAX_BODY_BYTES = 1_000_000
"""Of a request."""
REGEX_TIME_S = 5.0
"""Seconds that a regular expression may take over the whole corpus; then the answer says how far it came."""
MAX_WAITING = 16
"""Questions that may wait for the model; the next one is told to come back."""
MAX_BATCH = 1_000
"""Cells of a batch that is drawn in the page."""
MAX_FIELDS = 20_000
"""Of a form."""
