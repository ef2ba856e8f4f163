import numpy as np


def max_distance_to_class(class_HW: np.ndarray, true_HW: np.ndarray, limit: int) -> int:
    """Largest distance, in rows or columns, from any pixel to the nearest pixel of `true_HW` with its class.

    At most `limit`.
    """
    height, width = class_HW.shape
    for reach in range(limit):
        match_HW = np.zeros(class_HW.shape, bool)
        padded = np.pad(true_HW.astype(int), reach, constant_values=-1)
        for row in range(2 * reach + 1):
            for column in range(2 * reach + 1):
                match_HW |= padded[row : row + height, column : column + width] == class_HW
        if match_HW.all():
            return reach
    return limit
