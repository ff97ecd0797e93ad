"""The explorer: HTTP -> queries and analyses -> pages and JSON. No arithmetic; needs the extra ``explorer``."""
