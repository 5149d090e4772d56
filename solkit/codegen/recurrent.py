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
    k, (node,), out = Kernel(), cluster.nodes, cluster.output
    lstm, a = node.op == "lstm_cell_scan", node.attributes
    gates, weight, h0, *rest = node.inputs
    c0, bias = (rest[0] if lstm else None), next(iter(rest[lstm:]), None)
    batch, hidden = h0.shape[1:]
    steps, directions = gates.shape[1 if a["batch_first"] else 0], a["directions"]
    most = max(1, target.tile[0] * target.tile[1] // GATES[node.op])
    rows = -(-batch // -(-batch // most))

    k.rounds = steps
    k.constant("GATES", GATES[node.op])
    k.constant("HIDDEN", hidden, "units of a cell")
    k.constant("ROWS", rows, "sequences whose sums are in registers at once")
    k.constant("BLOCKS", "SOL_CEIL(HIDDEN, VLEN)", "vectors of units")
    k.constant("TILES", -(-batch // rows))
    k.constant(
        "PARTS", f"SOL_MIN(TILES, SOL_CEIL({TASKS_WANTED}, {times('BLOCKS', directions)}))", "tiles are shared out"
    )
    k.constant("TASKS", times("BLOCKS * PARTS", directions), "of a time step")
    k.line("const int64_t step = task / TASKS, part = task % PARTS, block = task / PARTS % BLOCKS;")
    d, t, earlier = "0", "step", "(step - 1)"
    if directions > 1:
        d, t, earlier = "d", "t", "earlier"
        k.line("const int64_t d = task / (PARTS * BLOCKS) % 2;")
        k.line(f"const int64_t t = d ? {steps - 1} - step : step, earlier = d ? t + 1 : t - 1;")
    k.line("const int lanes = (int)sol_min(VLEN, HIDDEN - block * VLEN);")

    # Row n of a sequence at step t is row n * row_n + t * row_t of a matrix.
    row_n, row_t = (steps, 1) if a["batch_first"] else (1, batch)
    width = directions * hidden
    sequence = k.buffer(out)
    last = [steps * batch * width + i * directions * batch * hidden for i in range(1 + lstm)]
    own = plus(times(d, batch, "HIDDEN"), "block * VLEN")  # of states [D, N, H]: these units of the first sequence
    first = times(plus(d, a["state"]), batch, "HIDDEN")
    k.line("const float *before; /* the state before of the first sequence, and from one sequence to the next */")
    k.line("int64_t next;")
    k.line(f"if (step == 0) before = {plus(k.buffer(h0), first)}, next = HIDDEN;")
    there = times(earlier, row_t * width)
    k.line(f"else before = {plus(sequence, there, times(d, 'HIDDEN'))}, next = {row_n * width};")
    if lstm:
        k.line(f"float *const cell = {plus(sequence, last[1], own)};")
        k.line(f"const float *const cell_before = step == 0 ? {plus(k.buffer(c0), first, 'block * VLEN')} : cell;")
    unit = plus(times(d, "GATES * HIDDEN"), "block * VLEN")
    k.line(f"const float *const x = {plus(k.buffer(gates), times(t, row_t * directions, 'GATES * HIDDEN'), unit)};")
    k.line(f"float *const made = {plus(sequence, times(t, row_t * width), times(d, 'HIDDEN'), 'block * VLEN')};")
    panel = times(plus(times(d, "BLOCKS"), "block"), "HIDDEN * GATES * VLEN")
    panels = k.buffer(weight, Panels(GATES[node.op], False, units=hidden))
    k.line(f"const float *const weights = {plus(panels, panel)};")
    if bias is not None:
        k.line("vf bias[GATES];")
        k.line(f"{EACH_GATE} bias[g] = vf_load_n({plus(k.buffer(bias), unit)} + g * HIDDEN, lanes);")

    k.open("for (int64_t tile = part * TILES / PARTS; tile < (part + 1) * TILES / PARTS; tile++)")
    ragged = batch % rows != 0
    if ragged:
        k.line("const int64_t n0 = tile * ROWS;")
        k.line(f"const int64_t n = sol_min(n0, {batch} - ROWS); /* the last overlaps the one before */")
    else:
        k.line("const int64_t n = tile * ROWS;")
    k.line("vf acc[ROWS][GATES];")
    k.line(EACH_ROW)
    k.line(f"    {EACH_GATE} acc[p][g] = {'vf_set1(0.0f)' if bias is None else 'bias[g]'};")
    k.line("const float *const h = before + n * next;")
    k.open("for (int64_t i = 0; i < HIDDEN; i++)")
    k.line("vf row[GATES];")
    k.line(f"{EACH_GATE} row[g] = vf_load(weights + (i * GATES + g) * VLEN);")
    k.line(EACH_ROW)
    k.line(f"    {EACH_GATE} acc[p][g] = vf_axpy(h[p * next + i], row[g], acc[p][g]);")
    k.close()
    k.open(EACH_ROW + (" if (n + p >= n0)" if ragged else ""))
    k.line(f"const float *const xp = x + (n + p) * {times(row_n * directions, 'GATES * HIDDEN')};")
    (_lstm_cell if lstm else _gru_cell)(k)
    k.line(f"vf_store_n(made + (n + p) * {row_n * width}, state, lanes);")
    k.line(f"if (step == {steps - 1}) vf_store_n({plus(sequence, last[0], own)} + (n + p) * HIDDEN, state, lanes);")
    k.close()
    k.close()
    return k


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
