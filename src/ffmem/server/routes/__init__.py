"""HTTP: a file for each group of pages; the path of a page's data is its own with ``.json``."""

from ffmem.server.routes import annotate, attention, cells, diff, figures, overview, prompt, search, sentences

ROUTERS = tuple(one.router for one in (overview, cells, sentences, search, prompt, attention, annotate, figures, diff))
"""In the order in which addresses are tried."""
