"""The explorer's reading pages as a folder of files: from disk, or on any web host, search included."""
