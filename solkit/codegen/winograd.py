"""Convolution 3x3, stride 1, by Winograd's minimal filtering: see kernels/compute/winograd.h.

Tiles of the output, M x M pixels each, are made from overlapping tiles of the input, A x A with A = M + 2. The work
goes in bands of tiles, in two rounds each: the first transforms the input of the band into A * A matrices of tiles by
channels; the second multiplies each with its matrix of transformed weights, transforms the products back, and ends
with the epilogue. Between the two all threads wait for one another, so no tile is transformed twice.
"""

from math import prod

from solkit.clusters import Cluster
from solkit.codegen.elementwise import Chain, Pixel
from solkit.codegen.kernel import Kernel, Panels, Rows, plane, plus, rows_and_columns, times, zero_halo
from solkit.codegen.matrix import EACH_PIXEL, EACH_VECTOR, WIDE, choose_tile
from solkit.ops import TABLE, Kind
from solkit.ops.operator import pair
from solkit.target import Target

BAND_BYTES = 4 << 20  # of transformed input: in the last-level cache between the two rounds
PRODUCT_BYTES = 192 * 1024  # of products that wait to be transformed back, in the second-level cache
LEAST_CHANNELS = 16
ALGORITHMS = {"winograd 4x4": 4, "winograd 2x2": 2}  # side of an output tile


def is_winograd(cluster: Cluster) -> bool:
    """Whether a cluster is a convolution that can be computed this way, with element-wise operators behind at most."""
    conv, *behind = (node for node in cluster.nodes if node.op != "scalar")
    if conv.op != "conv2d" or any(TABLE[node.op].kind is not Kind.ELEMENTWISE for node in behind):
        return False
    a = conv.attributes
    plain = pair(a["stride"]) == (1, 1) and pair(a["dilation"]) == (1, 1) and a["groups"] == 1
    x, weight = conv.inputs[:2]
    wide = min(weight.shape[:2]) >= LEAST_CHANNELS and min(conv.output.shape[2:]) > 1
    return plain and weight.shape[2:] == (3, 3) and x.layout.blocked and conv.output.layout.blocked and wide


def emit_winograd(cluster: Cluster, target: Target, size: int) -> Kernel:
    """The kernel of a 3x3 convolution with its epilogue, in output tiles of `size` x `size` pixels (2 or 4)."""
    return _Winograd(cluster, target, size).emit()


