"""What `sol.optimize` gives back: a torch.nn.Module that computes the same, faster."""

import contextlib
import warnings
from typing import Any

import torch
from torch.autograd.graph import increment_version
from torch.optim.optimizer import register_optimizer_step_post_hook
from torch.utils import _pytree as pytree

from solkit.clusters import Cluster
from solkit.explain import Explanation, Profile, plural, profile
from solkit.frontend.modes import evaluating
from solkit.inputs import Signature, normalize
from solkit.ir import Graph
from solkit.ir.serialize import Ref
from solkit.runtime.engine import Engine
from solkit.runtime.weights import Weights
from solkit.shapes import COMPILING, Shapes
from solkit.specialization import CAPTURING, Specialization
from solkit.watch import Watch


def _count_fused_steps(optimizer: torch.optim.Optimizer, args: tuple, kwargs: dict[str, Any]) -> None:
    """PyTorch's fused optimizers do not count the changes they make, by which we know that weights are new."""
    for group in optimizer.param_groups:
        if group.get("fused"):
            increment_version(group["params"])


register_optimizer_step_post_hook(_count_fused_steps)


class _PatientWatch(Watch):
    """A watch of a model that another thread may be capturing for one more shape."""

    def look(self) -> tuple[bool, tuple]:
        with CAPTURING:
            return super().look()


