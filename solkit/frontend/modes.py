"""Modes that a model is captured in."""

import contextlib
from collections.abc import Iterator

import torch
import torch.fx.traceback


@contextlib.contextmanager
def evaluating(model: torch.nn.Module) -> Iterator[None]:
    """`model` in evaluation mode; afterwards every module has its own flag back."""
    flags = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        yield
    finally:
        for module, training in flags:
            module.training = training


@contextlib.contextmanager
def annotated() -> Iterator[None]:
    """PyTorch's global notes for traces, with an annotation among them.

    While one thread exports a program, calls of functions that torch.compile made add an annotation and drop it, in
    whatever thread; of two at a time, each may take the other's for its own, and the second to drop it fails
    (PyTorch 2.13). They drop none where there was one before.
    """
    notes = torch.fx.traceback.get_current_meta()
    ours = "custom" not in notes
    notes.setdefault("custom", {})
    try:
        yield
    finally:
        if ours:
            torch.fx.traceback.get_current_meta().pop("custom", None)
