"""The operator table: everything solkit knows how to do, one row each."""

from solkit.ops.attention import ATTENTION
from solkit.ops.elementwise import ELEMENTWISE
from solkit.ops.operator import Kind, Operator
from solkit.ops.recurrent import RECURRENT
from solkit.ops.resize import RESIZE
from solkit.ops.rows import ROWS
from solkit.ops.structural import STRUCTURAL
from solkit.ops.tensor import TENSOR

TABLE: dict[str, Operator] = {
    row.name: row for row in (*ELEMENTWISE, *ROWS, *TENSOR, *RECURRENT, *RESIZE, *ATTENTION, *STRUCTURAL)
}

# Which row an ATen overload is, by its full name ("aten.relu.default").
BY_ATEN: dict[str, Operator] = {overload: row for row in TABLE.values() for overload in row.aten}

__all__ = ["BY_ATEN", "TABLE", "Kind", "Operator"]
