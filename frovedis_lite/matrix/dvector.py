"""Frovedis' distributed vector of numbers or strings, with its Python interface: a column or labels on the ranks."""

from __future__ import annotations

import warnings
from typing import Any, Self

import numpy as np

from frovedis_lite.core import dvector
from frovedis_lite.core.collective import everywhere, settled, together
from frovedis_lite.engine.comm import Communicator
from frovedis_lite.engine.session import Parts
from frovedis_lite.errors import ReleasedError

NUMBERS = (np.int32, np.int64, np.uint64, np.float32, np.float64)
SUPPORTED = "int32, int64, uint64, float32, float64 or str"


class FrovedisDvector:
    """A vector of int32, int64, uint64, float32, float64 or strings on the ranks.

    Args:
        vec: what `load` takes; None: nothing is loaded yet.
        dtype: of the elements; None: that of `vec`.
    Raises:
        TypeError: a dtype that is none of these, or no vector.
        ValueError: a matrix, or a value that the dtype does not have.
    """

    _fixed: Any = None

    def __init__(self, vec: Any = None, dtype: Any = None) -> None:
        dtype = self._fixed if dtype is None else dtype
        self._dtype = None if dtype is None else _supported(dtype)
        self._vector: dvector | None = None
        if vec is not None:
            self.load(vec)

    def load(self, vec: Any, dtype: Any = None) -> Self:
        """Share out a list, an array (of one dimension or one column), a pandas Series or another distributed vector.
        What was loaded before is released.

        Args:
            dtype: of the elements; None: that of the constructor, else that of `vec`.
        """
        dtype = self._dtype if dtype is None else _supported(dtype)
        if isinstance(vec, FrovedisDvector):
            vec = vec._loaded
        if isinstance(vec, dvector):
            known = _supported(vec.dtype) if vec.dtype is not None else _supported(str if dtype is None else dtype)
            made = dvector.of(vec.run_parts(_converted, known if dtype is None else dtype))
        else:
            made = dvector(_column(vec, dtype))
        self.release()
        self._vector, self._dtype = made, _supported(made.dtype)
        return self

    load_numpy_array = load

    @classmethod
    def _of(cls, parts: Parts) -> FrovedisDvector:
        made = FrovedisDvector()
        made._vector = dvector.of(parts)
        made._dtype = _supported(made._vector.dtype)
        return made

    @property
    def _loaded(self) -> dvector:
        if self._vector is None:
            raise ReleasedError("this FrovedisDvector has no data: it was released, or nothing was loaded")
        return self._vector

    @property
    def dtype(self) -> np.dtype | None:
        """The dtype of the elements (of strings as wide as the longest); None before anything is loaded."""
        return self._dtype if self._vector is None else self._vector.dtype

    @property
    def parts(self) -> Parts:
        """What the ranks have: each an array."""
        return self._loaded.parts

    def get_numpy_dtype(self) -> np.dtype | None:
        """The same as `dtype`."""
        return self.dtype

    def size(self) -> int:
        """How many elements there are; 0 if nothing is loaded."""
        return 0 if self._vector is None else self._vector.count()

    def __len__(self) -> int:
        return self.size()

    def is_fitted(self) -> bool:
        """Whether there is data."""
        return self._vector is not None

    def as_dvector(self) -> dvector:
        """The elements as a vector of `frovedis_lite.core`, in the same memory."""
        return self._loaded.as_node_local().as_dvector()

    def to_numpy_array(self) -> np.ndarray:
        """[size] all elements in order."""
        return self._loaded.as_array()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self.to_numpy_array(), dtype)

    def debug_print(self, limit: int = 5) -> None:
        """Print the first elements and what they are."""
        print(f"size: {self.size()}, first: {self._loaded.first(limit).tolist()}, dtype: {self.dtype}")

    def encode(self, src: Any = None, target: Any = None, need_logic: bool = False) -> Any:
        """Other values for all elements.

        Args:
            src: [values] what may occur; None: all that do, in order.
            target: [values] what each becomes; None: their places in `src`, from 0.
            need_logic: also return the way back.
        Returns:
            The encoded FrovedisDvector, of this dtype if that has all values of `target` and is no string, else of
            their own (places of strings: int64). With `need_logic` also a dictionary: what each new value was.
        Raises:
            ValueError: `src` and `target` differ in length, `src` has a value twice, or an element is not in `src`.
        """
        source = self.get_unique_elements() if src is None else self._fitting(_column(src, None))
        if (source.dtype.kind == "U") != (self._loaded.dtype.kind == "U"):
            raise TypeError(f"encode: src has {source.dtype}, and this is a vector of {self._loaded.dtype}")
        if np.unique(source).size != source.size:
            raise ValueError("encode: src has the same value more than once")
        made = self._fitting(np.arange(source.size) if target is None else _column(target, None))
        if made.size != source.size:
            raise ValueError(f"encode: src has {source.size} values and target {made.size}; they must be as many")
        encoded = FrovedisDvector._of(self._loaded.run_parts(_encoded, source, made))
        if not need_logic:
            return encoded
        return encoded, dict(zip(made.tolist(), source.tolist(), strict=True))

    def _fitting(self, values: np.ndarray) -> np.ndarray:
        """The values in this vector's dtype if it has them: whole numbers exactly, others rounded."""
        own = self._loaded.dtype
        if own.kind == "U" or values.dtype.kind not in "biuf":
            return values
        with np.errstate(all="ignore"):
            made = values.astype(own)
        if own.kind == values.dtype.kind == "f":
            return made if np.array_equal(np.isfinite(made), np.isfinite(values)) else values
        return made if np.array_equal(made, values) else values

    def replace(self, src: Any, target: Any, inplace: bool = False, skip_zero: bool = False) -> FrovedisDvector:
        """`target` for each element that equals `src` (NaN: for each that is NaN).

        Args:
            inplace: change this vector and return it.
            skip_zero: leave zeros, as sparse data does not have them: for `src` 0 nothing changes.
        Raises:
            TypeError: not a number for a vector of numbers, or not a string for one of strings.
            ValueError: the dtype does not have `target`.
        """
        vector = self._loaded
        values = [_scalar(value, vector.dtype, name) for value, name in ((src, "src"), (target, "target"))]
        if vector.dtype.kind != "U":
            made = self._fitting(np.asarray([target]))
            if made.dtype != vector.dtype:
                raise ValueError(f"replace: a vector of {vector.dtype} cannot have {target!r}; astype() first")
        parts = vector.run_parts(_replaced, *values, skip_zero)
        if not inplace:
            return FrovedisDvector._of(parts)
        vector.release()
        self._vector = dvector.of(parts)
        return self

    def astype(self, dtype: Any) -> FrovedisDvector:
        """The elements in another dtype, as NumPy converts them.

        Raises:
            TypeError: a dtype that is not supported.
            ValueError: a string that is no number, or a number that the dtype does not have: too large, or no whole
                number for NaN and infinity. (Fractions are cut off.)
        """
        return FrovedisDvector._of(self._loaded.run_parts(_converted, _supported(dtype)))

    def get_unique_elements(self) -> np.ndarray:
        """All values that occur, once each, in order."""
        return self._loaded.run(_unique)

    def release(self) -> None:
        """Give back the memory on the ranks. Using the data raises ReleasedError until some is loaded again."""
        if self._vector is not None:
            self._vector.release()
        self._vector = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.release()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.size()} elements ({self.dtype})>"

    @classmethod
    def as_dvec(cls, vec: Any, dtype: Any = None) -> FrovedisDvector:
        """`vec` itself if it is one of this class, else a new one."""
        if isinstance(vec, cls):
            return vec
        return cls(vec) if dtype is None else cls(vec, dtype)


