"""What a request may ask for. Each limit stands in the error that it causes."""

MAX_QUERY = 1_000
"""Characters of a text or an expression that is searched for."""
MAX_PROMPT = 20_000
"""Characters of a prompt; the model's context limits it further."""
MAX_CHANGES = 50
"""Changes of one intervention."""
MAX_CHANGED_CELLS = 1_000
"""Cells that these change, those of collections counted."""
MAX_NEW_TOKENS = 100
"""Tokens that an intervention writes on."""
MAX_CONTROLS = 50
"""Draws of random cells that a change is made with, too."""
MAX_CONTROL_TOKENS = 128
"""Tokens of a text up to which a change is made with other cells too without being asked: some ten passes of it."""
MAX_ATTENTION_TOKENS = 256
"""Tokens of a text whose attention is shown: every pair of them has a number for each head."""
MAX_PINS = 8
"""Parts of a prediction that are pinned: of each that is a cell it is told what made it fire."""
MAX_HEADS = 50
"""Heads that are patched at a time."""
MAX_ROWS = 200
"""Rows of one answer."""
MAX_POINTS = 200_000
"""Points of the picture of all cells that are drawn; of more cells than that, a sample."""
MAX_ITEMS_SHOWN = 1_000
"""Items of a collection on one page."""
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
MAX_INSIDE = 400
"""Requests that are being answered; the next one is told to come back."""
MAX_START = 10_000_000
"""Rows that may be passed over: no list is longer."""
N_THREADS = 8
"""Threads that make pages. They take turns; with more of them, the one that listens waits longer for its own."""
SWITCH_S = 0.001
"""Seconds after which a thread lets another have its turn."""
