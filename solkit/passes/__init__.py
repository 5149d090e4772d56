"""The passes, in the order they run. Each takes a graph and changes it in place; each may be run again safely."""

from collections.abc import Callable

from solkit.config import log
from solkit.ir import Graph, verify
from solkit.passes.attention import heads_last, masks_by_keys
from solkit.passes.batch_norm import fold_batch_norm
from solkit.passes.channels import map_channels
from solkit.passes.clean import drop_identities, remove_dead_code
from solkit.passes.groups import merge_groups
from solkit.passes.layout import choose_layouts
from solkit.passes.pool import pool_before_pointwise
from solkit.passes.reorder import relu_after_max_pool
from solkit.passes.typed import compile_calls
from solkit.passes.views import compose_views, linear_past_views
from solkit.target import Target, host

PASSES: tuple[Callable[[Graph, Target], None], ...] = (
    drop_identities,  # dropout, copies, x * 1
    fold_batch_norm,  # into the convolution before it, else two element-wise operations
    relu_after_max_pool,  # the pool leaves a quarter of the elements to the ReLU
    pool_before_pointwise,  # and to a 1x1 convolution
    heads_last,  # attention writes in the order its reader wants
    masks_by_keys,
    linear_past_views,
    compose_views,  # views of views
    drop_identities,  # views that have become the whole
    map_channels,  # splits, shuffles and concatenations of channels, all in one
    remove_dead_code,
    compile_calls,  # what has no row in the operator table, where there is a kernel for it
    merge_groups,  # grouped convolution in whole vectors
    choose_layouts,  # NCHWc where convolutions and pools are, with the moves in and out
)


def optimize(graph: Graph, check: bool | None = None, target: Target | None = None) -> None:
    """Run all passes over `graph`.

    Args:
        check: verify the graph after each pass; by default when the log is at DEBUG or below.
        target: the machine the graph will run on; by default this one.
    Raises:
        GraphError: a pass broke an invariant (only with `check`).
    """
    check = log.isEnabledFor(10) if check is None else check
    for run in PASSES:
        run(graph, target or host())
        log.debug("after %s: %d nodes", run.__name__, len(graph.nodes))
        if check:
            verify(graph)
