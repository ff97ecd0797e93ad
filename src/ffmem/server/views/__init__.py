"""Questions -> plain data for a page or JSON; knows no HTTP."""
