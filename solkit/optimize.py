"""`sol.optimize`: from a model to a faster one, all steps in order."""

import threading
from typing import Any

import torch
from torch.utils import _pytree as pytree

from solkit import cache, clusters, passes
from solkit.autotune import tune
from solkit.codegen import generate
from solkit.config import config, log
from solkit.errors import InputError, ModelError, NumericsError, first_line
from solkit.explain.debug import listing, write_debug
from solkit.frontend.fingerprint import fingerprint
from solkit.frontend.modes import evaluating
from solkit.inputs import Signature, normalize
from solkit.ir import Graph, serialize
from solkit.module import SolModule, find_tensor
from solkit.progress import stage
from solkit.runtime.engine import Engine
from solkit.target import host
from solkit.toolchain import keeping_objects

# Largest difference to PyTorch, of the largest number in the output, that rounding in float32 may explain. Far above
# what kernels show (1e-6), far below what a wrong program shows.
TOLERANCE = 1e-3
MOST_TIPPED = 0.01  # share of the elements of a result of whole numbers that may differ

# One thread at a time: torch.export keeps what it is at in global variables, and models are put into another mode.
_ALONE = threading.RLock()


def optimize(model: torch.nn.Module, *inputs: Any, kwargs: dict[str, Any] | None = None) -> SolModule:
    """Compile `model` for inputs like these.

    Args:
        model: any module that torch.export can capture. It is not changed, and its parameters are not copied: the
            result shares them.
        inputs: example inputs, as `model(*inputs)` takes them. Shapes and dtypes are what counts; tensors may lie
            anywhere in memory.
        kwargs: example inputs by name.
    Returns:
        A module that is called as `model` is and gives the same, in evaluation mode with compiled code.
    Raises:
        ModelError: `model` is no module, or cannot be captured as one graph.
        InputError: `model` cannot be called with these inputs, in PyTorch neither, or they are not dense tensors on the
            CPU.
        ToolchainError: there is no working C compiler.
        CacheError: compiled code can be kept nowhere.
        NumericsError: the compiled model does not agree with PyTorch on these inputs.
    """
    if not isinstance(model, torch.nn.Module):
        hint = "; pass an instance, not the class" if isinstance(model, type) else ""
        raise ModelError(f"sol.optimize takes a torch.nn.Module, not {type(model).__name__}{hint}")
    if isinstance(model, SolModule):
        model = model.__dict__["_model"]
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if tensor.device.type != "cpu":
            raise ModelError(f"the parameter {name!r} is on {tensor.device}; solkit runs on the CPU: call model.cpu()")
    args, kwargs = normalize(model, inputs, dict(kwargs or {}))
    with _ALONE, stage(f"optimizing {type(model).__name__}"):
        return _kept_or_new(model, args, kwargs)


def _kept_or_new(model: torch.nn.Module, args: tuple, kwargs: dict[str, Any]) -> SolModule:
    signature = Signature.of(args, kwargs)
    key = fingerprint(model, args, kwargs)
    kept = None if key is None else cache.find(key)
    if kept is not None:
        made = _from_cache(model, signature, kept)
        if made is not None and _agrees(made, args, kwargs):
            return made
        if made is not None:
            log.warning("the kept graph of %s no longer fits it; capturing it again", type(model).__name__)
        cache.drop(key)
    # Tensors like those of each call: contiguous, and none of them a part of another.
    made = _compile(model, signature, *_capture(model, *signature.example(), key))
    if not _agrees(made, args, kwargs):
        raise NumericsError(
            f"the compiled {type(model).__name__} does not agree with PyTorch on the example inputs; this is a bug in "
            "solkit. sol.config['verify'] = False hands the model out all the same"
        )
    return made


def _capture(model: torch.nn.Module, args: tuple, kwargs: dict[str, Any], key: str | None) -> tuple[Graph, Any, list]:
    from solkit.frontend.torch import capture  # torch.export takes a second to import; a kept graph needs none of it

    with stage(f"capturing {type(model).__name__}"):
        graph, tree, outputs = capture(model, args, kwargs)
    if key is not None:
        try:
            text = pytree.treespec_dumps(tree)
            cache.make(key, lambda folder: serialize.save(graph, folder, tree=text, outputs=outputs))
        except (TypeError, NotImplementedError) as error:
            log.info("the graph of %s is not kept: %s", type(model).__name__, error)
    return graph, tree, outputs


def _from_cache(model: torch.nn.Module, signature: Signature, folder: Any) -> SolModule | None:
    try:
        graph, extra = serialize.load(folder)
        tree = pytree.treespec_loads(extra["tree"])
    except Exception as error:  # whatever is wrong with it, it can be made again
        log.info("the kept graph in %s cannot be read: %r", folder, error)
        return None
    return _compile(model, signature, graph, tree, extra["outputs"])


def _compile(model: torch.nn.Module, signature: Signature, graph: Graph, tree: Any, outputs: list[Any]) -> SolModule:
    captured = listing(graph) if config["compiler::debug"] else ""
    with stage(f"compiling {type(model).__name__}"):
        passes.optimize(graph)
        parts = clusters.partition(graph)
        with keeping_objects():
            tune(graph, parts, host(), {name: find_tensor(model, name) for name in graph.parameters})
            engine = Engine(graph, parts, generate(parts, host()))
    write_debug(config["compiler::debug"], type(model).__name__, captured, engine)
    return SolModule(model, signature, engine, tree, outputs)


def _agrees(made: SolModule, args: tuple, kwargs: dict[str, Any]) -> bool:
    """Whether compiled code and PyTorch give the same on these inputs (where the model gives the same twice)."""
    nodes = made.graph.nodes
    if not config["verify"] or any(node.attributes.get("random") for node in nodes):
        return True
    model = made.__dict__["_model"]
    with torch.no_grad(), stage(f"checking {type(model).__name__} against PyTorch"):
        with evaluating(model):
            try:
                theirs = model(*args, **kwargs)
            except Exception as error:  # torch.export does not look at everything
                name = type(model).__name__
                raise InputError(f"PyTorch cannot run {name} on inputs like these: {first_line(error)}") from error
        ours = made._unflatten(made._engine.run(made._signature.tensors(args, kwargs), made.weights()))
    mine, yours = pytree.tree_leaves(ours), pytree.tree_leaves(theirs)
    return len(mine) == len(yours) and all(map(_close, mine, yours))


def _close(mine: Any, yours: Any) -> bool:
    if not isinstance(yours, torch.Tensor):
        return mine == yours
    if mine.shape != yours.shape or mine.dtype != yours.dtype:
        return False
    if not (yours.is_floating_point() or yours.is_complex()):
        # Rounding may tip a comparison or the whole part of a number, but not often.
        return (mine != yours).sum().item() <= MOST_TIPPED * yours.numel()
    finite = yours[yours.isfinite()]
    largest = finite.abs().max().item() if finite.numel() else 0.0
    return torch.allclose(mine, yours, rtol=TOLERANCE, atol=TOLERANCE * largest, equal_nan=True)
