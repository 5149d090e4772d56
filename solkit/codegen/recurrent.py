"""LSTM and GRU: a round of tasks for each time step, and a task for each vector of units.

A task multiplies the state before, a row per sequence, with a panel of W_hh that holds all gates of VLEN units, so the
sums of a tile of sequences stay in registers until the cell has made the new state of them.
"""

from solkit.clusters import Cluster
from solkit.codegen.kernel import Kernel, Panels, plus, times
from solkit.ops.recurrent import GATES
from solkit.target import Target

TASKS_WANTED = 16
EACH_ROW = "UNROLL for (int p = 0; p < ROWS; p++)"
EACH_GATE = "UNROLL for (int g = 0; g < GATES; g++)"


def emit_recurrent(cluster: Cluster, target: Target) -> Kernel:
    """The kernel of a cluster that is one `lstm_cell_scan` or `gru_cell_scan`."""
    return _Scan(cluster, target).emit()


class _Scan:
    def __init__(self, cluster: Cluster, target: Target) -> None:
        self.kernel, self.out = Kernel(), cluster.output
        (self.node,) = cluster.nodes
        self.lstm, a = self.node.op == "lstm_cell_scan", self.node.attributes
        self.gates, self.weight, self.h0, *rest = self.node.inputs
        self.c0, self.bias = (rest[0] if self.lstm else None), next(iter(rest[self.lstm :]), None)
        self.batch, self.hidden = self.h0.shape[1:]
        self.steps, self.directions = self.gates.shape[1 if a["batch_first"] else 0], a["directions"]
        most = max(1, target.tile[0] * target.tile[1] // GATES[self.node.op])
        self.rows = -(-self.batch // -(-self.batch // most))
        # Sequence n at step t is row n * row_n + t * row_t of the inputs' projections, and of the sequence made.
        self.row_n, self.row_t = (self.steps, 1) if a["batch_first"] else (1, self.batch)
        self.width = self.directions * self.hidden
        # C: the direction, the step it is at, and the one before.
        self.d, self.t, self.earlier = ("d", "t", "earlier") if self.directions > 1 else ("0", "step", "(step - 1)")

    def emit(self) -> Kernel:
        k = self.kernel
        k.rounds = self.steps
        self._constants()
        self._task()
        self._before()
        self._addresses()
        k.open("for (int64_t tile = part * TILES / PARTS; tile < (part + 1) * TILES / PARTS; tile++)")
        ragged = self.batch % self.rows != 0
        if ragged:
            k.line("const int64_t n0 = tile * ROWS;")
            k.line(f"const int64_t n = sol_min(n0, {self.batch} - ROWS); /* the last overlaps the one before */")
        else:
            k.line("const int64_t n = tile * ROWS;")
        self._sums()
        k.open(EACH_ROW + (" if (n + p >= n0)" if ragged else ""))
        k.line(f"const float *const xp = x + (n + p) * {times(self.row_n * self.directions, 'GATES * HIDDEN')};")
        (_lstm_cell if self.lstm else _gru_cell)(k)
        k.line(f"vf_store_n(made + (n + p) * {self.row_n * self.width}, state, lanes);")
        last = f"{self._last(0)} + (n + p) * HIDDEN"
        k.line(f"if (step == {self.steps - 1}) vf_store_n({last}, state, lanes);")
        k.close()
        k.close()
        return k

    def _constants(self) -> None:
        k = self.kernel
        k.constant("GATES", GATES[self.node.op])
        k.constant("HIDDEN", self.hidden, "units of a cell")
        k.constant("ROWS", self.rows, "sequences whose sums are in registers at once")
        k.constant("BLOCKS", "SOL_CEIL(HIDDEN, VLEN)", "vectors of units")
        k.constant("TILES", -(-self.batch // self.rows))
        wanted = f"SOL_CEIL({TASKS_WANTED}, {times('BLOCKS', self.directions)})"
        k.constant("PARTS", f"SOL_MIN(TILES, {wanted})", "tiles are shared out")
        k.constant("TASKS", times("BLOCKS * PARTS", self.directions), "of a time step")

    def _task(self) -> None:
        k = self.kernel
        k.line("const int64_t step = task / TASKS, part = task % PARTS, block = task / PARTS % BLOCKS;")
        if self.directions > 1:
            k.line("const int64_t d = task / (PARTS * BLOCKS) % 2;")
            k.line(f"const int64_t t = d ? {self.steps - 1} - step : step, earlier = d ? t + 1 : t - 1;")
        k.line("const int lanes = (int)sol_min(VLEN, HIDDEN - block * VLEN);")

    def _last(self, state: int) -> str:
        """Address of the block's units of the first sequence in the last h (0) or c (1), behind the sequence."""
        sizes = self.batch * self.width
        own = plus(times(self.d, self.batch, "HIDDEN"), "block * VLEN")
        return plus(self.kernel.buffer(self.out), (self.steps + state) * sizes, own)

    def _before(self) -> None:
        """The states before: given, or h in the sequence made so far and c where the last will be."""
        k = self.kernel
        sequence = k.buffer(self.out)
        first = times(plus(self.d, self.node.attributes["state"]), self.batch, "HIDDEN")
        k.line("const float *before; /* h of the first sequence, and from one sequence to the next */")
        k.line("int64_t next;")
        k.line(f"if (step == 0) before = {plus(k.buffer(self.h0), first)}, next = HIDDEN;")
        made = plus(sequence, times(self.earlier, self.row_t * self.width), times(self.d, "HIDDEN"))
        k.line(f"else before = {made}, next = {self.row_n * self.width};")
        if self.c0 is not None:
            k.line(f"float *const cell = {self._last(1)};")
            given = plus(k.buffer(self.c0), first, "block * VLEN")
            k.line(f"const float *const cell_before = step == 0 ? {given} : cell;")

    def _addresses(self) -> None:
        k = self.kernel
        unit = plus(times(self.d, "GATES * HIDDEN"), "block * VLEN")
        projected = times(self.t, self.row_t * self.directions, "GATES * HIDDEN")
        k.line(f"const float *const x = {plus(k.buffer(self.gates), projected, unit)};")
        place = plus(times(self.t, self.row_t * self.width), times(self.d, "HIDDEN"), "block * VLEN")
        k.line(f"float *const made = {plus(k.buffer(self.out), place)};")
        panels = k.buffer(self.weight, Panels(GATES[self.node.op], False, units=self.hidden))
        panel = times(plus(times(self.d, "BLOCKS"), "block"), "HIDDEN * GATES * VLEN")
        k.line(f"const float *const weights = {plus(panels, panel)};")
        if self.bias is not None:
            k.line("vf bias[GATES];")
            k.line(f"{EACH_GATE} bias[g] = vf_load_n({plus(k.buffer(self.bias), unit)} + g * HIDDEN, lanes);")

    def _sums(self) -> None:
        """W_hh h + b_hh of all gates."""
        k = self.kernel
        k.line("vf acc[ROWS][GATES];")
        k.line(EACH_ROW)
        k.line(f"    {EACH_GATE} acc[p][g] = {'vf_set1(0.0f)' if self.bias is None else 'bias[g]'};")
        k.line("const float *const h = before + n * next;")
        k.open("for (int64_t i = 0; i < HIDDEN; i++)")
        k.line("vf row[GATES];")
        k.line(f"{EACH_GATE} row[g] = vf_load(weights + (i * GATES + g) * VLEN);")
        k.line(EACH_ROW)
        k.line(f"    {EACH_GATE} acc[p][g] = vf_axpy(h[p * next + i], row[g], acc[p][g]);")
        k.close()


_LSTM_GATES = (("in", "sigmoid"), ("forget", "sigmoid"), ("new", "tanh"), ("out", "sigmoid"))


def _x(gate: int) -> str:
    return f"vf_load_n({plus('xp', times(gate, 'HIDDEN'))}, lanes)"


def _lstm_cell(k: Kernel) -> None:
    for gate, (name, function) in enumerate(_LSTM_GATES):
        k.line(f"const vf {name} = vf_{function}(vf_add(acc[p][{gate}], {_x(gate)}));")
    k.line("const vf c = vf_load_n(cell_before + (n + p) * HIDDEN, lanes);")
    k.line("const vf kept = vf_fma(forget, c, vf_mul(in, new));")
    k.line("vf_store_n(cell + (n + p) * HIDDEN, kept, lanes);")
    k.line("const vf state = vf_mul(out, vf_tanh(kept));")


def _gru_cell(k: Kernel) -> None:
    k.line(f"const vf reset = vf_sigmoid(vf_add(acc[p][0], {_x(0)}));")
    k.line(f"const vf keep = vf_sigmoid(vf_add(acc[p][1], {_x(1)}));")
    k.line(f"const vf new = vf_tanh(vf_fma(reset, acc[p][2], {_x(2)}));")
    k.line("const vf old = vf_load_n(h + p * next + block * VLEN, lanes);")
    k.line("const vf state = vf_fma(keep, vf_sub(old, new), new); /* (1 - keep) * new + keep * old */")
