"""`torch.compile(model, backend="solkit")`, found through the entry point in pyproject.toml.

TorchDynamo reads the model's Python code, cuts it where it has to (a branch on a tensor's value, a print) and hands
over each piece as a flat FX graph. Unlike a module, a piece has its parameters among its inputs, may write into its
inputs, and may return views of them. Here it is made functional, compiled by `optimize` when it is first called, and on
each call what it writes into and what shares memory becomes as PyTorch would have left it. A piece that solkit cannot
compile runs in PyTorch.
"""

import contextlib
import functools
import logging
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch._dynamo.convert_frame import compile_lock
from torch._guards import CompileContext
from torch._subclasses.fake_tensor import FakeTensorMode

from solkit.config import OPTIONS, config, log
from solkit.errors import ConfigError, InputError, ModelError, first_line
from solkit.ir.serialize import Ref
from solkit.module import SolModule
from solkit.optimize import optimize
from solkit.runtime.weights import Weights

MOST_SHAPES = 8  # compiled of one graph with dynamic shapes: what TorchDynamo allows itself (`recompile_limit`)
PER_MODEL = ("verify", "compiler::name", "cache::path")  # settings read while compiling, and never later

_Arguments = Sequence[Any]  # of one call of a piece: tensors, and numbers where a size is dynamic


