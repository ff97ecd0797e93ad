"""Does a model need its attention weights, and could others do as well? After Wiegreffe and Pinter 2019."""
