"""`sol.optimize`: from a model to a faster one, all steps in order."""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch.utils import _pytree as pytree

from solkit import cache, clusters, passes, samples
from solkit.autotune import tune
from solkit.clusters import Cluster
from solkit.codegen import generate
from solkit.config import config, log
from solkit.errors import InputError, ModelError, NumericsError, first_line
from solkit.example import UNKNOWN, Example, example_of
from solkit.explain.debug import listing, write_debug
from solkit.frontend.fingerprint import fingerprint
from solkit.frontend.modes import evaluating
from solkit.inputs import Signature, normalize
from solkit.ir import Graph, serialize
from solkit.module import SolModule
from solkit.patterns import Patterns
from solkit.progress import stage
from solkit.runtime.engine import Engine
from solkit.shapes import COMPILING, Shapes
from solkit.specialization import CAPTURING, Specialization, find_tensor
from solkit.target import host
from solkit.toolchain import keeping_objects
from solkit.watch import Watch

if TYPE_CHECKING:
    import onnx

# Largest difference to PyTorch, of the largest number in the output, that rounding in float32 may explain. Far above
# what kernels show (1e-6), far below what a wrong program shows.
TOLERANCE = 1e-3
MOST_TIPPED = 0.01  # share of the elements of a result of whole numbers that may differ


def optimize(
    model: "torch.nn.Module | str | os.PathLike[str] | bytes | onnx.ModelProto",
    *inputs: Any,
    kwargs: dict[str, Any] | None = None,
    vdims: Sequence[bool | Sequence[int]] | None = None,
    batch_size: int | None = None,
) -> SolModule:
    """Compile `model` for inputs like these.

    Code is made for fixed shapes. Where sizes vary, there is more of it: a batch is cut into slices of `batch_size` and
    of 1, if PyTorch gives the same for a batch of random samples at once and one by one; for any other size the model
    is compiled when it is first seen, and 16 of these are kept. `vdims`, `batch_size` and `sol.input` are SOL's.

    Args:
        model: any module that torch.export can capture. It is not changed, and its parameters are not copied: the
            result shares them. Or an ONNX model: a file, its bytes, or a message; see `solkit.frontend.onnx`.
        inputs: example inputs, as `model(*inputs)` takes them, or `sol.input(shape, dtype)` in the place of a tensor.
            Shapes and dtypes are what counts; tensors may lie anywhere in memory. A size of 0 in `sol.input` varies.
        kwargs: example inputs by name.
        vdims: which sizes vary, with an entry for each tensor and `sol.input`, in the order of the parameters of
            `forward` and through lists and dictionaries: True (the batch, dimension 0), False, or the dimensions, as in
            [(0, 1)] for token ids [N, T]. Without it, those that are 0 in a `sol.input`.
        batch_size: the batch to expect where the batch varies; without it that of the example, or 1.
    Returns:
        A module that is called as `model` is and gives the same, in evaluation mode with compiled code.
    Raises:
        ModelError: `model` is no module, or cannot be captured as one graph.
        InputError: `model` cannot be called with these inputs, in PyTorch neither, or they are not dense tensors on the
            CPU; or `vdims` or `batch_size` does not fit them.
        ToolchainError: there is no working C compiler.
        CacheError: compiled code can be kept nowhere.
        NumericsError: the compiled model does not agree with PyTorch on these inputs.
    """
    if is_onnx(model):
        from solkit.frontend.onnx import OnnxModule, optimize_onnx  # onnx takes a while to import

        made = model if isinstance(model, torch.nn.Module) else OnnxModule(model)
        made = made.__dict__.get("_model", made)  # of one that is optimized already
        return optimize_onnx(made, inputs, kwargs or {}, vdims, batch_size)
    if "keras" in sys.modules:
        from solkit.frontend.keras import is_keras, optimize_keras

        if is_keras(model):
            return optimize_keras(model, inputs, kwargs or {}, vdims, batch_size)
    return optimize_module(model, inputs, kwargs or {}, vdims, batch_size)


def is_onnx(model: Any) -> bool:
    """Whether this is an ONNX model, or names one."""
    if isinstance(model, (str, os.PathLike, bytes, bytearray, memoryview)):
        return True
    return type(model).__name__ in ("ModelProto", "OnnxModule", "OnnxSolModule")


