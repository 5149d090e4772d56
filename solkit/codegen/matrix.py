"""Matrix kernels (DNN): convolution and linear layers as one register-tiled loop nest over packed panels.

A tile is `pixels` neighbouring output pixels (or rows of a matrix) times `vectors` vectors of output channels. Its sums
stay in registers while the reduction runs over input channels and window positions: one step loads a row of weights,
broadcasts one number per pixel and does pixels x vectors multiply-adds. Then come the epilogue, the element-wise
operators fused behind, and one store; or, with global average pooling fused, no store at all until the plane is done.

Where the weights of a panel are larger than the cache, the reduction goes in chunks, and sums wait in the output.
"""

from dataclasses import dataclass
from math import prod

from solkit.clusters import CHUNK_BYTES, Cluster
from solkit.codegen.elementwise import Chain, Pixel, Place, Row
from solkit.codegen.kernel import Kernel, Panels, plane, plus, rows_and_columns, times, zero_halo
from solkit.ir import Value
from solkit.ops import TABLE, Kind
from solkit.ops.operator import pair
from solkit.target import Target

TASKS_WANTED = 16  # enough pieces for a few threads to share evenly


def choose_tile(target: Target, width: int, channels: int) -> tuple[int, int]:
    """(pixels, vectors) of the register tile that wastes least on rows of this width and this many output channels.

    Costs of one step, per useful multiply-add: the multiply-adds themselves, the loads of weights, and broadcasts,
    which two of a kind are as dear as one multiply-add.
    """
    accumulators = target.tile[0] * target.tile[1]
    blocks = -(-channels // target.vector_length)
    best, least = target.tile, float("inf")
    for vectors in range(1, min(target.tile[1], blocks) + 1):
        most = min(width, accumulators // vectors)
        tiles = -(-width // most)
        pixels = -(-width // tiles)
        work = tiles * -(-blocks // vectors) * (pixels * vectors + vectors + pixels / 2)
        if work < least * 0.999:
            best, least = (pixels, vectors), work
    return best


@dataclass
class _Reduction:
    """What the sums run over, and where the numbers are: the input of pixel p at step (c, inner) is
    `base[p * stride + ...]`."""

    outer: str  # C expression: steps of the outer loop
    outer_step: str  # floats of input from one to the next
    outer_weights: str  # rows of weights of one
    inner: list[tuple[str, str, str]]  # (variable, count, floats of input from one to the next)
    stride: str  # floats of input from one pixel to the next


def emit_matrix(cluster: Cluster, target: Target) -> Kernel:
    """The kernel of a cluster whose first node is `conv2d` or `linear`."""
    return _Matrix(cluster, target).emit()


class _Matrix:
    def __init__(self, cluster: Cluster, target: Target) -> None:
        self.kernel = Kernel()
        self.cluster = cluster
        heavy = next(node for node in cluster.nodes if TABLE[node.op].kind is Kind.DNN)
        self.node, self.made = heavy, heavy.output
        self.x, self.weight, *bias = heavy.inputs
        self.bias: Value | None = bias[0] if bias else None
        self.pool = next((node for node in cluster.nodes if TABLE[node.op].kind is Kind.WINDOW), None)
        self.elementwise = [node for node in cluster.nodes if TABLE[node.op].kind is Kind.ELEMENTWISE]
        self.channels = self.weight.shape[0]
        self.image = heavy.op == "conv2d"
        if self.image:
            self.batch, _, self.height, self.width = self.made.shape
        else:
            self.batch, self.height, self.width = 1, 1, prod(self.made.shape[:-1])
        self.pixels, self.vectors = choose_tile(target, self.width, self.channels)

    def emit(self) -> Kernel:
        k = self.kernel
        reduction = self._convolution() if self.image else self._linear()
        panels = Panels(self.vectors, self.image and self.x.layout.blocked)
        k.buffer(self.x)
        weights = k.buffer(self.weight, panels)
        self._constants(reduction)
        k.line("const int64_t group = task / (IMAGES * PARTS), n = task / PARTS % IMAGES, part = task % PARTS;")
        rows = self.weight.type.size // self.channels
        k.line(f"const float *const weights = {weights} + group * {rows} * VECTORS * VLEN;")
        self._block_lanes()
        if self.pool is not None:
            k.line("vf sum[VECTORS];")
            k.line("UNROLL for (int v = 0; v < VECTORS; v++) sum[v] = vf_set1(0.0f);")
        elif self._stored.layout.halo != (0, 0):
            k.open("if (part == 0) UNROLL for (int v = 0; v < VECTORS; v++) if (lanes[v] > 0)")
            zero_halo(k, self._stored, "n", "(group * VECTORS + v)")
            k.close()
        k.open("for (int64_t c0 = 0; c0 < STEPS; c0 += CHUNK)")
        k.line("const int64_t c1 = sol_min(c0 + CHUNK, STEPS);")
        k.open("for (int64_t tile = part * TILES / PARTS; tile < (part + 1) * TILES / PARTS; tile++)")
        self._tile(reduction)
        k.close()
        k.close()
        if self.pool is not None:
            self._finish_pool()
        return k

    # -- sizes --------------------------------------------------------------------------------------------------------

    @property
    def _stored(self) -> Value:
        return self.cluster.output

    def _constants(self, reduction: _Reduction) -> None:
        k = self.kernel
        tiles = self.height * -(-self.width // self.pixels)
        k.constant("PIXELS", self.pixels, "a register tile: this many pixels")
        k.constant("VECTORS", f"SOL_MIN({self.vectors}, SOL_CEIL({self.channels}, VLEN))", "times vectors of channels")
        k.constant("GROUPS", f"SOL_CEIL({self.channels}, VECTORS * VLEN)", "panels of output channels")
        k.constant("IMAGES", self.batch)
        k.constant("TILES", tiles, "tiles of an image")
        parts = "1" if self.pool is not None else f"SOL_MIN(TILES, SOL_CEIL({TASKS_WANTED}, IMAGES * GROUPS))"
        k.constant("PARTS", parts, "an image is shared out in so many parts")
        k.constant("TASKS", "GROUPS * IMAGES * PARTS")
        k.constant("STEPS", reduction.outer, "of the reduction")
        if self._in_chunks:
            bytes_of_step = f"({reduction.outer_weights} * VECTORS * VLEN * 4)"
            k.constant("CHUNK", f"SOL_MAX(1, {CHUNK_BYTES} / {bytes_of_step})", "whose weights stay in the cache")
        else:
            k.constant("CHUNK", "STEPS", "all at once")

    @property
    def _in_chunks(self) -> bool:
        """Sums may wait in the output only if it has a place for each, and chunks pay only if weights are read again."""
        reread = self.height * self.width > self.pixels
        return self.pool is None and reread and self._stored.shape == self.made.shape

    def _convolution(self) -> _Reduction:
        a, x = self.node.attributes, self.x
        channels, (height, width) = x.shape[1], self.weight.shape[2:]
        rows, columns = rows_and_columns(x)
        dilation, stride = pair(a["dilation"]), pair(a["stride"])
        unit = "VLEN" if x.layout.blocked else "1"

        def floats(count: int) -> str:
            return f"{count} * VLEN" if unit == "VLEN" else str(count)

        window = [
            ("ky", height, floats(dilation[0] * columns)),
            ("kx", width, floats(dilation[1])),
        ]
        inner = [(name, str(count), step) for name, count, step in window if count > 1]
        positions = height * width
        if x.layout.blocked:
            lanes = "VLEN" if channels == 1 else f"sol_min(VLEN, {channels} - c * VLEN)"
            inner.append(("lane", lanes, "1"))
            outer, weights = f"SOL_CEIL({channels}, VLEN)", f"{positions} * VLEN"
        else:
            outer, weights = str(channels), str(positions)
        return _Reduction(outer, floats(rows * columns), weights, inner, floats(stride[1]))

    def _linear(self) -> _Reduction:
        features = self.weight.shape[1]
        return _Reduction(str(features), "1", "1", [], str(features))

    # -- text ---------------------------------------------------------------------------------------------------------

    def _block_lanes(self) -> None:
        """How many channels of each vector there are: the last panel may have vectors that are partly or all padding."""
        k = self.kernel
        k.line("int lanes[VECTORS];")
        k.line(
            "UNROLL for (int v = 0; v < VECTORS; v++) "
            f"lanes[v] = {self.channels} % (VECTORS * VLEN) == 0 ? VLEN : "
            f"(int)sol_max(0, sol_min(VLEN, {self.channels} - (group * VECTORS + v) * VLEN));"
        )

    def _tile(self, reduction: _Reduction) -> None:
        k = self.kernel
        per_row = -(-self.width // self.pixels)
        k.line(f"const int64_t y = tile / {per_row}, x0 = tile % {per_row} * PIXELS;")
        ragged = self.width % self.pixels != 0
        if ragged:
            k.line(f"const int64_t x = sol_min(x0, {self.width} - PIXELS); /* the last tile overlaps the one before */")
        else:
            k.line("const int64_t x = x0;")
        self._initial_sums()
        k.line(f"const float *const input = {self._input_address()};")
        k.line(f"const float *w = weights + c0 * {reduction.outer_weights} * VECTORS * VLEN;")
        loops = [("c", "", reduction.outer_step), *reduction.inner]
        k.open("for (int64_t c = c0; c < c1; c++)")
        for name, count, _ in reduction.inner:
            k.open(f"for (int64_t {name} = 0; {name} < {count}; {name}++)")
        offset = plus(*(f"{name} * {step}" if step != "1" else name for name, _, step in loops))
        k.line(f"const float *const in = input + {offset};")
        k.line("vf row[VECTORS];")
        k.line("UNROLL for (int v = 0; v < VECTORS; v++) row[v] = vf_load(w + v * VLEN);")
        k.line("UNROLL for (int p = 0; p < PIXELS; p++)")
        k.line("    UNROLL for (int v = 0; v < VECTORS; v++)")
        k.line(f"        acc[p][v] = vf_axpy(in[p * {reduction.stride}], row[v], acc[p][v]);")
        k.line("w += VECTORS * VLEN;")
        for _ in loops:
            k.close()
        done = " if (x + p >= x0)" if ragged else ""
        k.line("UNROLL for (int p = 0; p < PIXELS; p++)" + done)
        k.depth += 1
        k.open("UNROLL for (int v = 0; v < VECTORS; v++) if (lanes[v] > 0)")
        self._epilogue()
        k.close()
        k.depth -= 1

    def _place(self, v: str = "(group * VECTORS + v)", lanes: str = "lanes[v]") -> Place:
        if self.image and self.made.layout.blocked:
            return Pixel(self.kernel, "n", v, "y", "(x + p)", lanes)
        row = "n" if self.image else "(x + p)"
        return Row(self.kernel, row, v, lanes, self.channels)

    def _initial_sums(self) -> None:
        k = self.kernel
        k.line("vf acc[PIXELS][VECTORS];")
        start = "vf_set1(0.0f)"
        if self.bias is not None:
            bias = f"vf_load_n({k.buffer(self.bias)} + (group * VECTORS + v) * VLEN, lanes[v])"
            k.line("vf bias[VECTORS];")
            k.line(f"UNROLL for (int v = 0; v < VECTORS; v++) bias[v] = lanes[v] > 0 ? {bias} : vf_set1(0.0f);")
            start = "bias[v]"
        if self._in_chunks:
            place = self._place()
            waiting = place.load(self._stored)
            start = f"c0 > 0 ? (lanes[v] > 0 ? {waiting} : vf_set1(0.0f)) : {start}"
        k.line("UNROLL for (int p = 0; p < PIXELS; p++)")
        k.line(f"    UNROLL for (int v = 0; v < VECTORS; v++) acc[p][v] = {start};")

    def _input_address(self) -> str:
        x = self.x
        if not self.image:
            return plus(self.kernel.buffer(x), times("x", self.weight.shape[1]))
        a = self.node.attributes
        stride, padding = pair(a["stride"]), pair(a["padding"])
        y, column = times("y", stride[0]), times("x", stride[1])
        rows, columns = rows_and_columns(x)
        # Input pixel (0, 0) of the window lies `padding` before the output's; the halo is at least that wide.
        top, left = x.layout.halo[0] - padding[0], x.layout.halo[1] - padding[1]
        inside = plus(times(plus(y, top), columns), column, left)
        unit = f"({inside}) * VLEN" if x.layout.blocked else inside
        return plus(self.kernel.buffer(x), plane(x, "n", "0"), unit)

    def _epilogue(self) -> None:
        """Element-wise operators behind the sums, then the store or the sum of the pool."""
        k, place = self.kernel, self._place()
        if self._in_chunks:
            k.open("if (c1 < STEPS)")
            k.line(place.store(self._stored, "acc[p][v]"))
            k.depth -= 1
            k.open("} else")
        chain = Chain(k, self.elementwise, place, {self.made: "acc[p][v]"})
        if self.pool is None:
            k.line(place.store(self._stored, chain.vector(self._stored)))
        else:
            k.line(f"sum[v] = vf_add(sum[v], {chain.vector(self.pool.inputs[0])});")
        if self._in_chunks:
            k.close()

    def _finish_pool(self) -> None:
        k = self.kernel
        k.open("UNROLL for (int v = 0; v < VECTORS; v++) if (lanes[v] > 0)")
        k.line(f"const vf mean = vf_mul(sum[v], vf_set1(1.0f / {self.height * self.width}));")
        place = Row(k, "n", "(group * VECTORS + v)", "lanes[v]", self.channels)
        chain = Chain(k, self.elementwise, place, {self.pool.output: "mean"})
        k.line(place.store(self._stored, chain.vector(self._stored)))
        k.close()
