"""Names by rule: what tells where a cell fires, learnt on one half of the documents and tested on the other. Knows no model."""
