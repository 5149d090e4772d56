"""`sol.deploy`: from a model to a folder with a library that needs no framework."""

import _ctypes
import os
import platform
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.utils import _pytree as pytree

from solkit import clusters, passes, samples
from solkit.autotune import tune
from solkit.clusters import Cluster
from solkit.codegen.program import implementations
from solkit.config import config
from solkit.deploy.devices import LEVELS, deployment, device
from solkit.deploy.folder import Folder
from solkit.deploy.network import Network, Tensor
from solkit.deploy.tensors import KEYWORDS, tensors_of
from solkit.errors import DeployError, ModelError, NumericsError
from solkit.example import Example, example_of
from solkit.frontend.modes import evaluating
from solkit.inputs import Signature, normalize
from solkit.ir import Graph
from solkit.module import SolModule
from solkit.optimize import capture_graph, close, is_onnx
from solkit.progress import stage
from solkit.specialization import CAPTURING, find_tensor
from solkit.target import host

if TYPE_CHECKING:
    import onnx


def deploy(
    model: "torch.nn.Module | str | os.PathLike[str] | bytes | onnx.ModelProto",
    inputs: Any = (),
    *,
    target: deployment = deployment.shared_lib,
    device: device = device.x86,
    lib_name: str = "network",
    func_name: str = "predict",
    path: "str | os.PathLike[str] | None" = None,
    vdims: Sequence[bool | Sequence[int]] | None = None,
    batch_size: int | None = None,
    weights: str = "embedded",
    force: bool = False,
) -> Path:
    """Write a folder with a trained network as a library for C, C++ and whatever else calls C.

    Weights are those of now, the model in evaluation mode. README.md in the folder says what is there. A library for
    this machine has been compared with PyTorch before it is handed out.

    Args:
        model: a module, one that `sol.optimize` made, or an ONNX model.
        inputs: example inputs: a list of tensors or `sol.input`s as `model(*inputs)` takes them, one tensor, or a
            dictionary of them by name. Shapes and dtypes are what counts.
        target: a shared or a static library, or the C sources with a Makefile and a CMakeLists.txt.
        device: x86 (any 64-bit one: the instructions are chosen when it runs), arm64 or ve.
        lib_name: the library is lib<lib_name>.so or .a, the header <lib_name>.h.
        func_name: the network's function, and what the names of all others begin with.
        path: the folder; <lib_name> in the current one by default.
        vdims, batch_size: as for `sol.optimize`; the batch alone may vary.
        weights: "embedded" in the library, or in a "file" beside it, which is mapped.
        force: replace the folder if there is one.
    Returns:
        The folder.
    Raises:
        DeployError: a part of the model has no code of ours (all such layers are named), the batch cannot vary, a name
            is none in C, or there is a folder already.
        InputError, ModelError, ToolchainError, NumericsError: as `sol.optimize`.
    """
    _check_names(lib_name, func_name, weights)
    _check_choice("target", target, deployment)
    _check_choice("device", device, _Device)
    folder = Path(lib_name if path is None else path)
    if (folder.exists() or folder.is_symlink()) and not force:
        raise DeployError(f"{folder} is there already: choose another path, or pass force=True to replace it")
    model, args, kwargs, titles, vdims = _call(model, inputs, vdims)
    example = example_of(*normalize(model, args, kwargs), vdims, batch_size)
    with stage(f"deploying {type(model).__name__}"):
        network, tensors = _network(model, example, titles, device)
        made = Folder(lib_name, func_name, target, device, network, *tensors, weights == "embedded")
        _write(made, folder, force, lambda where: _verify(where, made, model, example))
    return folder


_Device = device


def _check_choice(name: str, value: Any, kind: type) -> None:
    if not isinstance(value, kind):
        choices = ", ".join(f"sol.{'deployment' if kind is deployment else 'device'}.{item.name}" for item in kind)
        raise DeployError(f"{name} is one of {choices}, not {value!r}")


def _check_names(lib_name: str, func_name: str, weights: str) -> None:
    if not isinstance(lib_name, str) or not re.fullmatch(r"[A-Za-z0-9_][\w.+-]*", lib_name, re.ASCII):
        raise DeployError(
            f"lib_name is the name of a file, of letters, digits, '_', '-', '+' and '.', not {lib_name!r}"
        )
    if not isinstance(func_name, str) or not re.fullmatch(r"[A-Za-z]\w*", func_name, re.ASCII) or func_name in KEYWORDS:
        raise DeployError(f"func_name is the name of a function in C, not {func_name!r}")
    if weights not in ("embedded", "file"):
        raise DeployError(f'weights is "embedded" or "file", not {weights!r}')


# -- what is called ---------------------------------------------------------------------------------------------------


def _call(model: Any, inputs: Any, vdims: Any) -> tuple[torch.nn.Module, tuple, dict, "list[list[str]] | None", Any]:
    """The model as a module; its example call; names of its inputs and outputs, where it says them; what varies."""
    kwargs = dict(inputs) if isinstance(inputs, Mapping) else {}
    args = () if kwargs or inputs is None else tuple(inputs) if isinstance(inputs, (list, tuple)) else (inputs,)
    if isinstance(model, SolModule):
        model = model.__dict__["_model"]
    if is_onnx(model):
        from solkit.frontend.onnx import OnnxModule
        from solkit.frontend.onnx.optimized import example_call

        module = model if isinstance(model, torch.nn.Module) else OnnxModule(model)
        module, given, vdims = example_call(module.with_decided({}), args, kwargs, vdims)
        if module.decided:
            raise DeployError(
                f"the numbers of the inputs {', '.join(module.decided)} decide shapes, and a deployed network has "
                "fixed ones: make them initializers of the model"
            )
        return module, tuple(given), {}, [module.inputs, module.outputs], vdims
    if not isinstance(model, torch.nn.Module):
        raise ModelError(f"sol.deploy takes a torch.nn.Module or an ONNX model, not {type(model).__name__}")
    return model, args, kwargs, None, vdims