def solkit(
    graph: torch.fx.GraphModule,
    examples: _Arguments,
    *,
    mode: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Callable[..., Any]:
    """The backend: one piece of a model as TorchDynamo has cut it.

    Args:
        graph: the piece. It takes flat arguments, parameters among them, and returns a flat sequence.
        examples: fake tensors of the arguments' types, and symbolic numbers.
        mode: "reduce-overhead" and the like; solkit has no modes and ignores it with a warning.
        options: settings of `sol.config` for this model alone: "verify", "compiler::name", "cache::path".
    Returns:
        A function that is called as `graph` is.
    Raises:
        ConfigError: an unknown option, or a value it cannot take. TorchDynamo shows it as BackendCompilerFailed.
    """
    if mode is not None:
        log.warning("torch.compile(mode=%r) means nothing to solkit and is ignored", mode)
    for name, value in (options or {}).items():
        _check_option(name, value)
    return _Piece(graph, examples, options or {}).run


def _check_option(name: str, value: Any) -> None:
    if name not in PER_MODEL:
        hint = f"set sol.config[{name!r}], it counts for the whole process" if name in OPTIONS else "there is no such"
        raise ConfigError(
            f"torch.compile(backend='solkit') takes the options {', '.join(PER_MODEL)}, not {name!r}: {hint}"
        )
    if not OPTIONS[name].check(value):
        raise ConfigError(f"the option {name!r} cannot be {value!r}: it takes {OPTIONS[name].allowed}")


@contextlib.contextmanager
def _configured(options: Mapping[str, Any]) -> Iterator[None]:
    before = {name: config[name] for name in options}
    config.update(options)
    try:
        yield
    finally:
        config.update(before)


@contextlib.contextmanager
def _autocast_kept() -> Iterator[None]:
    """A graph may turn autocast on and off again; one that fails between the two must not leave it on."""
    with torch.autocast("cpu", dtype=torch.get_autocast_dtype("cpu"), enabled=torch.is_autocast_enabled("cpu")):
        depth = torch.autocast_increment_nesting()
        try:
            yield
        finally:
            while torch.autocast_decrement_nesting() >= depth:
                pass


class _Unsupported(Exception):
    """Why PyTorch runs a piece."""


class _Piece:
    """One graph of TorchDynamo's, and what was compiled of it for each combination of its dynamic sizes."""

    def __init__(self, graph: torch.fx.GraphModule, examples: _Arguments, options: Mapping[str, Any]) -> None:
        self.graph, self.options = graph, options
        self.name = str(CompileContext.current_compile_id())  # as in TorchDynamo's own log
        self.varying = [index for index, example in enumerate(examples) if _is_symbolic(example)]
        nodes = graph.graph.find_nodes(op="placeholder")
        self.weights = [i for i, node in enumerate(nodes) if _is_weight(node) and i not in self.varying]
        self.compiled: dict[tuple, Callable[..., Any]] = {}
        self.closed = False  # nothing more is compiled of it

    def run(self, *args: Any) -> Any:
        # What is not dynamic has the shape it was traced with: TorchDynamo's guards see to that.
        sizes = tuple([_size(args[index]) for index in self.varying])
        compiled = self.compiled.get(sizes) or self._new(sizes, args)
        return compiled(*args)

    def _new(self, sizes: tuple, args: _Arguments) -> Callable[..., Any]:
        if self.closed:
            return self.graph.forward
        # TorchDynamo and torch.export both keep what they are at in global variables.
        with compile_lock:
            if sizes not in self.compiled and not self.closed:
                self._try(sizes, args)
            return self.compiled.get(sizes, self.graph.forward)

    def _try(self, sizes: tuple, args: _Arguments) -> None:
        try:
            with _autocast_kept():
                self.compiled[sizes] = self._compile(args)
        except Exception as error:  # whatever it is, PyTorch can run the graph
            expected = isinstance(error, (_Unsupported, ModelError, InputError))
            level = logging.INFO if expected else logging.WARNING  # no compiler, a bug in solkit
            reason = first_line(error) if expected else f"{type(error).__name__}: {first_line(error)}"
            log.log(level, "graph %s runs in PyTorch: %s", self.name, reason)
            self.closed = True
        if len(self.compiled) == MOST_SHAPES:
            log.info("graph %s is compiled for %d shapes; others run in PyTorch", self.name, MOST_SHAPES)
            self.closed = True

    def _compile(self, args: _Arguments) -> Callable[..., Any]:
        for arg in args:
            if isinstance(arg, torch.Tensor) and type(arg) not in (torch.Tensor, torch.nn.Parameter, torch.nn.Buffer):
                raise _Unsupported(f"an input is a {type(arg).__name__}")
        if any("_functorch" in str(getattr(node.target, "__module__", "")) for node in self.graph.graph.nodes):
            raise _Unsupported("it uses torch.func, whose levels a trace that fails would leave behind")
        written, places = _observe(self.graph, args)
        # Tensors made in inference mode cannot be traced.
        with torch.inference_mode(False), torch.no_grad(), _configured(self.options):
            model = _Functional(self.graph, args, [i for i in self.weights if i not in written], written)
            made = optimize(model, *(args[index] for index in model.inputs))
        if not any(cluster.compiled for cluster in made.clusters):
            raise _Unsupported("none of its operators is known to solkit")
        log.info("graph %s: %s", self.name, made.extra_repr())
        return _Compiled(model, made, places, args)


def _is_symbolic(example: Any) -> bool:
    if isinstance(example, torch.Tensor):
        return not all(isinstance(size, int) for size in (*example.shape, *example.stride()))
    return True


def _is_weight(placeholder: torch.fx.Node) -> bool:
    """Whether TorchDynamo found this tensor in a module: a parameter, a buffer or a plain attribute."""
    return "_dynamo_static_input_type" in placeholder.meta.get("tensor_dict", ())


def _size(arg: Any) -> Any:
    return (arg.shape, arg.stride()) if isinstance(arg, torch.Tensor) else arg


# -- what PyTorch does to the memory of inputs and results ----------------------------------------------------------


class _Place(NamedTuple):
    """Where PyTorch puts one result.

    size, stride: of the tensor.
    offset: in elements, from the start of its memory, or from the first element of the input.
    source: the input it is a view of, if it is one.
    block: a number that results in the same memory share, if several do.
    elements: of that memory.
    """

    size: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int
    source: int | None = None
    block: int | None = None
    elements: int = 0

    def put(self, result: torch.Tensor, args: _Arguments, blocks: dict[int, torch.Tensor]) -> torch.Tensor:
        """`result` in its place; `blocks` is what this call has made so far of memory that results share."""
        if self.source is not None:
            base = args[self.source]
            return base.as_strided(self.size, self.stride, base.storage_offset() + self.offset)
        if self.block is not None:
            if self.block not in blocks:
                blocks[self.block] = torch.empty(self.elements, dtype=result.dtype, device="cpu")
            return blocks[self.block].as_strided(self.size, self.stride, self.offset).copy_(result)
        if result.stride() == self.stride or _overlaps_itself(self):
            return result
        return torch.empty_strided(self.size, self.stride, dtype=result.dtype, device="cpu").copy_(result)


def _overlaps_itself(place: _Place) -> bool:
    return any(size > 1 and stride == 0 for size, stride in zip(place.size, place.stride, strict=True))


def _observe(graph: torch.fx.GraphModule, args: _Arguments) -> tuple[list[int], list[_Place | None]]:
    """Run the graph on fake tensors, which have all but numbers.

    Returns:
        The inputs it writes into, and the place of each result (None for one that is no tensor).
    Raises:
        _Unsupported: somebody may want gradients, or the graph does to its inputs what a copy cannot undo.
    """
    wanted = torch.is_grad_enabled()
    with torch.inference_mode(False), torch.set_grad_enabled(wanted), FakeTensorMode(allow_non_fake_inputs=True):
        fakes = [_fake(arg) if isinstance(arg, torch.Tensor) else arg for arg in args]
        tensors = {index: fake for index, fake in enumerate(fakes) if isinstance(fake, torch.Tensor)}
        before = {index: (fake._version, _geometry(fake)) for index, fake in tensors.items()}
        try:
            results = list(graph.forward(*fakes))
        except Exception as error:  # it looks at the values in a tensor, say
            raise _Unsupported(f"it cannot be traced ({type(error).__name__}: {first_line(error)})") from error
    written = [index for index, fake in tensors.items() if fake._version != before[index][0]]
    if any(_geometry(fake) != before[index][1] for index, fake in tensors.items()):
        raise _Unsupported("it changes the shape or the memory of an input")
    made = [result for result in results if isinstance(result, torch.Tensor)]
    if any(tensor.requires_grad for tensor in (*made, *(fakes[index] for index in written))):
        raise _Unsupported("gradients may be wanted; under torch.no_grad() it is compiled")
    if any(tensor.is_conj() or tensor.is_neg() or tensor.layout != torch.strided for tensor in made):
        raise _Unsupported("a result is no plain dense tensor")
    return written, _places(tensors, results)


def _fake(tensor: torch.Tensor) -> torch.Tensor:
    """In memory of its own: whether inputs share theirs may differ from call to call."""
    made = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=tensor.device)
    return made.requires_grad_(tensor.requires_grad)


