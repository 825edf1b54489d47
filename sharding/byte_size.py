"""Sizes of files as people write them."""

import re

_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def parse_byte_size(text: str) -> int:
    """ "1.5KB" → 1500; a bare number counts bytes. Raises ValueError for anything else, and for less than one byte."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", text)
    unit = (match[2].upper() or "B") if match else ""
    if match is None or unit not in _UNITS or float(match[1]) * _UNITS[unit] < 1:
        raise ValueError(f"expected a size such as 256MB, got {text!r}")
    return int(float(match[1]) * _UNITS[unit])
