"""The arrays that masks are kept in."""

import numpy as np
import numpy.typing as npt

BoolMask = npt.NDArray[np.bool_]
LabelMap = npt.NDArray[np.uint8]  # 0 is background, n the n-th label of the project's config
Integers = npt.NDArray[np.int64]
