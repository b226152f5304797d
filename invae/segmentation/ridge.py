"""Lines of pixels as smooth ridges, which can be learned and interpolated."""

import numpy as np
from scipy import ndimage


def ridge(lines: np.ndarray, *, sd: float) -> np.ndarray:
    """Lines (y, x) as smooth ridges exp(-d²/2·sd²), d being the distance from the line [px]; float32."""
    if not lines.any():
        return np.zeros(lines.shape, np.float32)
    distance = np.asarray(ndimage.distance_transform_edt(~lines))
    return np.exp(-((distance / sd) ** 2) / 2).astype(np.float32)
