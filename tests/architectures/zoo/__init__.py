"""A file for each kind of architecture, with its ENTRIES; every file here is found."""
