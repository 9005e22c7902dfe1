"""Arrays in ``measures.json``: lists, tables that are mostly zeros, large tables.

A table [items, columns] is, whichever is smaller,

* a list of rows;
* ``{"shape", "rows", "columns", "values"}`` of the numbers that are not zero;
* ``{"shape", "type", "packed"}`` if it has more than :data:`MANY` numbers, all whole:
  they are of ``type``, little-endian, row after row, compressed by zlib and written in
  base64.

Null stands for NaN.

Authors
 * The s3prl_sb developers, 2026
"""

import base64
import math
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

LARGEST = 50_000_000  # numbers in a table
SPARSE = 0.2  # share of other numbers than 0 up to which a table is written by them
MANY = 1 << 16  # numbers of a table of whole numbers from which on it is packed
KINDS = ("u1", "i1", "u2", "i2", "u4", "i4")
TYPES = {name: np.dtype(name).newbyteorder("<") for name in KINDS}

Array = np.ndarray


def read_array(values: Any, items: int) -> Array:
    """Returns the rows of items as an array.

    Arguments
    ---------
    values : list or dict
        An array in the file; or an array of numpy, or of torch on the CPU.
    items : int
        Number of rows.

    Returns
    -------
    numpy.ndarray
        [items] or [items, columns], float64.

    Raises
    ------
    ValueError
        If it has another form.

    Example
    -------
    >>> table = {"shape": [2, 3], "rows": [1], "columns": [0], "values": [5]}
    >>> read_array(table, 2).tolist()
    [[0.0, 0.0, 0.0], [5.0, 0.0, 0.0]]
    """
    if not isinstance(values, Mapping):
        array = _numbers(values)
        if array.ndim not in (1, 2) or len(array) != items:
            raise ValueError(f"an array of shape {array.shape}, for {items} items")
        return array
    rows, columns = values["shape"]
    if rows != items or not 0 < rows * columns <= LARGEST:
        raise ValueError(f"a table of shape {values['shape']}")
    if "packed" in values:
        return _unpacked(values).reshape(rows, columns)
    return _filled(values, rows, columns)


def write_array(array: Array) -> Any:
    """Returns an array as JSON values: whole numbers without a point, NaN as None.

    Arguments
    ---------
    array : numpy.ndarray
        [items] or [items, columns], finite or NaN.

    Returns
    -------
    list or dict

    Example
    -------
    >>> write_array(np.array([1.0, np.nan])), write_array(np.eye(6))["rows"]
    ([1.0, None], [0, 1, 2, 3, 4, 5])
    """
    if array.ndim == 2 and array.size >= MANY and _is_whole(array):
        if (kind := _type_of(array)) is not None:
            return _packed(array, kind)
    if array.ndim == 2 and np.count_nonzero(array) <= SPARSE * array.size:
        rows, columns = np.nonzero(array)
        return {
            "shape": list(array.shape),
            "rows": rows.tolist(),
            "columns": columns.tolist(),
            "values": write_array(array[rows, columns]),
        }
    if (np.abs(array) < 2**53).all() and _is_whole(array):
        return array.astype(int).tolist()
    if np.isnan(array).any():
        values = array.astype(object)
        values[np.isnan(array)] = None
        return values.tolist()
    return array.tolist()


def _is_whole(array):
    return bool((array == np.rint(array)).all())  # NaN is not


def _type_of(array):
    """Returns the first of the types that holds the numbers, or None."""
    low, high = array.min(), array.max()
    for kind, limits in ((kind, np.iinfo(kind)) for kind in KINDS):
        if limits.min <= low and high <= limits.max:
            return kind
    return None


def _packed(array, kind):
    content = zlib.compress(array.astype(TYPES[kind]).tobytes(), 6)
    text = base64.b64encode(content).decode()
    return {"shape": list(array.shape), "type": kind, "packed": text}


def _filled(values, rows, columns):
    """Returns a table of the numbers that are not zero."""
    numbers = _numbers(values["values"])
    places = _numbers([values["rows"], values["columns"]])
    rounded = np.rint(places).clip(0, np.array([[rows], [columns]]) - 1)
    if places.shape != (2, len(numbers)) or (rounded != places).any():
        raise ValueError("a table with numbers outside its shape")
    array = np.zeros((rows, columns))
    array[tuple(rounded.astype(int))] = numbers
    return array


def _unpacked(values):
    """Returns the numbers of a packed table, of the size that its shape says."""
    if values["type"] not in TYPES:
        raise ValueError(f"a table of type {values['type']!r}, not {', '.join(TYPES)}")
    kind = TYPES[values["type"]]
    size = math.prod(values["shape"]) * kind.itemsize
    try:
        content = base64.b64decode(values["packed"], validate=True)
        unpacker = zlib.decompressobj()
        content = unpacker.decompress(content, size + 1)
    except (TypeError, ValueError, zlib.error) as error:
        raise ValueError(f"a packed table is damaged ({error})") from error
    if len(content) != size or not unpacker.eof:
        raise ValueError(f"a packed table has not {size} bytes, as its shape says")
    return np.frombuffer(content, kind).astype(float)


def _numbers(values):
    array = np.asarray(values)
    if array.dtype.kind not in "biufO":
        raise ValueError(f"numbers are {array.dtype}")
    return array.astype(float)  # None becomes NaN