def optimize_module(
    model: torch.nn.Module,
    inputs: Sequence[Any],
    kwargs: dict[str, Any],
    vdims: Sequence[bool | Sequence[int]] | None,
    batch_size: int | None,
) -> SolModule:
    """`optimize` for a torch.nn.Module."""
    if not isinstance(model, torch.nn.Module):
        hint = "; pass an instance, not the class" if isinstance(model, type) else ""
        raise ModelError(f"sol.optimize takes a torch.nn.Module or an ONNX model, not {type(model).__name__}{hint}")
    if isinstance(model, SolModule):
        model = model.__dict__["_model"]
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if tensor.device.type != "cpu":
            raise ModelError(f"the parameter {name!r} is on {tensor.device}; solkit runs on the CPU: call model.cpu()")
    args, kwargs = normalize(model, tuple(inputs), dict(kwargs))
    example = example_of(args, kwargs, vdims, batch_size)
    with COMPILING, stage(f"optimizing {type(model).__name__}"):
        if not example.varying:
            return SolModule(model, _kept_or_new(model, example.args, example.kwargs))
        return _for_many_shapes(model, example)


def _for_many_shapes(model: torch.nn.Module, example: Example) -> SolModule:
    signature = Signature.of(example.args, example.kwargs, example.varying)
    patterns = Patterns() if any(dims - {0} for dims in example.varying) else None
    try:
        first = _kept_or_new(model, example.args, example.kwargs, patterns, signature)
    except InputError as error:
        if not example.guessed:
            raise
        raise InputError(
            f"{error}; a size of 0 that is not the batch was taken to be {UNKNOWN}: pass an example tensor and vdims "
            "instead, vdims=[(0, 2, 3)] say"
        ) from error
    name = type(model).__name__

    def make(tensors: list[torch.Tensor]) -> Specialization:
        args, kwargs = signature.arguments(tensors)
        with COMPILING, stage(f"optimizing {name} for ({Signature.of(args, kwargs)})"):
            return _kept_or_new(model, args, kwargs, patterns, signature)

    shapes = Shapes(signature, first, make)
    if example.batch:
        reason = samples.meeting(model, example.args, example.kwargs, example.batched, close)
        if reason is None:
            shapes.slices = (example.batch, 1) if example.batch > 1 else (1,)
            shapes.find(shapes.part(signature.tensors(example.args, example.kwargs), 0, 1))
        else:
            log.info("a batch for %s cannot be cut, so each size of it is compiled when first seen: %s", name, reason)
    return SolModule(model, first, shapes)


def _kept_or_new(
    model: torch.nn.Module,
    args: tuple,
    kwargs: dict[str, Any],
    patterns: Patterns | None = None,
    varying: Signature | None = None,
) -> Specialization:
    """Code for this call; with `patterns`, the same code for all sizes that vary in `varying`, where there can be."""
    signature = Signature.of(args, kwargs)

    def compiled(graph: Graph, tree: Any, outputs: list[Any]) -> Specialization:
        others = () if patterns is None else _other_graphs(model, args, kwargs, varying)
        return _compile(model, signature, graph, tree, outputs, patterns, others)

    key = fingerprint(model, args, kwargs)
    kept = _from_cache(key)
    if kept is not None:
        made = compiled(*kept)
        if _agrees(model, made, args, kwargs):
            return made
        log.warning("the kept graph of %s no longer fits it; capturing it again", type(model).__name__)
        cache.drop(key)
    # Tensors like those of each call: contiguous, and none of them a part of another.
    made = compiled(*_capture(model, *signature.example(), key))
    if not _agrees(model, made, args, kwargs):
        raise NumericsError(
            f"the compiled {type(model).__name__} does not agree with PyTorch on the example inputs; this is a bug in "
            "solkit. sol.config['verify'] = False hands the model out all the same"
        )
    return made


def _capture(model: torch.nn.Module, args: tuple, kwargs: dict[str, Any], key: str | None) -> tuple[Graph, Any, list]:
    from solkit.frontend.torch import capture  # torch.export takes a second to import; a kept graph needs none of it

    with CAPTURING, stage(f"capturing {type(model).__name__}"):
        graph, tree, outputs = capture(model, args, kwargs)
    if key is not None:
        try:
            text = pytree.treespec_dumps(tree)
            cache.make(key, lambda folder: serialize.save(graph, folder, tree=text, outputs=outputs))
        except (TypeError, NotImplementedError) as error:
            log.info("the graph of %s is not kept: %s", type(model).__name__, error)
    return graph, tree, outputs


