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
from solkit.codegen.kernel import EACH_VECTOR, Kernel, Panels, Rows, plane, plus, rows_and_columns, times, zero_halo
from solkit.codegen.loops import Destination, emit_row
from solkit.ir import Value
from solkit.ops import TABLE, Kind
from solkit.ops.operator import pair
from solkit.target import Target

EACH_PIXEL = "UNROLL for (int p = 0; p < PIXELS; p++)"
BLOCK = "const int64_t block = group * VECTORS + v"  # of output channels, the v-th of the panel
SCRATCH_BYTES = 192 * 1024  # of a prologue's results, in the second-level cache with some weights beside them
WIDE = 1 << 10  # pixels in a row, or rows of a matrix, that code for many sizes is made for
MOST_STREAMS = 4  # of weights that are read side by side
TASKS_WANTED = 16  # enough pieces for a few threads to share evenly


def choose_tile(target: Target, width: int, channels: int) -> tuple[int, int]:
    """(pixels, vectors) of the register tile that wastes least on rows of this width and this many output channels.

    Costs of one step, per useful multiply-add: the multiply-adds themselves, the loads of weights, and broadcasts,
    which two of a kind are as dear as one multiply-add.
    """
    accumulators = target.tile[0] * target.tile[1]
    blocks = -(-channels // target.vector_length)
    best, least = target.tile, float("inf")
    widest = target.tile[1]
    if target.panel and width == 1:  # no second pixel needs the weights, so they take no registers
        widest = min(accumulators, MOST_STREAMS)
    for vectors in range(1, min(widest, blocks) + 1):
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
        self.kernel = Kernel(target)
        self.cluster = cluster
        nodes = [node for node in cluster.nodes if node.op != "scalar"]
        place = next(i for i, node in enumerate(nodes) if TABLE[node.op].kind is Kind.DNN)
        heavy = nodes[place]
        self.prologue, behind = nodes[:place], nodes[place + 1 :]
        self.scalars = [node for node in cluster.nodes if node.op == "scalar"]
        self.node, self.made = heavy, heavy.output
        self.x, self.weight, *bias = heavy.inputs
        self.bias: Value | None = bias[0] if bias else None
        self.pool = next((node for node in behind if TABLE[node.op].kind is Kind.WINDOW), None)
        self.elementwise = [*self.scalars, *(node for node in behind if TABLE[node.op].kind is Kind.ELEMENTWISE)]
        self.channels = self.weight.shape[0]
        self.image = heavy.op == "conv2d"
        if self.image:
            self.batch, _, self.height, self.width = self.made.shape
        else:
            self.batch, self.height, self.width = 1, 1, prod(self.made.shape[:-1])
        # Code for many widths is made as for a wide one that no tile divides.
        last = {3} if self.image else set(range(len(self.made.shape) - 1))
        self.any_width = bool(self.made.varying & last)
        self.groups = heavy.attributes["groups"] if self.image else 1
        width = max(self.width, WIDE) if self.any_width else self.width
        self.pixels, self.vectors = choose_tile(target, width, self.channels // self.groups)
        self.pixels = min(self.pixels, self.width)
        if self.groups > 1:  # a panel of weights lies within one group
            blocks = self.channels // self.groups // target.vector_length or 1
            self.vectors = max(v for v in range(1, self.vectors + 1) if blocks % v == 0)
        self.weights = Rows(target.panel or self.vectors, self.vectors, self.weight.type.size // self.channels)
        self.shared = target.panel is not None
        self.chunk_rows = self._rows_of_chunk() if self.prologue else 0

    def emit(self) -> Kernel:
        k = self.kernel
        reduction = self._convolution() if self.image else self._linear()
        if not self.prologue:
            k.buffer(self.x)
        weights = k.buffer(self.weight, Panels(self.weights.panel, self.image and self.x.layout.blocked))
        if self.shared:  # buffers come in an order that does not depend on the register tile
            k.buffer(self._stored)
        self._constants(reduction)
        self._task()
        if self.prologue:
            self._fill_chunk()
            k.open("for (int64_t group = 0; group < GROUPS; group++)")
        k.line(f"const float *const weights = {weights} + group * {self.weights.steps} * VECTORS * VLEN;")
        self.weights.declare(k, self.channels)
        self._lanes_and_bias()
        if self.pool is not None:
            k.line("vf sum[VECTORS];")
            k.line(f"{EACH_VECTOR} sum[v] = vf_set1(0.0f);")
        elif self._stored.layout.halo != (0, 0):
            first = "if (part == 0) " if self._shared_out else ""
            first = "if (y0 == 0) " if self.prologue else first
            k.open(f"{first}{EACH_VECTOR} if (lanes[v] > 0)")
            k.line(f"{BLOCK};")
            zero_halo(k, self._stored, self._n, "block")
            k.close()
        if self._in_chunks:
            k.open("for (int64_t c0 = 0; c0 < STEPS; c0 += CHUNK)")
            k.line("const int64_t c1 = sol_min(c0 + CHUNK, STEPS);")
        self._pixels(reduction)
        if self._in_chunks:
            k.close()
        if self.pool is not None:
            self._finish_pool()
        if self.prologue:
            k.close()
        return k

    # -- prologue -----------------------------------------------------------------------------------------------------

    def _rows_of_chunk(self) -> int:
        """Rows of pixels whose input is made at once: enough for a tile or two, few enough to stay in the cache and
        to leave work for several threads."""
        row_bytes = 4 * self.width * self.weight.shape[1]
        most = max(1, SCRATCH_BYTES // row_bytes)
        heavy = 4 * self.weight.type.size > CHUNK_BYTES  # weights are read again for each chunk
        wanted = -(-(4 if heavy else TASKS_WANTED) // self.batch)
        rows = min(most, max(1, self.height // wanted), self.height)
        return -(-self.height // -(-self.height // rows))

    def _fill_chunk(self) -> None:
        """What the prologue makes of rows y0 to y1 - 1, all channels, in blocks: chunk[block][y - y0][x]."""
        k, channels = self.kernel, self.weight.shape[1]
        k.line(f"float chunk[SOL_CEIL({channels}, VLEN) * ROWS * {self.width} * VLEN] __attribute__((aligned(64)));")
        k.open(f"for (int64_t block = 0; block < SOL_CEIL({channels}, VLEN); block++)")
        with k.declaring(lanes=f"const int lanes = (int)sol_min(VLEN, {channels} - block * VLEN)"):
            k.open("for (int64_t y = y0; y < y1; y++)")
            row = Destination(lambda x: f"chunk + ((block * ROWS + y - y0) * {self.width} + {x}) * VLEN")
            emit_row(k, [*self.prologue, *self.scalars], self.x, row)
            k.close()
        k.close()

    # -- sizes --------------------------------------------------------------------------------------------------------

    @property
    def _stored(self) -> Value:
        return self.cluster.output

    @property
    def _n(self) -> str:
        """The image at hand in C."""
        return "n" if self.batch > 1 else "0"

    @property
    def _shared_out(self) -> bool:
        """Whether several tasks share the pixels of an image; the sum of a pool is one task's."""
        several = self.any_width or self.height * self._row_tiles > 1
        return not self.prologue and self.pool is None and several

    @property
    def _row_tiles(self) -> int:
        return -(-self.width // self.pixels)

    def _constants(self, reduction: _Reduction) -> None:
        k = self.kernel
        k.constant("PIXELS", self.pixels, "a register tile is so many pixels")
        k.constant("VECTORS", f"SOL_MIN({self.vectors}, SOL_CEIL({self.channels}, VLEN))", "times vectors of channels")
        k.constant("GROUPS", f"SOL_CEIL({self.channels}, VECTORS * VLEN)", "panels of output channels")
        tasks = ["GROUPS"]
        if self.prologue:
            k.constant("ROWS", self.chunk_rows, "of pixels, whose input is made at once")
            tasks = [k.constant("CHUNKS", -(-self.height // self.chunk_rows), "of an image")]
        if self.batch > 1:
            tasks.append(k.constant("IMAGES", self.batch))
        if self._shared_out:
            k.constant("TILES", self.height * self._row_tiles, "of an image")
            pieces = " * ".join(tasks)
            tasks.append(k.constant("PARTS", f"SOL_MIN(TILES, SOL_CEIL({TASKS_WANTED}, {pieces}))", "tiles shared out"))
        k.constant("TASKS", " * ".join(tasks))
        if self._in_chunks:
            k.constant("STEPS", reduction.outer, "of the reduction")
            bytes_of_step = f"({times('VECTORS * VLEN * 4', reduction.outer_weights)})"
            k.constant("CHUNK", f"SOL_MAX(1, {CHUNK_BYTES} / {bytes_of_step})", "steps whose weights stay in the cache")

    @property
    def _in_chunks(self) -> bool:
        """Sums may wait in the output only if it has room for each; chunks pay only if weights are read again."""
        reread = self.any_width or (self.chunk_rows or self.height) * self.width > self.pixels
        return self.pool is None and reread and self._stored.shape == self.made.shape

    def _convolution(self) -> _Reduction:
        a, x = self.node.attributes, self.x
        channels, (height, width) = x.shape[1], self.weight.shape[2:]
        rows, columns = (0, self.width) if self.prologue else rows_and_columns(x)
        channels //= self.groups
        dilation, stride = pair(a["dilation"]), pair(a["stride"])
        unit = "VLEN" if x.layout.blocked else "1"

        window = [("ky", height, times(dilation[0] * columns, unit)), ("kx", width, times(dilation[1], unit))]
        inner = [(name, str(count), step) for name, count, step in window if count > 1]
        outer, weights = str(channels), height * width
        if x.layout.blocked:
            inner.append(("lane", f"sol_min(VLEN, {channels} - c * VLEN)", "1"))
            outer = f"SOL_CEIL({channels}, VLEN)"
        return _Reduction(
            outer,
            times("ROWS", columns, unit) if self.prologue else times(rows * columns, unit),
            times(weights, unit),
            inner,
            times(stride[1], unit),
        )

    def _linear(self) -> _Reduction:
        features = self.weight.shape[1]
        return _Reduction(str(features), "1", "1", [], str(features))

    # -- text ---------------------------------------------------------------------------------------------------------

    def _task(self) -> None:
        """Which part of the work the task is: a panel of channels, of an image, of a share of its pixels."""
        k, rest = self.kernel, "task"
        if self.prologue:
            image = "const int64_t n = task / CHUNKS, y0 = task % CHUNKS * ROWS" if self.batch > 1 else ""
            k.line(f"{image or 'const int64_t n = 0, y0 = task * ROWS'}, y1 = sol_min(y0 + ROWS, {self.height});")
            return
        names = []
        if self._shared_out:
            names.append("part = task % PARTS")
            rest = "task / PARTS"
        if self.batch > 1:
            names.append(f"n = {rest} % IMAGES")
            rest = f"{rest} / IMAGES"
        k.line(f"const int64_t {', '.join([f'group = {rest}', *names])};")

    def _lanes_and_bias(self) -> None:
        """How many channels of each vector there are: in the last panel, vectors may be partly or all padding."""
        k = self.kernel
        k.line("int lanes[VECTORS];")
        if self.bias is not None:
            k.line("vf bias[VECTORS];")
        k.open(EACH_VECTOR)
        k.line(f"{BLOCK};")
        k.line(f"const int left = (int)sol_max(0, sol_min(VLEN, {self.channels} - block * VLEN));")
        k.line(f"lanes[v] = {self.channels} % (VECTORS * VLEN) == 0 ? VLEN : left;")
        if self.bias is not None:
            load = f"vf_load_n({plus(k.buffer(self.bias), 'block * VLEN')}, lanes[v])"
            k.line(f"bias[v] = lanes[v] > 0 ? {load} : vf_set1(0.0f);")
        k.close()

    def _pixels(self, reduction: _Reduction) -> None:
        """The loop nest over the tiles of an image, with all that happens to a tile."""
        k = self.kernel
        first, end, tiled = "0", str(self.height * self._row_tiles), self.any_width or self._row_tiles > 1
        if self._shared_out:
            first, end = "part * TILES / PARTS", "(part + 1) * TILES / PARTS"
        if self.prologue:
            first, end = (f"{y} * {self._row_tiles}" if tiled else y for y in ("y0", "y1"))
        loop = "tile" if tiled else "y"
        k.open(f"for (int64_t {loop} = {first}; {loop} < {end}; {loop}++)")
        self._y, self._x, ragged = "y", "0", self.any_width or self.width % self.pixels != 0
        if tiled:
            if self.height == 1:
                self._y = "0"
                k.line("const int64_t x0 = tile * PIXELS;")
            else:
                k.line(f"const int64_t y = tile / {self._row_tiles}, x0 = tile % {self._row_tiles} * PIXELS;")
            self._x = "x0"
            if ragged:
                self._x = "x"
                k.line(f"const int64_t x = sol_min(x0, {self.width} - PIXELS); /* the last overlaps the one before */")
        elif self.height == 1:
            self._y = "0"
        self._sums(reduction)
        done = " if (x + p >= x0)" if ragged else ""
        k.line(EACH_PIXEL + done)
        k.depth += 1
        k.open(f"{EACH_VECTOR} if (lanes[v] > 0)")
        with k.declaring(block=BLOCK):
            self._epilogue()
        k.close()
        k.depth -= 1
        k.close()

    def _sums(self, reduction: _Reduction) -> None:
        """The reduction: what every floating-point operation of a convolution or matrix product is spent on."""
        k = self.kernel
        k.line("vf acc[PIXELS][VECTORS];")
        self._start()
        k.line(f"const float *const input = {self._input_address()};")
        skipped = " + " + times("c0", self.weights.floats, reduction.outer_weights) if self._in_chunks else ""
        k.line(f"const float *w = weights{skipped};")
        loops = [("c", reduction.outer, reduction.outer_step), *reduction.inner]
        for name, count, _ in loops:
            first, end = ("c0", "c1") if name == "c" and self._in_chunks else ("0", count)
            k.open(f"for (int64_t {name} = {first}; {name} < {end}; {name}++)")
        k.line(f"const float *const in = input + {plus(*(times(name, step) for name, _, step in loops))};")
        k.line("vf row[VECTORS];")
        k.line(self.weights.load)
        k.line(EACH_PIXEL)
        k.line(f"    {EACH_VECTOR}")
        k.line(f"        acc[p][v] = vf_axpy(in[{times('p', reduction.stride)}], row[v], acc[p][v]);")
        k.line(f"w += {self.weights.floats};")
        for _ in loops:
            k.close()

    def _place(self) -> Place:
        if self.image and self.made.layout.blocked:
            return Pixel(self.kernel, self._n, "block", self._y, plus(self._x, "p"), "lanes[v]")
        row = self._n if self.image else f"({plus(self._x, 'p')})"
        return Row(self.kernel, row, "block", "lanes[v]", self.channels)

    def _start(self) -> None:
        """What the sums start from: the bias, or what an earlier chunk left in the output."""
        k = self.kernel
        start = "vf_set1(0.0f)" if self.bias is None else "bias[v]"
        k.line(EACH_PIXEL)
        if not self._in_chunks:
            k.line(f"    {EACH_VECTOR} acc[p][v] = {start};")
            return
        k.depth += 1
        k.open(EACH_VECTOR)
        k.line(f"{BLOCK};")
        k.line(f"acc[p][v] = c0 > 0 && lanes[v] > 0 ? {self._place().load(self._stored)} : {start};")
        k.close()
        k.depth -= 1

    def _input_address(self) -> str:
        x = self.x
        if not self.image:
            return plus(self.kernel.buffer(x), times(self._x, self.weight.shape[1]))
        if self.prologue:
            return plus("chunk", times(plus(times(f"({self._y} - y0)", self.width), self._x), "VLEN"))
        a = self.node.attributes
        stride, padding = pair(a["stride"]), pair(a["padding"])
        first = "0"
        if self.groups > 1:
            blocks = f"SOL_CEIL({self.weight.shape[1]}, VLEN)"  # of input channels of a group
            first = f"group * VECTORS * VLEN / {self.channels // self.groups} * {blocks}"
        # Input pixel (0, 0) of the window lies `padding` before the output's; the halo is at least that wide.
        top, left = x.layout.halo[0] - padding[0], x.layout.halo[1] - padding[1]
        row = times(plus(times(self._y, stride[0]), top), rows_and_columns(x)[1])
        inside = plus(row, times(self._x, stride[1]), left)
        return plus(self.kernel.buffer(x), plane(x, self._n, first), times(inside, "VLEN" if x.layout.blocked else 1))

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
        k.open(f"{EACH_VECTOR} if (lanes[v] > 0)")
        k.line(f"{BLOCK};")
        k.line(f"const vf mean = vf_mul(sum[v], vf_set1(1.0f / {self.height * self.width}));")
        place = Row(k, self._n, "block", "lanes[v]", self.channels)
        chain = Chain(k, self.elementwise, place, {self.pool.output: "mean"})
        k.line(place.store(self._stored, chain.vector(self._stored)))
        k.close()
