"""Attention: the matrix of scores exists only a block at a time (FlashAttention, Dao et al. 2022).

A task is one head and a block of queries. The lanes of a vector are queries, so that nothing is ever summed or compared
across lanes: keys and values are read where they lie, one number at a time, and only the queries are transposed. The
softmax runs along with the keys (Rabe and Staats 2021): when a larger score is found, what was summed so far shrinks.
"""

from solkit.clusters import Cluster
from solkit.codegen.kernel import Kernel, plus, times
from solkit.codegen.matrix import WIDE, choose_tile
from solkit.ir import Node, Value, contiguous
from solkit.ops.elementwise import c_float
from solkit.target import Target

EACH_VECTOR = "UNROLL for (int v = 0; v < VECTORS; v++)"
KEYS_WANTED = 128  # at a time: their scores stay in the first-level cache
STACK_FLOATS = 120 * 1024  # of a task's arrays, together below 512 KB


def emit_attention(cluster: Cluster, target: Target) -> Kernel:
    """The kernel of a cluster that is one `attention` node and the views it reads through."""
    return _Attention(cluster, target).emit()


class _Attention:
    def __init__(self, cluster: Cluster, target: Target) -> None:
        self.kernel = Kernel()
        self.views = {node.output: node for node in cluster.nodes if node.op == "strided"}
        self.node: Node = next(node for node in cluster.nodes if node.op == "attention")
        self.query, self.key, self.value, *mask = self.node.inputs
        self.mask: Value | None = mask[0] if mask else None
        self.causal = self.node.attributes["is_causal"]
        self.batch, self.heads, self.queries, self.depth = self.query.shape
        _, self.groups, self.keys, self.features = self.value.shape
        # Code for many sizes is made as for many tokens.
        self.likely = max(self.queries, WIDE) if 2 in self.query.varying else self.queries
        many_keys = 2 in self.value.varying
        chunk = KEYS_WANTED if many_keys else -(-self.keys // -(-self.keys // KEYS_WANTED))
        self.rows, self.vectors = choose_tile(target, chunk, self.likely)
        self.rows = min(self.rows, self.keys)
        self.chunk = -(-chunk // self.rows) * self.rows
        most = target.tile[0] * target.tile[1] // self.vectors
        self.columns = min(range(1, min(most, self.features) + 1), key=self._cost)

    def _cost(self, columns: int) -> tuple[float, int]:
        """Of one step over all features, as in `choose_tile`: multiply-adds, loads, broadcasts."""
        tiles = -(-self.features // columns)
        return tiles * (columns * self.vectors + self.vectors + columns / 2), columns

    def emit(self) -> Kernel:
        k = self.kernel
        self._constants()
        blocks = "task / BLOCKS"
        head = {"h": f"const int64_t h = {blocks} % {self.heads}", "n": f"const int64_t n = {blocks} / {self.heads}"}
        with k.declaring(**head):
            k.line("const int64_t q0 = task % BLOCKS * QUERIES;")
            self._pointers()
            self._arrays()
            self._transpose_queries()
            end = "TOKENS"
            if self.causal:
                end = "end"
                k.line("const int64_t end = sol_min(TOKENS, q0 + QUERIES); /* later keys no query here sees */")
            k.open(f"for (int64_t c0 = 0; c0 < {end}; c0 += CHUNK)")
            k.line(f"const int64_t c1 = sol_min(c0 + CHUNK, {end});")
            self._scores()
            self._largest()
            self._softmax()
            self._product()
            k.close()
            self._store()
        return k

    def _constants(self) -> None:
        k = self.kernel
        floats = f"({self.depth + self.features + self.chunk + self.rows} * VLEN)"
        fitting = f"SOL_MIN({self.vectors}, SOL_MAX(1, {STACK_FLOATS} / {floats}))"
        k.constant("VECTORS", f"SOL_MIN({fitting}, SOL_CEIL({self.likely}, VLEN))", "of queries, side by side")
        k.constant("QUERIES", "VECTORS * VLEN", "of a task")
        k.constant("BLOCKS", f"SOL_CEIL({self.queries}, QUERIES)", "tasks of one head")
        k.constant("TOKENS", self.keys, "keys, and values, of one head")
        k.constant("CHUNK", self.chunk, "of them at a time")
        k.constant("ROWS", self.rows, "keys of a register tile of scores")
        k.constant("COLUMNS", self.columns, "features of a register tile of the result")
        k.constant("TASKS", f"{self.batch * self.heads} * BLOCKS")

    # -- memory -------------------------------------------------------------------------------------------------------

    def _place(self, value: Value) -> tuple[str, tuple[int, ...]]:
        """Address in C of the first element of `value`, and the strides of its four dimensions, 0 where it repeats."""
        view = self.views.get(value)
        shape = (1,) * (4 - len(value.shape)) + value.shape
        strides = view.attributes["strides"] if view else contiguous(value.shape)
        strides = (0,) * (4 - len(strides)) + tuple(strides)
        start = plus(self.kernel.buffer(view.inputs[0] if view else value), view.attributes["offset"] if view else 0)
        return start, tuple(0 if size == 1 else stride for size, stride in zip(shape, strides, strict=True))

    def _pointers(self) -> None:
        share = self.heads // self.groups
        group = "h" if share == 1 else f"(h / {share})"
        self.q = self._pointer("const float *const query", *self._place(self.query), first="q0")
        self.k = self._pointer("const float *const key", *self._place(self.key), head=group)
        self.v = self._pointer("const float *const value", *self._place(self.value), head=group)
        if self.mask is not None:
            start, strides = self._place(self.mask)
            if self.node.attributes["mask_by_keys"]:
                strides = (*strides[:2], strides[3], strides[2])
            self.m = self._pointer("const float *const mask", start, strides, first="q0")
        made, order = self.node.output, self.node.attributes["order"]
        steps = contiguous(made.shape)
        strides = tuple(steps[order.index(axis)] for axis in range(4))
        self.o = self._pointer("float *const out", self.kernel.buffer(made), strides, first="q0")

    def _pointer(
        self, name: str, start: str, strides: tuple[int, ...], head: str = "h", first: str = "0"
    ) -> tuple[int, ...]:
        """Declare a pointer to what the task needs, from its token `first` on; the strides of the four dimensions."""
        image = times("n", strides[0]) if self.batch > 1 else "0"
        place = times(head, strides[1]) if self.heads > 1 else "0"
        self.kernel.line(f"{name} = {plus(start, image, place, times(first, strides[2]))};")
        return strides

    def _arrays(self) -> None:
        """Everything is by queries inside: [features][QUERIES], [keys][QUERIES]."""
        k = self.kernel
        if self.mask is not None and self.m[2]:
            k.line("int lanes[VECTORS];")
            k.line(f"{EACH_VECTOR} lanes[v] = (int)sol_max(0, sol_min(VLEN, {self.queries} - q0 - v * VLEN));")
        sizes = {"asked": self.depth, "made": self.features}
        for name, size in sizes.items():
            k.line(f"float {name}[{size} * QUERIES] __attribute__((aligned(64)));")
        # A tile at the end of the keys begins before the chunk if that is shorter than a tile.
        k.line("float room[(ROWS + CHUNK) * QUERIES] __attribute__((aligned(64)));")
        k.line("float *const scores = room + ROWS * QUERIES;")
        k.line("vf top[VECTORS], total[VECTORS], shrink[VECTORS];")
        k.line(f"{EACH_VECTOR} top[v] = vf_set1(-__builtin_inff()), total[v] = vf_set1(0.0f);")
        if self.causal:
            k.line("float number[QUERIES];")
            k.line("for (int i = 0; i < QUERIES; i++) number[i] = q0 + i;")

    def _transpose_queries(self) -> None:
        """asked[d][query]: row by row, as rows that lie a power of two apart cannot all be in the cache at once."""
        k = self.kernel
        k.line(f"const int64_t count = sol_min(QUERIES, {self.queries} - q0);")
        k.line(f"if (count < QUERIES) for (int i = 0; i < {self.depth} * QUERIES; i++) asked[i] = 0;")
        k.open("for (int64_t i = 0; i < count; i++)")
        k.open(f"for (int64_t d = 0; d < {self.depth}; d += VLEN)")
        k.line(f"const int n = (int)sol_min(VLEN, {self.depth} - d);")
        where = plus("query", times("i", self.q[2]), times("d", self.q[3]))
        load = f"vf_load_n({where}, n)" if self.q[3] == 1 else f"vf_gather({where}, {self.q[3]}, n)"
        scale = c_float(self.node.attributes["scale"])
        k.line(f"vf_scatter(asked + d * QUERIES + i, QUERIES, vf_mul(vf_set1({scale}), {load}), n);")
        k.close()
        k.close()

    # -- a chunk of keys ----------------------------------------------------------------------------------------------

    def _scores(self) -> None:
        """Products of keys and queries: scores[key - c0][query]."""
        k = self.kernel
        k.open("for (int64_t j = c0; j < c1; j += ROWS)")
        k.line("const int64_t first = sol_min(j, TOKENS - ROWS); /* the last overlaps the one before */")
        k.line("vf acc[ROWS][VECTORS];")
        self._each("ROWS", "acc[r][v] = vf_set1(0.0f);")
        k.open(f"for (int64_t d = 0; d < {self.depth}; d++)")
        k.line(f"const float *const in = {plus('key', times('first', self.k[2]), times('d', self.k[3]))};")
        k.line("vf row[VECTORS];")
        k.line(f"{EACH_VECTOR} row[v] = vf_load(asked + d * QUERIES + v * VLEN);")
        self._each("ROWS", f"acc[r][v] = vf_axpy(in[{times('r', self.k[2])}], row[v], acc[r][v]);")
        k.close()
        self._each("ROWS", "vf_store(scores + (first - c0 + r) * QUERIES + v * VLEN, acc[r][v]);")
        k.close()

    def _each(self, rows: str, text: str) -> None:
        k = self.kernel
        k.line(f"UNROLL for (int r = 0; r < {rows}; r++)")
        k.line(f"    {EACH_VECTOR} {text}")

    def _largest(self) -> None:
        """Mask the scores, find the largest of each query; NaN is passed over here and found again by exp."""
        k = self.kernel
        k.line("vf most[VECTORS];")
        k.line(f"{EACH_VECTOR} most[v] = top[v];")
        k.open("for (int64_t j = c0; j < c1; j++)")
        k.open(EACH_VECTOR)
        k.line("float *const at = scores + (j - c0) * QUERIES + v * VLEN;")
        k.line("vf s = vf_load(at);")
        if self.mask is not None:
            k.line(f"{'if (lanes[v] > 0) ' if self.m[2] else ''}s = vf_add(s, {self._masking()});")
        if self.causal:
            k.line("if (j > q0) s = vf_if_less(vf_load(number + v * VLEN), vf_set1(j), vf_set1(-__builtin_inff()), s);")
        if self.causal or self.mask is not None:
            k.line("vf_store(at, s);")
        k.line("most[v] = vf_max(s, most[v]);")
        k.close()
        k.close()

    def _masking(self) -> str:
        where = plus("mask", times("v * VLEN", self.m[2]), times("j", self.m[3]))
        if self.m[2] == 0:
            return f"vf_set1(*({where}))"
        if self.m[2] == 1:
            return f"vf_load_n({where}, lanes[v])"
        return f"vf_gather({where}, {self.m[2]}, lanes[v])"

    def _softmax(self) -> None:
        k = self.kernel
        k.line("vf shift[VECTORS];")
        k.open(EACH_VECTOR)
        # -inf - -inf is no number: a query that has seen no key yet subtracts 0.
        k.line("shift[v] = vf_if_less(most[v], vf_set1(-3.40282347e38f), vf_set1(0.0f), most[v]);")
        k.line("shrink[v] = vf_exp(vf_sub(top[v], shift[v]));")
        k.line("total[v] = vf_mul(total[v], shrink[v]);")
        k.line("top[v] = most[v];")
        k.close()
        k.open("for (int64_t j = c0; j < c1; j++)")
        k.open(EACH_VECTOR)
        k.line("float *const at = scores + (j - c0) * QUERIES + v * VLEN;")
        k.line("const vf p = vf_exp(vf_sub(vf_load(at), shift[v]));")
        k.line("total[v] = vf_add(total[v], p);")
        k.line("vf_store(at, p);")
        k.close()
        k.close()

    def _product(self) -> None:
        """What the values of this chunk add to the result: made[feature][query]."""
        k = self.kernel
        k.open(f"for (int64_t f = 0; f < {self.features}; f += COLUMNS)")
        k.line(f"const int64_t first = sol_min(f, {self.features} - COLUMNS); /* the last overlaps the one before */")
        k.line("float *const sums = made + first * QUERIES;")
        k.line("vf acc[COLUMNS][VECTORS];")
        before = "vf_mul(vf_load(sums + r * QUERIES + v * VLEN), shrink[v])"
        self._each("COLUMNS", f"acc[r][v] = c0 > 0 ? {before} : vf_set1(0.0f);")
        k.open("for (int64_t j = c0; j < c1; j++)")
        k.line(f"const float *const in = {plus('value', times('j', self.v[2]), times('first', self.v[3]))};")
        k.line("vf row[VECTORS];")
        k.line(f"{EACH_VECTOR} row[v] = vf_load(scores + (j - c0) * QUERIES + v * VLEN);")
        self._each("COLUMNS", f"acc[r][v] = vf_axpy(in[{times('r', self.v[3])}], row[v], acc[r][v]);")
        k.close()
        k.line("UNROLL for (int r = 0; r < COLUMNS; r++) if (first + r >= f)")
        k.line(f"    {EACH_VECTOR} vf_store(sums + r * QUERIES + v * VLEN, acc[r][v]);")
        k.close()

    def _store(self) -> None:
        k = self.kernel
        k.line("float share[QUERIES];")
        k.open(EACH_VECTOR)
        # A query that sees no key gives 0, as in PyTorch.
        k.line("const vf each = vf_if_less(vf_set1(0.0f), total[v], vf_div(vf_set1(1.0f), total[v]), total[v]);")
        k.line("vf_store(share + v * VLEN, each);")
        k.close()
        k.open("for (int64_t i = 0; i < count; i++)")
        k.open(f"for (int64_t f = 0; f < {self.features}; f += VLEN)")
        k.line(f"const int n = (int)sol_min(VLEN, {self.features} - f);")
        k.line("const vf sum = vf_gather(made + f * QUERIES + i, QUERIES, n);")
        where = plus("out", times("i", self.o[2]), times("f", self.o[3]))
        k.line(f"vf_store_n({where}, vf_mul(vf_set1(share[i]), sum), n);")
        k.close()
        k.close()