def capture_graph(model: torch.nn.Module, args: tuple, kwargs: dict[str, Any]) -> tuple[Graph, Any, list]:
    """The graph of a call, the structure of its results, and these, flat; captured anew.

    Raises:
        ModelError, InputError: as `optimize`.
    """
    return _capture(model, args, kwargs, None)


def _from_cache(key: str | None) -> tuple[Graph, Any, list] | None:
    folder = None if key is None else cache.find(key)
    if folder is None:
        return None
    try:
        graph, extra = serialize.load(folder)
        return graph, pytree.treespec_loads(extra["tree"]), extra["outputs"]
    except Exception as error:  # whatever is wrong with it, it can be made again
        log.info("the kept graph in %s cannot be read: %r", folder, error)
        cache.drop(key)
        return None


def _other_graphs(model: torch.nn.Module, args: tuple, kwargs: dict[str, Any], varying: Signature) -> Iterator[Graph]:
    """The graphs of the same call with two other sizes each where they vary, the batch as it is."""
    found = 0
    for other in samples.other_sizes(args, kwargs, varying):
        key = fingerprint(model, *other)
        try:
            graph, _, _ = _from_cache(key) or _capture(model, *Signature.of(*other).example(), key)
        except (ModelError, InputError) as error:
            log.info("%s does not take other sizes: %s", type(model).__name__, first_line(error))
            continue
        yield graph
        found += 1
        if found == 2:
            return


def _compile(
    model: torch.nn.Module,
    signature: Signature,
    graph: Graph,
    tree: Any,
    outputs: list[Any],
    patterns: Patterns | None,
    others: Iterable[Graph],
) -> Specialization:
    captured = listing(graph) if config["compiler::debug"] else ""

    def tuned(parts: list[Cluster]) -> None:
        tune(graph, parts, host(), {name: find_tensor(model, name) for name in graph.parameters})

    with stage(f"generating code for {type(model).__name__}"):
        passes.optimize(graph)
        with keeping_objects():
            if patterns is None:
                parts = clusters.partition(graph)
                tuned(parts)
                program = generate(parts, host())
            else:
                parts, program = patterns.program(graph, host(), tuned, others)
            engine = Engine(graph, parts, program)
    write_debug(config["compiler::debug"], type(model).__name__, captured, engine)
    return Specialization(signature, engine, tree, outputs)


def _agrees(model: torch.nn.Module, made: Specialization, args: tuple, kwargs: dict[str, Any]) -> bool:
    """Whether compiled code and PyTorch give the same on these inputs (where the model gives the same twice)."""
    nodes = made.engine.graph.nodes
    if not config["verify"] or any(node.attributes.get("random") for node in nodes):
        return True
    with torch.no_grad(), stage(f"checking {type(model).__name__} against PyTorch"):
        with evaluating(model):
            try:
                theirs = model(*args, **kwargs)
            except Exception as error:  # torch.export does not look at everything
                name = type(model).__name__
                raise InputError(f"PyTorch cannot run {name} on inputs like these: {first_line(error)}") from error
        weights = made.weights(model, Watch(model).look()[1])
        ours = made.unflatten(made.engine.run(made.signature.tensors(args, kwargs), weights))
    mine, yours = pytree.tree_leaves(ours), pytree.tree_leaves(theirs)
    return len(mine) == len(yours) and all(map(close, mine, yours))


def close(mine: Any, yours: Any) -> bool:
    """Whether two results are the same but for rounding."""
    if not isinstance(yours, torch.Tensor):
        return mine == yours
    if mine.shape != yours.shape or mine.dtype != yours.dtype:
        return False
    if not (yours.is_floating_point() or yours.is_complex()):
        # Rounding may tip a comparison or the whole part of a number, but not often.
        return (mine != yours).sum().item() <= MOST_TIPPED * yours.numel()
    largest = yours.abs().nan_to_num_(0.0, 0.0).max().item() if yours.numel() else 0.0
    return torch.allclose(mine, yours, rtol=TOLERANCE, atol=TOLERANCE * largest, equal_nan=True)
