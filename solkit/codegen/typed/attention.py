"""Scaled dot-product attention of any floating-point dtype, a query at a time.

Keys are gone over once: what there is so far is scaled down whenever a score is larger than all before (Milakov and
Gimelshein, "Online normalizer calculation for softmax", 2018). A query whose keys are all masked gives 0.
"""

from solkit.codegen.kernel import plus, times
from solkit.codegen.typed.call import Call
from solkit.codegen.typed.loops import LANES, TypedKernel, broadcast, in_lanes, tasks
from solkit.codegen.typed.numbers import number
from solkit.ir import Value, contiguous


def _attention(call: Call) -> TypedKernel:
    kernel, out = TypedKernel(), call.output
    query, key, value = (call.tensor(name) for name in ("query", "key", "value"))
    kind = number(query.type.dtype)
    Call.need(kind.floating and not call.get("dropout_p", 0.0) and len(query.shape) > 1)
    Call.need(key.type.dtype == query.type.dtype == value.type.dtype)
    *batch, queries, made = out.shape
    keys, size = key.shape[-2:]
    groups = batch[-1] // key.shape[-3] if call.get("enable_gqa", False) else 1  # query heads that share a key head
    Call.need(keys > 0 and (groups == 1 or key.shape[:-3] == query.shape[:-3]))
    over = (*batch, queries)
    walk = {"y": contiguous(out.shape)[:-1], "row": [*[0] * len(batch), 1], "head": [0] * len(over)}
    walk["q"] = broadcast(query, (*batch, queries, size))[:-1]
    steps = {}
    for name, tensor in (("k", key), ("v", value)):
        if groups == 1:
            walk[name], steps[name] = [*broadcast(tensor, (*batch, *tensor.shape[-2:]))[:-2], 0], 0
        else:
            *own, steps[name], _, _ = contiguous(tensor.shape)
            walk[name] = [*own, 0, 0]
            walk["head"] = [*[0] * (len(batch) - 1), 1, 0]
    read = {name: kernel.read(tensor) for name, tensor in (("q", query), ("k", key), ("v", value))}
    masked = _mask(kernel, call, (*over, keys), walk)
    target, c = kernel.write(out), kind.value
    scale = kind.literal(call.get("scale", max(1, size) ** -0.5))
    with tasks(kernel, over, walk, cost=keys * (size + made + 20)) as at:
        for name, step in steps.items():
            head = times(f"(({at['head']}) / {groups})", step)
            kernel.line(f"const int64_t {name}_at = {plus(at[name], head)};")
        kernel.line(f"{c} most = {kind.least()}, total = 0, sum[{max(1, made)}] = {{0}};")
        kernel.line(f"{c} row[{max(1, size)}];")
        element = kind.at(read["q"], plus(at["q"], "j"))
        kernel.line(f"for (int64_t j = 0; j < {size}; j++) row[j] = {element};")
        end = f"sol_min({keys}, {at['row']} + 1)" if call.get("is_causal", False) else str(keys)
        kernel.open(f"for (int64_t n = 0; n < {end}; n++)")
        kernel.line(f"{c} part[{LANES}] = {{0}}, score = 0;")

        def product(places: dict[str, str], lane: str) -> None:
            kernel.line(f"part[{lane}] += row[{places['row']}] * {kind.at(read['k'], places['k'])};")

        key_starts = {"row": "0", "k": f"k_at + n * {size}"}
        in_lanes(kernel, (size,), {"row": (1,), "k": (1,)}, key_starts, product)
        kernel.line(f"for (int l = 0; l < {LANES}; l++) score += part[l];")
        kernel.line(f"score = score * {scale}{masked.format(at=at.get('m', '0'))};")
        kernel.line(f"if (score == {kind.least()}) continue;")
        kernel.open("if (score > most)")
        kernel.line(f"const {c} factor = {kind.function('exp')}(most - score);")
        kernel.line("total *= factor;")
        kernel.line(f"for (int64_t j = 0; j < {made}; j++) sum[j] *= factor;")
        kernel.line("most = score;")
        kernel.close()
        kernel.line(f"const {c} share = {kind.function('exp')}(score - most);")
        kernel.line("total += share;")
        part = kind.at(read["v"], f"v_at + n * {made} + j")
        kernel.line(f"for (int64_t j = 0; j < {made}; j++) sum[j] += share * {part};")
        kernel.close()
        kernel.open(f"for (int64_t j = 0; j < {made}; j++)")
        kernel.line(kind.put(target, plus(at["y"], "j"), "(total == 0 ? 0 : sum[j] / total)"))
        kernel.close()
    return kernel


def _mask(kernel: TypedKernel, call: Call, shape: tuple[int, ...], walk: dict[str, list[int]]) -> str:
    """What is added to a score, `{at}` standing for where the mask of a query begins."""
    mask: Value | None = call.get("attn_mask")
    if mask is None:
        return ""
    kind = number(mask.type.dtype)
    *walk["m"], along = broadcast(mask, shape)
    element = kind.at(kernel.read(mask), plus("{at}", times("n", along)))
    return f" + ({element} ? 0 : -__builtin_inff())" if kind.is_bool else f" + {element}"


ATTENTION = {"aten.scaled_dot_product_attention.default": _attention}
