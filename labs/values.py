"""Values of the learner's as short text, whatever they are: huge, cyclic, or with a __repr__ that raises."""

import io
import reprlib

LONGEST = 300  # characters
FIRST = 6  # numbers of an array
LINES, WIDTH = 10, 120  # of what a function printed


class _Short(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxother, self.maxlong = 3, 120, 160, 40
        self.maxlist = self.maxtuple = self.maxdict = self.maxset = self.maxfrozenset = FIRST

    def repr_int(self, value: int, level: int) -> str:
        try:
            return super().repr_int(value, level)
        except ValueError:  # Python does not write numbers of more than 4300 digits
            return f"<a whole number of {value.bit_length()} bits>"

    def repr_instance(self, value: object, level: int) -> str:
        array = _array(value)
        return array if array else super().repr_instance(value, level)

    repr_ndarray = repr_instance


def shown(value: object) -> str:
    """Return the value as text of at most LONGEST characters; raise nothing."""
    try:
        text = _Short().repr(value)
    except (Exception, SystemExit) as error:
        text = f"<{type(value).__name__}, whose __repr__ raises {type(error).__name__}>"
    return text if len(text) <= LONGEST else text[: LONGEST - 4] + " ..."


def _array(value: object) -> str:
    """An array's or tensor's type, shape, dtype and first numbers; nothing for any other value."""
    try:
        if isinstance(value, type):
            return ""
        shape, dtype = tuple(value.shape), str(value.dtype).removeprefix("torch.")
        flat = value.reshape(-1)
        first = ", ".join(_number(one) for one in flat[:FIRST].tolist())
        dots = ", ..." if len(flat) > FIRST else ""
    except (Exception, SystemExit):
        return ""
    return f"{type(value).__name__} of shape {shape}, {dtype}: {first}{dots}"


def _number(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else shown(value)


def error_line(error: BaseException) -> str:
    """Return an exception as one short line; raise nothing."""
    try:
        text = " ".join(str(error).split())
    except (Exception, SystemExit):
        text = "its text cannot be shown"
    text = text if len(text) <= LONGEST else text[: LONGEST - 4] + " ..."
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


class Printed(io.TextIOBase):
    """Takes what is printed and keeps its beginning, however much it is."""

    def __init__(self) -> None:
        self.kept, self.more = "", False

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        room = LINES * WIDTH - len(self.kept)
        self.kept += text[:room]
        self.more |= len(text) > room
        return len(text)

    def text(self) -> str:
        """Return the first lines of it."""
        rows = self.kept.rstrip().splitlines()
        more = self.more or len(rows) > LINES
        return "\n".join([*rows[:LINES], *["..."] * more])
