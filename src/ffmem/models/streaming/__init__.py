"""A model larger than its device: weights are brought when they are read, and given back when the room is needed.

`weights.py` does that for any module, pass by pass. `in_step.py` lets the passes of many batches go through the model side by
side, one block after the other, so that weights are brought once for all of them.
"""
