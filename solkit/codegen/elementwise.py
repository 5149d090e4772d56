"""Chains of element-wise operators as C statements, one vector at a time, at a place in a tensor."""

from abc import ABC, abstractmethod
from collections.abc import Iterable

from solkit.codegen.kernel import Kernel, pixel, plane, plus, times
from solkit.ir import Node, Value
from solkit.ops import TABLE
from solkit.ops.elementwise import c_float


def store(where: str, vector: str, lanes: str | None = None) -> str:
    """A statement that stores all lanes, or the first `lanes`."""
    return f"vf_store_n({where}, {vector}, {lanes});" if lanes else f"vf_store({where}, {vector});"


class Place(ABC):
    """Where in a tensor one vector lies: says in C how to load a vector of any operand there, and how to store one."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel

    @abstractmethod
    def address(self, value: Value) -> str:
        """Offset in floats of the vector at this place."""

    @abstractmethod
    def broadcasts(self, value: Value) -> bool:
        """Whether one number of `value` serves all lanes."""

    lanes = "VLEN"  # lanes that are inside the tensor

    def load(self, value: Value) -> str:
        where = plus(self.kernel.buffer(value), self.address(value))
        if self.broadcasts(value):
            return f"vf_set1(*({where}))"
        return f"vf_load({where})" if self._whole(value) else f"vf_load_n({where}, {self.lanes})"

    def store(self, value: Value, vector: str) -> str:
        where = plus(self.kernel.buffer(value), self.address(value))
        return store(where, vector, None if self._whole(value) else self.lanes)

    def _whole(self, value: Value) -> bool:
        return value.layout.blocked


class Pixel(Place):
    """Channels block * VLEN ... of one pixel of an image. Operands: NCHWc images, or a number per channel."""

    def __init__(self, kernel: Kernel, image: str, block: str, y: str, x: str, lanes: str) -> None:
        super().__init__(kernel)
        self.image, self.block, self.y, self.x, self.lanes = image, block, y, x, lanes

    def address(self, value: Value) -> str:
        if value.layout.blocked:
            return plus(plane(value, self.image, self.block), pixel(value, self.y, self.x))
        if self.broadcasts(value):
            return "0"
        # A number per channel, and per image where the value has more than one.
        channels = value.type.size if len(value.shape) < 4 or value.shape[0] == 1 else value.shape[1]
        image = times(self.image, channels) if value.type.size > channels else "0"
        return plus(image, times(self.block, "VLEN"))

    def broadcasts(self, value: Value) -> bool:
        return value.type.size == 1 and not value.layout.blocked


class Row(Place):
    """Features block * VLEN ... of one row of a matrix. Operands: matrices of that shape, or a number per feature."""

    def __init__(self, kernel: Kernel, row: str, block: str, lanes: str, features: int) -> None:
        super().__init__(kernel)
        self.row, self.block, self.lanes, self.features = row, block, lanes, features

    def address(self, value: Value) -> str:
        if self.broadcasts(value):
            return "0"
        row = times(self.row, self.features) if value.type.size > self.features else "0"
        return plus(row, times(self.block, "VLEN"))

    def broadcasts(self, value: Value) -> bool:
        return value.type.size == 1 and self.features > 1


class Chain:
    """Emits element-wise nodes: each value is computed once, into a variable of its own."""

    def __init__(self, kernel: Kernel, nodes: Iterable[Node], place: Place, known: dict[Value, str]) -> None:
        self.kernel, self.place = kernel, place
        self.nodes = {node.output: node for node in nodes}
        self.names = dict(known)

    def vector(self, value: Value) -> str:
        """Name of a C variable, or an expression, that holds `value` at this place."""
        if value in self.names:
            return self.names[value]
        node = self.nodes.get(value)
        if node is None or node.op == "scalar":
            number = node and f"vf_set1({c_float(node.attributes['value'])})"
            text = number or self.place.load(value)
        else:
            text = expression(node, [self.vector(operand) for operand in node.inputs])
        if text.startswith("vf_set1(") and node is not None:
            return text  # a number: the compiler keeps it in a register
        name = self.names[value] = f"v{len(self.names)}"
        self.kernel.line(f"const vf {name} = {text};")
        return name


def expression(node: Node, operands: list[str]) -> str:
    """One element-wise node in C."""
    row = TABLE[node.op]
    text = row.expression if isinstance(row.expression, str) else row.expression(node.attributes)
    numbers = {k: c_float(v) for k, v in node.attributes.items() if isinstance(v, (int, float))}
    return text.format(*operands, **numbers)