class FrovedisIntDvector(FrovedisDvector):
    """A vector of int32."""

    _fixed = np.int32


class FrovedisLongDvector(FrovedisDvector):
    """A vector of int64."""

    _fixed = np.int64


class FrovedisULongDvector(FrovedisDvector):
    """A vector of uint64."""

    _fixed = np.uint64


class FrovedisFloatDvector(FrovedisDvector):
    """A vector of float32."""

    _fixed = np.float32


class FrovedisDoubleDvector(FrovedisDvector):
    """A vector of float64."""

    _fixed = np.float64


class FrovedisStringDvector(FrovedisDvector):
    """A vector of strings."""

    _fixed = str


def _supported(dtype: Any) -> np.dtype:
    """The dtype, if vectors can have it."""
    dtype = np.dtype(dtype).newbyteorder("=")
    if dtype.kind == "U" or dtype in NUMBERS:
        return dtype
    raise TypeError(f"a FrovedisDvector has {SUPPORTED}, not {dtype}; give one of them as dtype, or convert the data")


def _column(vec: Any, dtype: np.dtype | None) -> np.ndarray:
    """A caller's vector as an array of a supported dtype."""
    if isinstance(vec, (str, bytes, dict)) or not hasattr(vec, "__len__"):
        raise TypeError(f"a FrovedisDvector is made of a list or an array, not of a {type(vec).__name__}")
    array = np.asarray(vec)
    if array.ndim == 2 and array.shape[1] == 1:
        warnings.warn(
            "A column-vector was passed when a 1d array was expected; ravel() makes it one.", UserWarning, stacklevel=3
        )
        array = array.ravel()
    if array.ndim != 1:
        raise ValueError(f"bad input shape {array.shape}: a vector has one dimension")
    if array.dtype.kind == "O" and all(isinstance(value, str) for value in array):
        array = array.astype(str)
    if array.dtype.kind == "O" and dtype is None:
        raise TypeError(
            f"elements of several types, or that are no numbers or strings; a FrovedisDvector has {SUPPORTED}"
        )
    if dtype is None:
        return array.astype(_supported(array.dtype), copy=False)
    return _cast(array, dtype)


