"""HTTP: a file for each group of pages; the path of a page's data is its own with ``.json``."""

from ffmem.server.routes import cells, diff, figures, overview, prompt, search, sentences

ROUTERS = (overview.router, cells.router, sentences.router, figures.router, diff.router, search.router, prompt.router)