class SolModule(torch.nn.Module):
    """A model compiled by solkit.

    It keeps the very parameters, buffers and submodules of the model it was made from, under the same names: a weight
    changed in either is changed in both, and `load_state_dict` goes either way. Its attributes, too, are the model's.

    In evaluation mode a call runs compiled code (gradients, where they are asked for, come from PyTorch). In training
    mode it runs the original model in PyTorch.

    Where shapes may vary it holds code for several of them, each with packed weights of its own, which take as much
    memory again as the parameters. `explain()` and what else shows the code is about the shape it was optimized for
    first, unless it is given inputs of another.
    """

    def __init__(self, model: torch.nn.Module, first: Specialization, shapes: Shapes | None = None) -> None:
        super().__init__()
        # Past nn.Module.__setattr__, which would make the model a submodule and change every name.
        self.__dict__["_model"] = model
        self.__dict__.update({name: getattr(model, name) for name in ("_parameters", "_buffers", "_modules")})
        self.training = model.training
        self.__dict__.update(_first=first, _shapes=shapes)
        self.__dict__["_watch"] = Watch(model) if shapes is None else _PatientWatch(model)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.__dict__["_model"], name)

    def __getitem__(self, index: Any) -> Any:
        """A layer of a model that has an order, as in nn.Sequential."""
        return self.__dict__["_model"][index]

    # -- calling ------------------------------------------------------------------------------------------------------

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The model's own result.

        Raises:
            InputError: the inputs are not of the shapes and dtypes the model was optimized for.
            ModelError: a parameter was replaced by one of another shape or dtype.
            SolError: as `sol.optimize`, for the first inputs of a shape that is compiled when it is seen.
        """
        model = self.__dict__["_model"]
        if torch.compiler.is_exporting():
            with CAPTURING:  # by another thread: when that is done, this is a call as any other
                if torch.compiler.is_exporting():
                    return model(*args, **kwargs)  # as a part of a larger model, captured from the original
        in_training, state = self._watch.look()
        if in_training or self.training:
            warnings.warn(
                "in training mode an optimized model runs in PyTorch; call .eval() to run compiled code",
                RuntimeWarning,
                stacklevel=4,  # past the two layers of nn.Module.__call__
            )
            return _in_mode(model, self.training, args, kwargs)
        if kwargs:
            args, kwargs = normalize(model, args, kwargs)
        if torch.is_grad_enabled() and self._wants_gradient(args, kwargs):
            return _with_gradient(self, args, kwargs)
        used, results = self._run(args, kwargs, state)
        return used.unflatten(results)

    def _run(self, args: tuple, kwargs: dict[str, Any], state: tuple) -> tuple[Specialization, list[torch.Tensor]]:
        """The results, flat, and a specialization that knows their structure."""
        if self._shapes is not None:
            tensors = self._shapes.signature.tensors(args, kwargs)
            return self._shapes.run(tensors, lambda used: used.weights(self.__dict__["_model"], state))
        first = self._first
        tensors = first.signature.tensors(args, kwargs)
        return first, first.engine.run(tensors, first.weights(self.__dict__["_model"], state))

    def _undisturbed(self) -> contextlib.AbstractContextManager:
        """While it lasts, no other thread captures this model for one more shape."""
        return contextlib.nullcontext() if self._shapes is None else COMPILING

    def _wants_gradient(self, args: tuple, kwargs: dict[str, Any]) -> bool:
        given = (item for item in pytree.tree_leaves((args, kwargs)) if isinstance(item, torch.Tensor))
        return any(t.requires_grad for t in given) or any(p.requires_grad for p in self.parameters())

    # -- weights ------------------------------------------------------------------------------------------------------

    def weights(self) -> Weights:
        """The packed weights, made anew if a parameter changed since.

        PyTorch counts changes of a tensor; those made behind its back, through `.data` or NumPy, and those of tensors
        made in inference mode, are seen after `refresh()`.
        """
        return self._first.weights(self.__dict__["_model"], self._watch.look()[1])

    def refresh(self) -> None:
        """Read all parameters again at the next call."""
        self._first.refresh()
        if self._shapes is not None:
            self._shapes.refresh()

    # What others of solkit look at, of the first shape.

    @property
    def _engine(self) -> Engine:
        return self._first.engine

    @property
    def _signature(self) -> Signature:
        return self._first.signature

    @property
    def _results(self) -> list[Any]:
        return self._first.results

    def _tensors(self) -> dict[str, torch.Tensor]:
        return self._first.parameters(self.__dict__["_model"])

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The model's own."""
        return self.__dict__["_model"].state_dict(*args, **kwargs)

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """The model's own."""
        return self.__dict__["_model"].load_state_dict(*args, **kwargs)

    # -- seeing -------------------------------------------------------------------------------------------------------

    @property
    def graph(self) -> Graph:
        """The graph after all passes."""
        return self._first.engine.graph

    @property
    def clusters(self) -> list[Cluster]:
        """What runs, in order; those of kind "view" need no code."""
        return self._first.engine.clusters

    def explain(self, inputs: Any = None) -> Explanation:
        """What became of the model: its clusters, and what runs in PyTorch. Prints as a table, in a notebook with a
        drawing of the graph.

        Args:
            inputs: a tensor, or a tuple of the arguments of a call, to measure each cluster with, as `profile` does.
                Without it, times are those of the last `profile`, if there was one.
        Raises:
            InputError: the inputs are not what the model was optimized for.
        """
        used = self._first
        if inputs is not None:
            used = self._profiled(inputs if isinstance(inputs, tuple) else (inputs,), {}, 20)
        return Explanation(used.engine, used.profile)

    def source(self, cluster: int | None = None) -> str:
        """The generated C: of one compiled cluster, by its number in `explain()`, or of the whole program."""
        return self.explain().source(cluster)

    def profile(self, *args: Any, runs: int = 20, **kwargs: Any) -> Profile:
        """Median time of each cluster on these inputs over `runs` calls, beside PyTorch's for the same operators.

        PyTorch is timed on the operators of the optimized graph, one after the other, so without the batch norms that
        are folded away.

        Raises:
            ConfigError: `runs` is not a positive number.
            InputError: the inputs are not what the model was optimized for, or would run in slices.
        """
        return self._profiled(args, kwargs, runs).profile

    def _profiled(self, args: tuple, kwargs: dict[str, Any], runs: int) -> Specialization:
        """What runs on these inputs, with a new profile."""
        used, tensors, weights = self._running(args, kwargs)
        used.profile = profile(used.engine, tensors, weights, runs)
        return used

    def _running(self, args: tuple, kwargs: dict[str, Any]) -> tuple[Specialization, list[torch.Tensor], Weights]:
        """What runs on these inputs, the inputs as it takes them, and its weights."""
        model = self.__dict__["_model"]
        args, kwargs = normalize(model, args, kwargs)
        if self._shapes is None:
            used, tensors = self._first, self._first.signature.tensors(args, kwargs)
        else:
            tensors = self._shapes.signature.tensors(args, kwargs)
            used = self._shapes.whole(tensors)
        return used, tensors, used.weights(model, self._watch.look()[1])

    def extra_repr(self) -> str:
        native = sum(cluster.compiled for cluster in self.clusters)
        left = sum(cluster.kind == "torch" for cluster in self.clusters)
        return f"solkit: {plural(native, 'compiled cluster')}, {plural(left, 'operator')} in PyTorch"

    # -- copying ------------------------------------------------------------------------------------------------------

    def __reduce__(self) -> tuple:
        """A copy, or one read from a file, is optimized anew: compiled code belongs to a machine."""
        signature = self._first.signature if self._shapes is None else self._shapes.signature
        return _rebuild, (self.__dict__["_model"], signature.example(), signature.vdims()), {"training": self.training}


