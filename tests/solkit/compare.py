"""The question most tests ask: does an optimized model give what PyTorch gives in float64?"""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

import solkit as sol


class Calls(nn.Module):
    """A model that is one function: Calls(lambda m, x: m.conv(x) + 1, conv=nn.Conv2d(3, 4, 1))."""

    def __init__(self, function: Callable, **members: Any) -> None:
        super().__init__()
        self.function = function
        for name, member in members.items():
            setattr(self, name, member)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(self, *args, **kwargs)


class Each(nn.Module):
    """Many small models at once, each with an input of its own: one capture and one compilation for them all.

    Models go by name; several inputs of one of them come as a tuple.
    """

    def __init__(self, models: Mapping[str, nn.Module | Callable]) -> None:
        super().__init__()
        self.names = list(models)
        self.models = nn.ModuleList(
            model if isinstance(model, nn.Module) else Calls(lambda m, *x, model=model: model(*x))
            for model in models.values()
        )

    def forward(self, *inputs: Any) -> dict[str, Any]:
        return {
            name: model(*given) if isinstance(given, tuple) else model(given)
            for name, model, given in zip(self.names, self.models, inputs, strict=True)
        }


def compare(model: nn.Module, *inputs: Any, kwargs: dict[str, Any] | None = None, tolerance: float = 1e-5) -> Any:
    """Optimize `model`, check it against PyTorch, and return it.

    What it gives must have the structure, shapes and dtypes PyTorch gives, and numbers that differ from PyTorch's in
    float64 by no more than `tolerance`, relative to the number or, where sums may cancel, to the largest of the tensor.
    """
    model, kwargs = model.eval(), kwargs or {}
    before = sol.config["verify"]
    sol.config["verify"] = False  # it would say that something differs, and not what
    try:
        made = sol.optimize(model, *inputs, kwargs=kwargs)
    finally:
        sol.config["verify"] = before
    with torch.no_grad():
        agree(made(*inputs, **kwargs), model, inputs, kwargs, tolerance)
    return made


def agree(mine: Any, model: nn.Module, inputs: tuple, kwargs: dict[str, Any], tolerance: float = 1e-5) -> None:
    """Whether `mine` is what `model` gives, in the sense of `compare`."""
    with torch.no_grad():
        single = model(*inputs, **kwargs)
        exact = copy.deepcopy(model).double()
        args, kwargs = pytree.tree_map_only(torch.Tensor, _double, (inputs, kwargs))
        double = exact(*args, **kwargs)
    assert pytree.tree_structure(mine) == pytree.tree_structure(single)
    results = zip(*(pytree.tree_flatten_with_path(item)[0] for item in (mine, single, double)), strict=True)
    for (path, a), (_, b), (_, c) in results:
        name = pytree.keystr(path) or "the result"
        if not isinstance(b, torch.Tensor):
            assert a == b, name
            continue
        assert (a.shape, a.dtype) == (b.shape, b.dtype), name
        expected = c.to(b.dtype)
        finite = expected[expected.isfinite()].abs()
        largest = finite.max().item() if len(finite) else 0.0
        torch.testing.assert_close(
            a,
            expected,
            rtol=tolerance,
            atol=tolerance * largest,
            equal_nan=True,
            msg=lambda text, name=name: f"{name}: {text}",
        )


def _double(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor


def images(*shape: int, seed: int = 0) -> torch.Tensor:
    """Random numbers of this shape, always the same."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))