def _geometry(tensor: torch.Tensor) -> tuple:
    return _memory(tensor), tensor.shape, tensor.stride(), tensor.storage_offset()


def _memory(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage()._cdata


def _places(inputs: dict[int, torch.Tensor], results: list[Any]) -> list[_Place | None]:
    sources = {_memory(tensor): index for index, tensor in inputs.items()}
    made: dict[int, list[torch.Tensor]] = {}
    for result in results:
        if isinstance(result, torch.Tensor):
            made.setdefault(_memory(result), []).append(result)
    return [_place(r, inputs, sources, made[_memory(r)]) if isinstance(r, torch.Tensor) else None for r in results]


def _place(
    result: torch.Tensor, inputs: dict[int, torch.Tensor], sources: dict[int, int], together: list[torch.Tensor]
) -> _Place:
    place = _Place(tuple(result.shape), result.stride(), result.storage_offset())
    source = sources.get(_memory(result))
    if source is None and len(together) == 1:
        return place
    base = together[0] if source is None else inputs[source]
    if base.dtype != result.dtype:
        raise _Unsupported("a result is the memory of another tensor under another dtype")
    if source is not None:
        return place._replace(source=source, offset=place.offset - base.storage_offset())
    if _overlaps_itself(place):
        raise _Unsupported("results share memory, and one of them overlaps itself")
    size = result.untyped_storage().nbytes() // result.dtype.itemsize
    return place._replace(block=_memory(result), elements=size)


# -- compiling and calling ------------------------------------------------------------------------------------------


class _Functional(torch.nn.Module):
    """A piece as a module that changes nothing: the new content of inputs it writes into is a further result.

    inputs: which of the piece's arguments are its inputs. Weights are buffers, numbers are part of the program.
    """

    def __init__(self, graph: torch.fx.GraphModule, args: _Arguments, weights: list[int], written: list[int]) -> None:
        super().__init__()
        self.graph, self.written = graph, written
        self.weights = {index: f"weight_{index}" for index in weights}
        for index, name in self.weights.items():
            self.register_buffer(name, args[index].detach())
        self.inputs = [i for i, arg in enumerate(args) if isinstance(arg, torch.Tensor) and i not in self.weights]
        self.numbers = [None if isinstance(arg, torch.Tensor) else arg for arg in args]

    def forward(self, *tensors: torch.Tensor) -> tuple:
        args = list(self.numbers)
        for index, name in self.weights.items():
            args[index] = getattr(self, name)
        for index, tensor in zip(self.inputs, tensors, strict=True):
            args[index] = tensor.clone() if index in self.written else tensor
        return (*self.graph(*args), *(args[index] for index in self.written))


class _Compiled:
    """A piece compiled for one combination of shapes. One graph may serve many modules of a class (the blocks of a
    transformer), so the weights come with the call; they are packed once for each set of them."""

    def __init__(self, model: _Functional, made: SolModule, places: list[_Place | None], args: _Arguments) -> None:
        self.graph, self.inputs, self.written = model.graph, model.inputs, model.written
        self.engine, self.results = made._engine, made._results
        self.places = [(index, place) for index, place in enumerate(places) if place is not None]
        used = self.engine.graph.parameters
        self.weights = [(index, name) for index, name in model.weights.items() if name in used]
        # What the graph itself holds: with the settings of today's PyTorch, hardly ever anything.
        self.own = {
            name: tensor for name, tensor in model.state_dict(keep_vars=True).items() if name.startswith("graph.")
        }
        # PyTorch's batch norm does not count its changes of the running statistics, so their content is compared.
        self.statistics = [i for i, _ in self.weights if _may_be_statistics(args[i])]
        self.bound: dict[tuple[int, ...], _Bound] = {}  # by the identities of the weights
        self.binding = threading.Lock()

    def __call__(self, *args: Any) -> Any:
        if self.written and self._share_memory(args):
            return self.graph.forward(*args)
        with torch.no_grad():
            inputs = [args[index].resolve_neg().contiguous() for index in self.inputs]
            made = self.engine.run(inputs, self._weights(args))
            results = [made[item] if isinstance(item, Ref) else item for item in self.results]
            if self.written:
                count = len(results) - len(self.written)
                for index, new in zip(self.written, results[count:], strict=True):
                    args[index].copy_(new)
                del results[count:]
            blocks: dict[int, torch.Tensor] = {}
            for index, place in self.places:
                results[index] = place.put(results[index], args, blocks)
        return results

    def _share_memory(self, args: _Arguments) -> bool:
        """Whether writing into one input changes another."""
        memory = [_memory(arg) for arg in args if isinstance(arg, torch.Tensor)]
        return any(memory.count(_memory(args[index])) > 1 for index in self.written)

    def _weights(self, args: _Arguments) -> Weights:
        tensors = [args[index] for index, _ in self.weights]
        key = tuple(map(id, tensors))
        state = [(t.data_ptr(), 0 if t.is_inference() else t._version) for t in (*tensors, *self.own.values())]
        statistics = [args[index] for index in self.statistics]
        bound = self.bound.get(key)
        if bound is None or not bound.holds(state, statistics):
            with self.binding:
                bound = self.bound.get(key)
                if bound is None or not bound.holds(state, statistics):  # another thread may have packed them meanwhile
                    weights = self.engine.bind({**self.own, **{name: args[index] for index, name in self.weights}})
                    # They go when a weight does, before another tensor can get its identity.
                    watch = [weakref.ref(tensor, functools.partial(_forget, self.bound, key)) for tensor in tensors]
                    bound = self.bound[key] = _Bound(state, [t.clone() for t in statistics], weights, watch)
        return bound.weights


class _Bound(NamedTuple):
    """One state of one set of weights, and these packed."""

    state: list[tuple[int, int]]
    statistics: list[torch.Tensor]
    weights: Weights
    watch: list[weakref.ref]

    def holds(self, state: list[tuple[int, int]], statistics: list[torch.Tensor]) -> bool:
        return self.state == state and all(map(torch.equal, self.statistics, statistics))


def _may_be_statistics(weight: torch.Tensor) -> bool:
    return weight.dim() == 1 and weight.is_floating_point() and not isinstance(weight, torch.nn.Parameter)


def _forget(known: dict[tuple[int, ...], _Bound], key: tuple[int, ...], _: weakref.ref) -> None:
    known.pop(key, None)
