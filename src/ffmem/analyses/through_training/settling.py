"""When something becomes true of a cell, and when for good: from what holds at each moment."""

import numpy as np
from jaxtyping import Bool, Int64

NEVER = -1


def touched(holds: Bool[np.ndarray, "moments cells"]) -> Int64[np.ndarray, "cells"]:
    """The first moment at which it holds; NEVER if there is none."""
    return np.where(holds.any(0), holds.argmax(0), NEVER).astype(np.int64)


def settled(holds: Bool[np.ndarray, "moments cells"]) -> Int64[np.ndarray, "cells"]:
    """The first moment from which on it holds at all; NEVER for a cell of which it does not hold at the last one."""
    backwards = ~holds[::-1]
    n_last = np.where(backwards.any(0), backwards.argmax(0), len(holds))
    return np.where(n_last > 0, len(holds) - n_last, NEVER).astype(np.int64)


def share_settled(settled_at: Int64[np.ndarray, "cells"], n_moments: int) -> Bool[np.ndarray, "cells moments"]:
    """Whether each cell has settled by each moment; those that never do have not by any."""
    moments = np.arange(n_moments)
    found: np.ndarray = (settled_at[:, None] != NEVER) & (settled_at[:, None] <= moments)
    return found
