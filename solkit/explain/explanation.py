"""What `explain()` gives."""

from solkit.errors import ConfigError
from solkit.explain import drawing
from solkit.explain.memory import Memory
from solkit.explain.rows import Row, Sources, rows_of
from solkit.explain.table import html_table, plural, text_table
from solkit.explain.timing import Profile
from solkit.runtime.engine import Engine


class Explanation:
    """Rows for people and programs. Prints as a table; a notebook shows the graph as a drawing too.

    Args:
        engine: the compiled model.
        profile: measured times to show beside.
    """

    def __init__(self, engine: Engine, profile: Profile | None = None) -> None:
        self._engine, self._sources = engine, Sources(engine)
        self.clusters = self._sources.clusters
        self.rows: list[Row] = rows_of(engine, profile)

    @property
    def in_pytorch(self) -> list[tuple[str, str]]:
        """(operator, layer) of everything solkit has no code for."""
        return [(c.ops[0], c.nodes[0].layer) for c in self.clusters if c.kind == "torch"]

    def source(self, number: int | None = None) -> str:
        """The C text of cluster `number` as in the table, or of the whole program.

        Raises:
            ConfigError: there is no such cluster, or PyTorch runs it.
        """
        program = self._engine.program
        if number is None:
            return "\n".join(f"// ---- {name}\n{text}" for name, text in program.sources.items())
        if not isinstance(number, int) or not 0 <= number < len(self.clusters):
            raise ConfigError(f"there is no cluster {number!r}: they go from 0 to {len(self.clusters) - 1}")
        if self.clusters[number].kind == "torch":
            raise ConfigError(f"cluster {number} ({self.rows[number].ops}) runs in PyTorch and has no C source")
        return program.sources[program.kernels[self._native(number)]]

    def memory(self) -> Memory:
        """Where the values between clusters lie, and for how long."""
        return Memory(self._engine)

    def _native(self, number: int) -> int:
        return sum(cluster.compiled for cluster in self.clusters[:number])

    def _cells(self) -> list[tuple[str, ...]]:
        """The table, head first; columns that have nothing to say are left out."""
        columns = [
            ("#", [str(row.number) for row in self.rows]),
            ("kind", [row.kind for row in self.rows]),
            ("operators", [row.ops for row in self.rows]),
            ("layers", [row.layers for row in self.rows]),
            ("reads", [", ".join(map(str, row.reads)) for row in self.rows]),
            ("result", [row.result for row in self.rows]),
            ("MFLOP", [f"{row.mflop:.1f}" for row in self.rows]),
            ("MB", [f"{row.mbytes:.2f}" for row in self.rows]),
        ]
        if any(row.ms is not None for row in self.rows):
            columns += [
                ("ms", ["-" if row.ms is None else f"{row.ms:.3f}" for row in self.rows]),
                ("GFLOP/s", ["-" if row.gflops is None else f"{row.gflops:.1f}" for row in self.rows]),
            ]
        if any(row.implementation for row in self.rows):
            columns.append(("implementation", [row.implementation or "-" for row in self.rows]))
        return list(zip(*([head, *cells] for head, cells in columns), strict=True))

    def _summary(self) -> str:
        compiled = sum(cluster.compiled for cluster in self.clusters)
        left = self.in_pytorch
        between = self._engine.placement.arena_bytes / 1e6
        text = f"{plural(compiled, 'compiled cluster')}, {between:.2f} MB of memory for what lies between them"
        if not left:
            return f"{text}; nothing runs in PyTorch"
        listed = ", ".join(f"{op} (layer {layer!r})" if layer else op for op, layer in left)
        return f"{text}; in PyTorch: {listed}"

    def __str__(self) -> str:
        head, *rows = self._cells()
        return f"{text_table(head, rows)}\n{self._summary()}"

    __repr__ = __str__

    def to_html(self) -> str:
        """The drawing and the table as HTML that needs nothing else."""
        graph = self._engine.graph
        inputs = [(value.name, str(value.type)) for value in graph.inputs]
        results = [(str(value.type), self._sources.of([value])) for value in graph.outputs]
        head, *rows = self._cells()
        return drawing.draw(self.rows, inputs, results) + html_table(head, rows, self._summary())

    def _repr_html_(self) -> str:
        return self.to_html()