class _Winograd:
    def __init__(self, cluster: Cluster, target: Target, size: int) -> None:
        self.kernel, self.cluster, self.size, self.side = Kernel(), cluster, size, size + 2
        self.node = next(node for node in cluster.nodes if node.op == "conv2d")
        self.x, self.weight, *self.bias = self.node.inputs
        self.behind = [node for node in cluster.nodes if TABLE[node.op].kind is Kind.ELEMENTWISE]
        self.batch, self.channels, self.height, self.width = self.node.output.shape
        self.inputs = self.x.shape[1]
        self.down, self.across = -(-self.height // size), -(-self.width // size)
        self.tiles = self.batch * self.down * self.across
        band = max(56, BAND_BYTES // (4 * self.side**2 * self.inputs))
        self.bands = max(1, round(self.tiles / band))
        self.band = -(-self.tiles // self.bands)
        wide = max(self.band, WIDE) if self.node.output.varying else self.band
        _, self.vectors = choose_tile(target, max(wide, 1), self.channels)
        self.vectors = min(self.vectors, target.tile[1])
        self.weights = Rows(target.panel or self.vectors, self.vectors, f"SIDE * SIDE * {self.inputs}")
        accumulators = prod(target.tile)
        room = max(1, PRODUCT_BYTES // (4 * self.side**2 * self.vectors * target.vector_length))
        # Two chunks of a band are work for two threads even where there is one panel of channels.
        chunks = -(-self.band // room)
        chunk = -(-self.band // chunks)
        self.pixels = min(chunk, accumulators // self.vectors)
        if not self.node.output.varying:  # code for many sizes keeps to the largest tile
            self.pixels = -(-chunk // -(-chunk // self.pixels))
        self.chunk = -(-chunk // self.pixels) * self.pixels

    def emit(self) -> Kernel:
        k = self.kernel
        k.headers.append("winograd.h")
        k.rounds = 2 * self.bands
        x, weights = k.buffer(self.x), k.buffer(self.weight, Panels(self.weights.panel, False, self.size))
        space = k.workspace("transformed", (1, self.inputs, self.side**2, self.band))
        k.constant("SIDE", self.side, "of a tile of the input")
        k.constant("TILES", self.tiles, "of all images")
        k.constant("BAND", self.band, "tiles at a time")
        k.constant("BLOCKS", f"SOL_CEIL({self.inputs}, VLEN)", "vectors of input channels")
        k.constant("PIXELS", self.pixels, "a register tile is so many tiles")
        k.constant("VECTORS", f"SOL_MIN({self.vectors}, SOL_CEIL({self.channels}, VLEN))", "times vectors of channels")
        k.constant("GROUPS", f"SOL_CEIL({self.channels}, VECTORS * VLEN)", "panels of output channels")
        k.constant("CHUNK", self.chunk, "tiles whose products wait at once")
        k.constant("CHUNKS", "SOL_CEIL(BAND, CHUNK)")
        k.constant("PARTS", "SOL_MIN(BAND, SOL_CEIL(16, BLOCKS))", "of a band, to transform")
        k.constant("TASKS", "SOL_MAX(BLOCKS * PARTS, GROUPS * CHUNKS)", "of a round")
        k.line("const int64_t round = task / TASKS, first = round / 2 * BAND, last = sol_min(first + BAND, TILES);")
        k.line("const int64_t index = task % TASKS;")
        k.open("if (round % 2 == 0)")
        k.line("if (index >= BLOCKS * PARTS) return;")
        self._transform(x, space)
        k.close()
        k.line("else if (index < GROUPS * CHUNKS) {")
        k.depth += 1
        self._multiply(weights, space)
        k.close()
        return k

    def _tile_place(self) -> None:
        """The image of tile `t`, and its first pixel."""
        k, per_image = self.kernel, self.down * self.across
        k.line(f"const int64_t n = t / {per_image}, inside = t % {per_image};")
        k.line(f"const int64_t y = inside / {self.across} * {self.size}, x = inside % {self.across} * {self.size};")

    # -- first round --------------------------------------------------------------------------------------------------

    def _transform(self, buffer: str, space: str) -> None:
        k, x = self.kernel, self.x
        rows, columns = rows_and_columns(x)
        padding = pair(self.node.attributes["padding"])
        top, left = x.layout.halo[0] - padding[0], x.layout.halo[1] - padding[1]
        k.line("const int64_t block = index / PARTS, part = index % PARTS, count = last - first;")
        k.open("for (int64_t t = first + part * count / PARTS; t < first + (part + 1) * count / PARTS; t++)")
        self._tile_place()
        corner = times(plus(times(plus("y", top), columns), "x", left), "VLEN")
        k.line(f"const float *const from = {plus(buffer, plane(x, 'n', 'block'), corner)};")
        k.line(f"float *const to = {space} + (block * SIDE * SIDE * BAND + t - first) * VLEN;")
        k.line("vf half[SIDE][SIDE];")
        k.open("for (int j = 0; j < SIDE; j++)")
        k.line("vf column[SIDE], made[SIDE];")
        load = f"vf_load(from + (i * {columns} + j) * VLEN)"
        ragged = self.node.output.varying or self.height % self.size or self.width % self.size
        if ragged:  # the last tiles reach over the rim
            load = f"y + i < {rows - top} && x + j < {columns - left} ? {load} : vf_set1(0.0f)"
        k.line(f"UNROLL for (int i = 0; i < SIDE; i++) column[i] = {load};")
        k.line(f"sol_winograd{self.size}_input(column, made);")
        k.line("UNROLL for (int i = 0; i < SIDE; i++) half[i][j] = made[i];")
        k.close()
        k.open("for (int i = 0; i < SIDE; i++)")
        k.line("vf made[SIDE];")
        k.line(f"sol_winograd{self.size}_input(half[i], made);")
        k.line("UNROLL for (int j = 0; j < SIDE; j++) vf_store(to + (i * SIDE + j) * BAND * VLEN, made[j]);")
        k.close()
        k.close()

    # -- second round -------------------------------------------------------------------------------------------------

    def _multiply(self, weights: str, space: str) -> None:
        k = self.kernel
        out = self.cluster.output
        k.line("const int64_t group = index / CHUNKS, t0 = index % CHUNKS * CHUNK;")
        k.line("const int64_t count = sol_min(CHUNK, last - first - t0);")
        if out.layout.halo != (0, 0):
            k.open("if (round == 1 && t0 == 0)")
            k.open(f"for (int64_t n = 0; n < {self.batch}; n++)")
            k.open(f"UNROLL for (int v = 0; v < VECTORS; v++) if ((group * VECTORS + v) * VLEN < {self.channels})")
            zero_halo(k, out, "n", "(group * VECTORS + v)")
            k.close()
            k.close()
            k.close()
        k.line("if (count <= 0) return;")
        k.line("float products[SIDE * SIDE * CHUNK * VECTORS * VLEN] __attribute__((aligned(64)));")
        k.open("for (int64_t point = 0; point < SIDE * SIDE; point++)")
        self.weights.declare(k, self.channels)
        step = f"((group * SIDE * SIDE + point) * {self.inputs}) * VECTORS * VLEN"
        if self.weights.apart:
            step = f"(group * VECTORS * SIDE * SIDE + point) * {self.inputs} * VLEN"
        k.line(f"const float *const panel = {weights} + {step};")
        k.open("for (int64_t t = 0; t < count; t += PIXELS)")
        k.line("vf acc[PIXELS][VECTORS];")
        k.line(EACH_PIXEL)
        k.line(f"    {EACH_VECTOR} acc[p][v] = vf_set1(0.0f);")
        # A tile that reaches over the band reads what lies behind, and what it makes of it is not used.
        k.line("const int64_t t1 = sol_max(0, sol_min(t0 + t, BAND - PIXELS)), skipped = t0 + t - t1;")
        k.line(f"const float *const from = {space} + (point * BAND + t1) * VLEN;")
        k.line("const float *w = panel;")
        k.open("for (int64_t c = 0; c < BLOCKS; c++)")
        k.line("const float *const in = from + c * SIDE * SIDE * BAND * VLEN;")
        k.line(f"const int64_t lanes = sol_min(VLEN, {self.inputs} - c * VLEN);")
        k.open("for (int64_t lane = 0; lane < lanes; lane++)")
        k.line("vf row[VECTORS];")
        k.line(self.weights.load)
        k.line(EACH_PIXEL)
        k.line(f"    {EACH_VECTOR} acc[p][v] = vf_axpy(in[p * VLEN + lane], row[v], acc[p][v]);")
        k.line(f"w += {self.weights.floats};")
        k.close()
        k.close()
        k.line("float *const to = products + (point * CHUNK + t) * VECTORS * VLEN;")
        k.line(f"{EACH_PIXEL} if (p >= skipped)")
        k.line(f"    {EACH_VECTOR} vf_store(to + ((p - skipped) * VECTORS + v) * VLEN, acc[p][v]);")
        k.close()
        k.close()
        self._transform_back()

    def _transform_back(self) -> None:
        k, size = self.kernel, self.size
        k.line("vf checked = vf_set1(0.0f);")
        self._open_tiles()
        k.line("const float *const from = products + (i * VECTORS + v) * VLEN;")
        k.line(f"vf half[{size}][SIDE];")
        k.open("for (int j = 0; j < SIDE; j++)")
        k.line(f"vf column[SIDE], made[{size}];")
        k.line(
            "UNROLL for (int i = 0; i < SIDE; i++) column[i] = vf_load(from + (i * SIDE + j) * CHUNK * VECTORS * VLEN);"
        )
        k.line(f"sol_winograd{size}_output(column, made);")
        k.line(f"UNROLL for (int i = 0; i < {size}; i++) half[i][j] = made[i];")
        k.close()
        k.open(f"for (int dy = 0; dy < {size}; dy++)")
        if self.node.output.varying or self.height % size:
            k.line(f"if (y + dy >= {self.height}) break;")
        k.line(f"vf made[{size}];")
        k.line(f"sol_winograd{size}_output(half[dy], made);")
        inside = f" if (x + dx < {self.width})" if self.node.output.varying or self.width % size else ""
        k.open(f"UNROLL for (int dx = 0; dx < {size}; dx++){inside}")
        k.line("const vf sum = " + ("vf_add(made[dx], bias);" if self.bias else "made[dx];"))
        place = Pixel(k, "n", "block", "(y + dy)", "(x + dx)", "lanes")
        self._store(place)
        k.line("checked = vf_fma(sum, vf_set1(0.0f), checked);")
        for _ in range(4):
            k.close()
        # NaN and infinity spread over a whole tile; where there are any, each pixel gets its own by the definition.
        k.open("if (vf_sum_n(checked, VLEN) != 0)")
        self._by_definition(place)
        k.close()

    def _open_tiles(self) -> None:
        """The loops over the tiles of a chunk and the vectors of channels of a panel."""
        k = self.kernel
        k.open("for (int64_t i = 0; i < count; i++)")
        k.line("const int64_t t = first + t0 + i;")
        self._tile_place()
        k.open("for (int v = 0; v < VECTORS; v++)")
        k.line("const int64_t block = group * VECTORS + v;")
        k.line(f"const int lanes = (int)sol_min(VLEN, {self.channels} - block * VLEN);")
        k.line("if (lanes <= 0) break;")
        if self.bias:
            k.line(f"const vf bias = vf_load_n({plus(k.buffer(self.bias[0]), 'block * VLEN')}, lanes);")

    def _store(self, place: Pixel) -> None:
        k, out = self.kernel, self.cluster.output
        k.line(place.store(out, Chain(k, self.behind, place, {self.node.output: "sum"}).vector(out)))

    def _by_definition(self, place: Pixel) -> None:
        """The chunk again as a sum over channels and window, from weights as they are."""
        k, x, size = self.kernel, self.x, self.size
        columns = rows_and_columns(x)[1]
        padding = pair(self.node.attributes["padding"])
        top, left = x.layout.halo[0] - padding[0], x.layout.halo[1] - padding[1]
        weights = k.buffer(self.weight)
        self._open_tiles()
        k.open(f"for (int dy = 0; dy < {size} && y + dy < {self.height}; dy++)")
        k.open(f"for (int dx = 0; dx < {size} && x + dx < {self.width}; dx++)")
        k.line(f"vf sum = {'bias' if self.bias else 'vf_set1(0.0f)'};")
        k.open(f"for (int64_t c = 0; c < {self.inputs}; c++)")
        k.open("for (int64_t w = 0; w < 9; w++)")
        row = times(plus("y", "dy", "w / 3", top), columns)
        at = plus(times(plus(row, "x", "dx", "w % 3", left), "VLEN"), "c % VLEN")
        k.line(f"const float *const from = {plus(k.buffer(x), plane(x, 'n', '(c / VLEN)'), at)};")
        gather = f"vf_gather({weights} + (block * VLEN * {self.inputs} + c) * 9 + w, {9 * self.inputs}, lanes)"
        k.line(f"sum = vf_axpy(*from, {gather}, sum);")
        k.close()
        k.close()
        self._store(place)
        for _ in range(4):
            k.close()
