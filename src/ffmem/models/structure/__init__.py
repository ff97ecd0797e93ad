"""Where the memories of a model lie, found in its modules and one traced pass; names are hints, and numbers decide."""
