"""Recognise a model that was captured before, without capturing it: torch.export takes seconds, this milliseconds.

The fingerprint covers everything that decides which operations the model runs: the classes of its modules and the code
of their methods, the plain values they keep, the names, shapes and dtypes of parameters and buffers (not their content,
which the graph reads at each call), the inputs' types, and what the methods refer to. Whatever has no sure fingerprint
makes the model unrecognisable, and it is captured anew. What the fingerprint could still miss (code far behind a
reference) is caught by the comparison with PyTorch that every optimized model must pass.
"""

import functools
import sys
import types
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch.utils import _pytree as pytree

from solkit import __version__, cache

# Packages whose code does not change while their version stays. The version of torch is part of every fingerprint.
_STABLE = ("torch", "builtins", "math", "typing", "collections", "functools", "itertools", "operator", "numpy")
_MODULE_STATE = frozenset(torch.nn.Module().__dict__)
MOST_ELEMENTS = 4096  # of a tensor whose content counts
_HOOKS = ("_forward_hooks", "_forward_pre_hooks")


class _Unknown(Exception):
    """Something without a sure fingerprint."""


def fingerprint(model: torch.nn.Module, args: tuple, kwargs: dict[str, Any]) -> str | None:
    """A key for the captured graph of `model` on inputs of these types; None where there is none to be sure of."""
    try:
        walk = _Walk()
        parts = [
            *("graph", __version__, _own_source(), torch.__version__, sys.version, str(torch.get_default_dtype())),
            *(str(torch.is_autocast_enabled("cpu")), str(torch.get_autocast_dtype("cpu"))),
            *walk.model(model),
            *walk.call(args, kwargs),
        ]
        return cache.key_of(*parts)
    except (_Unknown, RecursionError, ValueError, OSError):
        return None


@functools.cache
def _own_source() -> str:
    """The frontend and the operator table decide what a graph looks like, so their text is part of the key."""
    folder = Path(__file__).parent
    return cache.key_of(
        *(path.read_bytes() for path in sorted([*folder.glob("*.py"), *folder.parent.glob("ops/*.py")]))
    )