def _network(
    model: torch.nn.Module, example: Example, titles: "list[list[str]] | None", where: device
) -> tuple[Network, tuple[list[Tensor], list[Tensor]]]:
    """The network, its inputs and its outputs."""
    if any(dims - {0} for dims in example.varying):
        raise DeployError("of a deployed network the batch alone, dimension 0, may vary: deploy it once for each size")
    if example.batch:
        reason = samples.meeting(model, example.args, example.kwargs, example.batched, close)
        if reason is not None:
            raise DeployError(f"the batch cannot vary: {reason}")
    network = Network([level.target for level in LEVELS[where]])
    tensors = None
    for batch in sorted({example.batch, min(example.batch, 1)}, reverse=True):
        args, kwargs = _of_batch(example, batch)
        with CAPTURING:
            graph, tree, results = capture_graph(model, *Signature.of(args, kwargs).example())
            parts = _clusters(graph, model, where)
            parameters = {name: find_tensor(model, name) for name in graph.parameters}
            network.add(batch, graph, parts, parameters)
        if tensors is None:
            tensors = tensors_of(graph, model, (args, kwargs), tree, results, titles, example)
    network.close()
    return network, tensors


def _of_batch(example: Example, batch: int) -> tuple[tuple, dict[str, Any]]:
    flat, tree = pytree.tree_flatten((example.args, example.kwargs))
    varying = example.batched or [False] * len(flat)
    cut = [item[:batch] if is_batch else item for item, is_batch in zip(flat, varying, strict=True)]
    return pytree.tree_unflatten(cut, tree)


def _clusters(graph: Graph, model: torch.nn.Module, where: device) -> list[Cluster]:
    """The parts of a graph, all of which are compiled; implementations chosen as well as that can be done here."""
    target = LEVELS[where][0].target
    passes.optimize(graph, target=target)
    parts = clusters.partition(graph)
    uncovered = [cluster for cluster in parts if cluster.kind == "torch"]
    if uncovered:
        named = "\n".join(
            f"  {', '.join(c.ops)} in layer {c.nodes[0].layer or 'of the model itself'}" for c in uncovered
        )
        raise DeployError(f"a deployed network is our own code alone, and there is none for:\n{named}")
    here = where is _Device.x86 and host().name == "x86-64 AVX-512"  # of the same layout
    for cluster in parts:
        if cluster.compiled and len(names := implementations(cluster)) > 1:
            cluster.choice = names[-1] if where is _Device.ve else names[0]
    if here:
        tune(graph, parts, host(), {name: find_tensor(model, name) for name in graph.parameters})
    return parts


# -- the folder -------------------------------------------------------------------------------------------------------


def _write(made: Folder, folder: Path, force: bool, check: Callable[[Path], None]) -> None:
    """Write the whole folder beside its place, and then put it there in one step."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as room:
        new, old, work = (Path(room) / name for name in ("new", "old", "work"))
        new.mkdir()
        work.mkdir()
        library = made.write(new, work)
        if library is not None and made.device is _Device.x86 and platform.machine().lower() in ("x86_64", "amd64"):
            check(library)
        try:
            if force and (folder.exists() or folder.is_symlink()):
                folder.rename(old)
            new.rename(folder)
        except OSError as error:
            if old.exists() or old.is_symlink():
                old.rename(folder)
            raise DeployError(f"{folder} cannot be written: {error.strerror}") from error


def _verify(library: Path, made: Folder, model: torch.nn.Module, example: Example) -> None:
    """Compare the library with PyTorch on the example inputs, through example.py as users would."""
    if not config["verify"]:
        return
    scope = {"__name__": "example", "__file__": str(library.parent / "example.py")}
    exec(compile((library.parent / "example.py").read_text(), "example.py", "exec"), scope)
    given = [item for item in pytree.tree_leaves((example.args, example.kwargs)) if isinstance(item, torch.Tensor)]
    network = scope["Network"](library)
    try:
        ours = network(*(_array(tensor) for tensor in given))
    finally:
        network.close()
        # The folder gets another name, by which the loader would find this library again with the name it has now.
        _ctypes.dlclose(network._library._handle)
    with torch.no_grad(), evaluating(model):
        theirs = [
            item
            for item in pytree.tree_leaves(model(*example.args, **example.kwargs))
            if isinstance(item, torch.Tensor)
        ]
    for tensor, mine, yours in zip(made.outputs, ours, theirs, strict=True):
        if not close(torch.from_numpy(mine).view(yours.dtype), yours):
            raise NumericsError(
                f"the output {tensor.name!r} of the deployed {type(model).__name__} does not agree with PyTorch; this "
                "is a bug in solkit. sol.config['verify'] = False writes the folder all the same"
            )


def _array(tensor: torch.Tensor) -> Any:
    """A tensor as example.py takes it: bfloat16 as its 16 bits."""
    tensor = tensor.detach().contiguous()
    return (tensor.view(torch.uint16) if tensor.dtype is torch.bfloat16 else tensor).numpy()
