"""What `sol.optimize` gives back: a torch.nn.Module that computes the same, faster."""

import threading
import warnings
from typing import Any

import torch
from torch.autograd.graph import increment_version
from torch.optim.optimizer import register_optimizer_step_post_hook
from torch.utils import _pytree as pytree

from solkit.clusters import Cluster
from solkit.errors import ModelError
from solkit.explain import Explanation, Profile, plural, profile
from solkit.frontend.modes import evaluating
from solkit.inputs import Signature, normalize
from solkit.ir import Graph
from solkit.ir.serialize import Ref
from solkit.runtime.engine import Engine
from solkit.runtime.weights import Weights
from solkit.watch import Watch


def _count_fused_steps(optimizer: torch.optim.Optimizer, args: tuple, kwargs: dict[str, Any]) -> None:
    """PyTorch's fused optimizers do not count the changes they make, by which we know that weights are new."""
    for group in optimizer.param_groups:
        if group.get("fused"):
            increment_version(group["params"])


register_optimizer_step_post_hook(_count_fused_steps)


class SolModule(torch.nn.Module):
    """A model compiled by solkit.

    It keeps the very parameters, buffers and submodules of the model it was made from, under the same names: a weight
    changed in either is changed in both, and `load_state_dict` goes either way. Its attributes, too, are the model's.

    In evaluation mode a call runs compiled code (gradients, where they are asked for, come from PyTorch). In training
    mode it runs the original model in PyTorch.
    """

    def __init__(self, model: torch.nn.Module, signature: Signature, engine: Engine, tree: Any, outputs: list[Any]):
        super().__init__()
        # Past nn.Module.__setattr__, which would make the model a submodule and change every name.
        self.__dict__["_model"] = model
        self.__dict__.update({name: getattr(model, name) for name in ("_parameters", "_buffers", "_modules")})
        self.training = model.training
        self._signature, self._engine, self._tree, self._results = signature, engine, tree, outputs
        self._bound: tuple[tuple, Weights] | None = None  # a state of the parameters, and the weights packed for it
        self._binding = threading.Lock()
        self.__dict__["_watch"] = Watch(self)
        self._profile: Profile | None = None  # the last one

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
        """
        model = self.__dict__["_model"]
        if torch.compiler.is_exporting():
            return model(*args, **kwargs)  # as a part of a larger model, which is captured from the original
        in_training, state = self._look()
        if in_training:
            warnings.warn(
                "in training mode an optimized model runs in PyTorch; call .eval() to run compiled code",
                RuntimeWarning,
                stacklevel=4,  # past the two layers of nn.Module.__call__
            )
            return _in_mode(model, self.training, args, kwargs)
        if kwargs:
            args, kwargs = normalize(model, args, kwargs)
        tensors = self._signature.tensors(args, kwargs)
        if torch.is_grad_enabled() and self._wants_gradient(args, kwargs):
            return _with_gradient(self, args, kwargs)
        return self._unflatten(self._engine.run(tensors, self._weights(state)))

    def _look(self) -> tuple[bool, tuple]:
        """Whether any part is in training mode, and a state that is another one after any change of a tensor."""
        return self._watch.look()

    def _wants_gradient(self, args: tuple, kwargs: dict[str, Any]) -> bool:
        given = (item for item in pytree.tree_leaves((args, kwargs)) if isinstance(item, torch.Tensor))
        return any(t.requires_grad for t in given) or any(p.requires_grad for p in self.parameters())

    def _unflatten(self, results: list[torch.Tensor]) -> Any:
        flat = [results[item] if isinstance(item, Ref) else item for item in self._results]
        return pytree.tree_unflatten(flat, self._tree)

    # -- weights ------------------------------------------------------------------------------------------------------

    def weights(self) -> Weights:
        """The packed weights, made anew if a parameter changed since.

        PyTorch counts changes of a tensor; those made behind its back, through `.data` or NumPy, and those of tensors
        made in inference mode, are seen after `refresh()`.
        """
        return self._weights(self._look()[1])

    def _weights(self, state: tuple) -> Weights:
        bound = self._bound
        if bound is None or bound[0] != state:
            with self._binding:
                bound = self._bound
                if bound is None or bound[0] != state:  # another thread may have packed them meanwhile
                    tensors = self._tensors()
                    self._check(tensors)
                    bound = self._bound = (state, self._engine.bind(tensors))
        return bound[1]

    def refresh(self) -> None:
        """Read all parameters again at the next call."""
        self._bound = None

    def _tensors(self) -> dict[str, torch.Tensor]:
        model, found = self.__dict__["_model"], {}
        for name in self._engine.graph.parameters:
            tensor = find_tensor(model, name)
            if tensor is None:
                raise ModelError(
                    f"the parameter {name!r} is gone since the model was optimized: call sol.optimize again"
                )
            found[name] = tensor
        return found

    def _check(self, tensors: dict[str, torch.Tensor]) -> None:
        for name, value in self._engine.graph.parameters.items():
            tensor = tensors[name]
            if tuple(tensor.shape) != value.shape or tensor.dtype != value.type.dtype or tensor.device.type != "cpu":
                raise ModelError(
                    f"the parameter {name!r} is now {tensor.dtype} {list(tensor.shape)} on {tensor.device}, and was "
                    f"{value.type.dtype} {list(value.shape)} on cpu when the model was optimized: call sol.optimize "
                    "again"
                )

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
        return self._engine.graph

    @property
    def clusters(self) -> list[Cluster]:
        """What runs, in order; those of kind "view" need no code."""
        return self._engine.clusters

    def explain(self, inputs: Any = None) -> Explanation:
        """What became of the model: its clusters, and what runs in PyTorch. Prints as a table, in a notebook with a
        drawing of the graph.

        Args:
            inputs: a tensor, or a tuple of the arguments of a call, to measure each cluster with, as `profile` does.
                Without it, times are those of the last `profile`, if there was one.
        Raises:
            InputError: the inputs are not what the model was optimized for.
        """
        if inputs is not None:
            self.profile(*(inputs if isinstance(inputs, tuple) else (inputs,)))
        return Explanation(self._engine, self._profile)

    def source(self, cluster: int | None = None) -> str:
        """The generated C: of one compiled cluster, by its number in `explain()`, or of the whole program."""
        return self.explain().source(cluster)

    def profile(self, *args: Any, runs: int = 20, **kwargs: Any) -> Profile:
        """Median time of each cluster on these inputs over `runs` calls, beside PyTorch's for the same operators.

        PyTorch is timed on the operators of the optimized graph, one after the other, so without the batch norms that
        are folded away.

        Raises:
            ConfigError: `runs` is not a positive number.
        """
        args, kwargs = normalize(self.__dict__["_model"], args, kwargs)
        self._profile = profile(self._engine, self._signature.tensors(args, kwargs), self.weights(), runs)
        return self._profile

    def extra_repr(self) -> str:
        native = sum(cluster.compiled for cluster in self.clusters)
        left = sum(cluster.kind == "torch" for cluster in self.clusters)
        return f"solkit: {plural(native, 'compiled cluster')}, {plural(left, 'operator')} in PyTorch"

    # -- copying ------------------------------------------------------------------------------------------------------

    def __reduce__(self) -> tuple:
        """A copy, or one read from a file, is optimized anew: compiled code belongs to a machine."""
        return _rebuild, (self.__dict__["_model"], self._signature.example()), {"training": self.training}


def find_tensor(model: torch.nn.Module, name: str) -> torch.Tensor | None:
    """The parameter or buffer of that dotted name."""
    *path, last = name.split(".")
    module: torch.nn.Module | None = model
    for part in path:
        module = module._modules.get(part) if module is not None else None
    if module is None:
        return None
    found = module._parameters.get(last)
    return module._buffers.get(last) if found is None else found


def _rebuild(model: torch.nn.Module, example: tuple) -> SolModule:
    from solkit.optimize import optimize

    return optimize(model, *example[0], kwargs=example[1])


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
    results = _Compiled.apply(module, flat, tree, where, *(flat[i] for i in where), *parameters)
    return module._unflatten(list(results))


class _Compiled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, module: SolModule, flat: list, tree: Any, where: list[int], *tensors: Any) -> tuple:
        ctx.module, ctx.flat, ctx.tree, ctx.where = module, flat, tree, where
        ctx.save_for_backward(*tensors)
        args, kwargs = pytree.tree_unflatten(flat, tree)
        results = module._engine.run(module._signature.tensors(args, kwargs), module.weights())
        ctx.mark_non_differentiable(*(result for result in results if not result.is_floating_point()))
        return tuple(results)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple:
        tensors = list(ctx.saved_tensors)
        inputs, parameters = tensors[: len(ctx.where)], tensors[len(ctx.where) :]
        model, flat = ctx.module.__dict__["_model"], list(ctx.flat)
        twice = torch.is_grad_enabled()  # somebody wants a gradient of these gradients
        with torch.enable_grad(), evaluating(model):
            inputs = [t.view_as(t) for t in inputs]  # a tensor given twice gets a gradient for each place
            for index, tensor in zip(ctx.where, inputs, strict=True):
                flat[index] = tensor
            args, kwargs = pytree.tree_unflatten(flat, ctx.tree)
            made = pytree.tree_leaves(model(*args, **kwargs))
        results = [made[i] for i, item in enumerate(ctx.module._results) if isinstance(item, Ref)]
        pairs = [(r, g) for r, g in zip(results, gradients, strict=True) if r.requires_grad]
        wanted = [t for t in (*inputs, *parameters) if t.requires_grad]
        results, gradients = [r for r, _ in pairs], [g for _, g in pairs]
        found = iter(torch.autograd.grad(results, wanted, gradients, create_graph=twice, allow_unused=True))
        passed = [next(found) if t.requires_grad else None for t in (*inputs, *parameters)]
        return (None, None, None, None, *passed)