class _Walk:
    """Lists what a fingerprint is made of; visits each class and function once."""

    def __init__(self) -> None:
        self.seen: dict[int, int] = {}
        self.tensors: dict[int, str] = {}
        self.modules: dict[int, str] = {}

    def once(self, thing: Any, describe: Callable[[Any], Iterable[str]]) -> Iterable[str]:
        """What `describe` says of `thing`, and at each further visit only which thing it is."""
        if id(thing) in self.seen:
            yield f"again {self.seen[id(thing)]}"
        else:
            self.seen[id(thing)] = len(self.seen)
            yield from describe(thing)

    def model(self, model: torch.nn.Module) -> Iterable[str]:
        self.modules = {id(module): path for path, module in model.named_modules()}
        for path, module in model.named_modules(remove_duplicate=False):
            yield f"module {path}"
            yield from self.type(type(module))
            for name, tensor in (*module._parameters.items(), *module._buffers.items()):
                # Two names of one tensor are one value of the graph, so sharing counts.
                shared = "" if tensor is None else self.tensors.setdefault(id(tensor), f"{path}.{name}")
                yield f"tensor {name} {shared} {_tensor(tensor)}"
            if any(getattr(module, hooks) for hooks in _HOOKS):
                raise _Unknown
            if hasattr(type(module), "described_for_cache"):  # a frontend's own module knows best
                yield module.described_for_cache()
                continue
            for name, value in module.__dict__.items():
                if name not in _MODULE_STATE:
                    yield f"attribute {name}"
                    yield from self.item(value)

    def call(self, args: tuple, kwargs: dict[str, Any]) -> Iterable[str]:
        """The arguments of a call: of tensors the type alone, of everything else the value."""
        flat, tree = pytree.tree_flatten((args, kwargs))
        yield str(tree)
        for value in flat:
            yield from ([_tensor(value)] if isinstance(value, torch.Tensor) else self.item(value))

    def item(self, value: Any) -> Iterable[str]:
        """A value that a module keeps, or something a function refers to."""
        if value is None or isinstance(value, (bool, int, float, complex, str, bytes, torch.dtype, torch.device)):
            yield f"{type(value).__name__} {value!r}"
        elif isinstance(value, torch.nn.Module):
            if id(value) not in self.modules:
                raise _Unknown  # its parameters are no parameters of the model
            yield f"module {self.modules[id(value)]}"
        elif isinstance(value, torch.Tensor):
            # Not a parameter or buffer, so its content becomes part of the graph.
            if value.numel() > MOST_ELEMENTS:
                raise _Unknown
            yield f"{_tensor(value)} {value.detach().tolist()}"
        elif isinstance(value, (list, tuple, set, frozenset)):
            yield f"{type(value).__name__} {len(value)}"
            for part in sorted(value, key=repr) if isinstance(value, (set, frozenset)) else value:
                yield from self.item(part)
        elif isinstance(value, dict):
            yield f"dict {len(value)}"
            for key, part in value.items():
                yield from self.item(key)
                yield from self.item(part)
        elif isinstance(value, type):
            yield from self.type(value)
        elif isinstance(value, functools.partial):
            yield from self.item((value.func, value.args, value.keywords))
        elif isinstance(value, types.MethodType):
            yield from self.item(value.__func__)
            yield from self.item(value.__self__)
        elif isinstance(value, types.FunctionType):
            yield from self.once(value, self.function)
        elif isinstance(value, types.ModuleType):
            yield from self.module(value)
        elif isinstance(value, (types.BuiltinFunctionType, torch.Size, torch.layout, torch.memory_format)):
            yield f"{type(value).__name__} {value!r}"
        elif isinstance(getattr(value, "__dict__", None), dict) and not _stable(type(value).__module__):
            # An object of somebody's class, a configuration say: what it is and what it holds.
            yield from self.type(type(value))
            yield from self.once(value, lambda value: self.item(vars(value)))
        else:
            raise _Unknown

    def type(self, kind: type) -> Iterable[str]:
        yield f"class {kind.__module__}.{kind.__qualname__}"
        for base in kind.__mro__:
            if not _stable(base.__module__):
                yield from self.once(base, self.members)

    def members(self, kind: type) -> Iterable[str]:
        for name, member in sorted(kind.__dict__.items()):
            member = getattr(member, "__func__", getattr(member, "fget", member))
            if isinstance(member, types.FunctionType) or not name.startswith("__"):
                yield name
                yield from self.item(member)

    def function(self, function: types.FunctionType) -> Iterable[str]:
        if _stable(function.__module__):
            yield f"stable {function.__module__}.{function.__qualname__}"
            return
        yield from self.code(function.__code__)
        yield from self.item((function.__defaults__, function.__kwdefaults__))
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            yield f"closes over {name}"
            yield from self.item(cell.cell_contents)
        for name in sorted(_names(function.__code__) & function.__globals__.keys()):
            yield f"refers to {name}"
            yield from self.item(function.__globals__[name])

    def code(self, code: types.CodeType) -> Iterable[str]:
        yield f"code {code.co_code.hex()} {code.co_names} {code.co_varnames}"
        for constant in code.co_consts:
            if isinstance(constant, types.CodeType):
                yield from self.code(constant)
            else:
                yield repr(sorted(constant, key=repr) if isinstance(constant, frozenset) else constant)

    def module(self, module: types.ModuleType) -> Iterable[str]:
        """A Python module that a function refers to: its file, whole."""
        if _stable(module.__name__):
            yield f"stable {module.__name__}"
            return
        if not getattr(module, "__file__", None) or not module.__file__.endswith(".py"):
            raise _Unknown
        yield f"file {cache.key_of(Path(module.__file__).read_bytes())}"


def _names(code: types.CodeType) -> set[str]:
    """Every name the code may look up, functions inside it included."""
    inner = (constant for constant in code.co_consts if isinstance(constant, types.CodeType))
    return set(code.co_names).union(*map(_names, inner))


def _stable(module: str) -> bool:
    return module.split(".")[0] in _STABLE


def _tensor(tensor: torch.Tensor | None) -> str:
    if tensor is None:
        return "none"
    if tensor.device.type != "cpu" or tensor.layout != torch.strided or torch.nn.parameter.is_lazy(tensor):
        raise _Unknown
    return f"{tuple(tensor.shape)} {tensor.dtype} {type(tensor).__name__}"