def _rebuild(model: torch.nn.Module, example: tuple, vdims: list[tuple[int, ...]] | None = None) -> SolModule:
    from solkit.optimize import optimize

    return optimize(model, *example[0], kwargs=example[1], vdims=vdims)


def _in_mode(model: torch.nn.Module, training: bool, args: tuple, kwargs: dict[str, Any]) -> Any:
    """Call the original, whose own flag may differ from the optimized module's; the submodules are shared."""
    before, model.training = model.training, training
    try:
        return model(*args, **kwargs)
    finally:
        model.training = before


def _with_gradient(module: SolModule, args: tuple, kwargs: dict[str, Any]) -> Any:
    """Compiled forward whose backward runs the original model in PyTorch, from the same inputs."""
    flat, tree = pytree.tree_flatten((args, kwargs))
    where = [index for index, item in enumerate(flat) if isinstance(item, torch.Tensor)]
    parameters = [p for p in module.parameters() if p.requires_grad]
    used: list[Specialization] = []
    results = _Compiled.apply(module, used, flat, tree, where, *(flat[i] for i in where), *parameters)
    return used[0].unflatten(list(results))


class _Compiled(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, module: SolModule, used: list, flat: list, tree: Any, where: list[int], *tensors: Any
    ) -> tuple:
        """`used` gets the specialization that ran."""
        ctx.module, ctx.flat, ctx.tree, ctx.where = module, flat, tree, where
        ctx.save_for_backward(*tensors)
        args, kwargs = pytree.tree_unflatten(flat, tree)
        chosen, results = module._run(args, kwargs, module._watch.look()[1])
        used.append(chosen)
        ctx.results = chosen.results
        ctx.mark_non_differentiable(*(result for result in results if not result.is_floating_point()))
        return tuple(results)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple:
        tensors = list(ctx.saved_tensors)
        inputs, parameters = tensors[: len(ctx.where)], tensors[len(ctx.where) :]
        model, flat = ctx.module.__dict__["_model"], list(ctx.flat)
        twice = torch.is_grad_enabled()  # somebody wants a gradient of these gradients
        with torch.enable_grad(), ctx.module._undisturbed(), evaluating(model):
            inputs = [t.view_as(t) for t in inputs]  # a tensor given twice gets a gradient for each place
            for index, tensor in zip(ctx.where, inputs, strict=True):
                flat[index] = tensor
            args, kwargs = pytree.tree_unflatten(flat, ctx.tree)
            made = pytree.tree_leaves(model(*args, **kwargs))
        results = [made[i] for i, item in enumerate(ctx.results) if isinstance(item, Ref)]
        pairs = [(r, g) for r, g in zip(results, gradients, strict=True) if r.requires_grad]
        wanted = [t for t in (*inputs, *parameters) if t.requires_grad]
        results, gradients = [r for r, _ in pairs], [g for _, g in pairs]
        found = iter(torch.autograd.grad(results, wanted, gradients, create_graph=twice, allow_unused=True))
        passed = [next(found) if t.requires_grad else None for t in (*inputs, *parameters)]
        return (None, None, None, None, None, *passed)
