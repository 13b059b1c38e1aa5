"""Names for arrays by what they hold."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
# How often each cell is in the data: whole numbers in a bootstrap, else any.
Repeats = NDArray[np.generic]
