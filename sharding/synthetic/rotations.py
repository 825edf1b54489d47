"""3 x 3 rotations in degrees. Frame everywhere: x right in the picture, y down, z away from the camera."""

import numpy as np

Array = np.ndarray


def rotate_x(degrees: float) -> Array:
    """Turns y towards z: a standing body leans towards the camera."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def rotate_y(degrees: float) -> Array:
    """Turns z towards x: a body that faced the camera comes to face the left edge of the picture."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def rotate_z(degrees: float) -> Array:
    """Turns x towards y: clockwise in the picture."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
