import numpy as np


def farthest_from_own_class(drawn_HW: np.ndarray, true_HW: np.ndarray, limit: int) -> int:
    """How many pixels, in rows or columns, any pixel is from the nearest true one of its class; at most `limit`."""
    for reach in range(limit):
        found_HW = np.zeros(drawn_HW.shape, bool)
        padded = np.pad(true_HW.astype(int), reach, constant_values=-1)
        for row in range(2 * reach + 1):
            for column in range(2 * reach + 1):
                window = padded[row : row + drawn_HW.shape[0], column : column + drawn_HW.shape[1]]
                found_HW |= window == drawn_HW
        if found_HW.all():
            return reach
    return limit