def _cast(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Converted, where the dtype has all values."""
    if dtype.kind == "U":
        dtype = np.dtype(str)  # as wide as it must be
    if dtype.kind in "iu" and array.dtype.kind in "iuf" and array.size:
        low, high = array.min(), array.max()
        limits = np.iinfo(dtype)
        if not (np.isfinite(low) and np.isfinite(high) and limits.min <= int(low) and int(high) <= limits.max):
            raise ValueError(f"{dtype} does not have all values between {low} and {high}")
    try:
        return array.astype(dtype, copy=False)
    except OverflowError as error:
        raise ValueError(f"{dtype} does not have all values: {error}") from error


def _scalar(value: Any, dtype: np.dtype, name: str) -> Any:
    is_text = isinstance(value, str)
    if is_text != (dtype.kind == "U") or not (is_text or isinstance(value, (int, float, np.number))):
        raise TypeError(f"replace: {name} is {value!r}, and this is a vector of {dtype}")
    return value


# On the ranks


def _converted(comm: Communicator, part: Any, dtype: np.dtype) -> np.ndarray:
    def local() -> np.ndarray:
        if isinstance(part, list) and dtype.kind == "U" and not all(isinstance(value, str) for value in part):
            raise TypeError(f"elements that are no numbers or strings; a FrovedisDvector has {SUPPORTED}")
        return _cast(np.asarray(part), dtype).copy()

    return settled(comm, local)


def _unique(comm: Communicator, part: np.ndarray) -> np.ndarray:
    return np.unique(np.concatenate(everywhere(comm, np.unique(part))))


def _encoded(comm: Communicator, part: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    def local() -> np.ndarray:
        if len(part) == 0:
            return target[:0]
        order = np.argsort(source)
        places = np.searchsorted(source[order], part)
        places = order[np.minimum(places, len(source) - 1)] if len(source) else np.zeros(len(part), int)
        known = source[places] == part if len(source) else np.zeros(len(part), bool)
        if part.dtype.kind == "f" and len(source) and source.dtype.kind == "f":
            known |= np.isnan(part) & np.isnan(source[places])
        if not known.all():
            raise ValueError(f"encode: the vector has {part[~known][0].item()!r}, which src has not")
        return target[places]

    return together(comm, local)


def _replaced(comm: Communicator, part: np.ndarray, src: Any, target: Any, skip_zero: bool) -> np.ndarray:
    def local() -> np.ndarray:
        if part.dtype.kind == "U":
            return np.where(part == src, target, part)
        found = part != part if src != src else part == (part.dtype.type(src) if part.dtype.kind == "f" else src)
        if skip_zero:
            found &= part != 0
        return np.where(found, part.dtype.type(target), part)

    return settled(comm, local)
