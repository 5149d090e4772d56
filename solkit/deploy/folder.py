"""The folder of a deployed network: its files, and what they say."""

import hashlib
import json
import shutil
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from solkit import __version__
from solkit.deploy import build, makefiles, source
from solkit.deploy.devices import LEVELS, Level, deployment, device
from solkit.deploy.examples import c_example, python_example
from solkit.deploy.header import arguments, header, shape_text
from solkit.deploy.network import Network, Tensor
from solkit.toolchain import kernels

MAGIC = b"SOLW\0\0\0\1"  # of mapped.h
HEADER = 64
HEADERS = ("mapped.h", "network.h", "pool.h", "sol.h", "system.h", "typed.h", "vec.h", "wide.h", "winograd.h")

WEIGHTS = """/* The weights, as they are in the file behind its header. */
    .section .rodata
    .balign 64
    .globl {name}_weights
    .hidden {name}_weights
{name}_weights:
    .incbin "{files}.weights", {header}
    .section .note.GNU-stack, "", %progbits
"""


@dataclass
class Folder:
    """What is written for a network, and how.

    Attributes:
        files: the name of the library, its header and the weights, without what is around it.
        name: of the network's function.
        embedded: whether weights are a part of the library.
    """

    files: str
    name: str
    target: deployment
    device: device
    network: Network
    inputs: list[Tensor]
    outputs: list[Tensor]
    embedded: bool

    def write(self, folder: Path, room: Path) -> Path | None:
        """Fill an empty folder.

        Args:
            room: an empty folder for what is made on the way.
        Returns:
            A shared library of the network if one was made for this machine, with the weights beside it.
        Raises:
            ToolchainError: the compiler fails.
        """
        sources = folder if self.target is deployment.source else room
        jobs = self._write_sources(sources)
        if sources is not folder:
            shutil.copy(sources / f"{self.files}.h", folder)
            if not self.embedded:
                shutil.move(sources / f"{self.files}.weights", folder)
        library = None
        if self.target is not deployment.source:
            objects = build.compile_all(room, jobs, self._levels, room)
            library = self._link(objects, folder)
        self._write_examples(folder, jobs)
        self._write_manifest(folder)
        return library

    @property
    def _levels(self) -> list[Level]:
        return LEVELS[self.device]

    @property
    def _batch(self) -> bool:
        return any(tensor.batched for tensor in self.inputs)

    @property
    def _library(self) -> str:
        return f"lib{self.files}.{'so' if self.target is deployment.shared_lib else 'a'}"

    @property
    def _about(self) -> str:
        return f"{self.files}: a network deployed by solkit {__version__} for {self.device.value}."

    # -- sources ------------------------------------------------------------------------------------------------------

    def _write_sources(self, folder: Path) -> list[tuple[str, Level | None]]:
        """All C files; each with the level it is compiled for, None for any processor."""
        (folder / "kernels").mkdir()
        runtime = folder / "runtime"
        runtime.mkdir()
        jobs: list[tuple[str, Level | None]] = []
        for function, texts in self.network.sources.items():
            several = len(texts) > 1
            for level, text in zip(self._levels, texts if several else texts * len(self._levels), strict=True):
                file = f"kernels/{function}_{level.mark}.c" if several else f"kernels/{function}.c"
                jobs.append((file, level))
                (folder / file).write_text(self._kernel(function, text))
        (runtime / "names.h").write_text(source.names(self.name, self.network.sources))
        table = source.clusters(self.network)
        (runtime / "clusters.c").write_text(table)
        jobs += [("runtime/clusters.c", level) for level in self._levels]
        declared = header(self.name, self._about, self.inputs, self.outputs, self._batch)
        (folder / f"{self.files}.h").write_text(declared)
        digest = self.network.digest((self.name, table, declared))
        levels = [(level.target.name, level.mark, level.condition) for level in self._levels]
        (runtime / "network.c").write_text(
            source.main(
                self.name,
                self.files,
                self.network,
                self.inputs,
                self.outputs,
                self._batch,
                digest,
                levels,
                self.embedded,
            )
        )
        jobs.append(("runtime/network.c", None))
        self._write_weights(folder / f"{self.files}.weights", digest)
        if self.embedded:
            text = WEIGHTS.format(name=self.name, files=self.files, header=HEADER)
            (runtime / "weights.S").write_text(text)
            jobs.append(("runtime/weights.S", None))
        for name in HEADERS:
            shutil.copyfile(kernels() / name, runtime / name)
        return jobs

    def _kernel(self, function: str, text: str) -> str:
        comment = "\n * ".join(self.network.comment(function).splitlines())
        body = text.replace("kernel_tasks", f"{function}_tasks").replace("void kernel(", f"void {function}(")
        return f'/* {comment}\n */\n#include "names.h"\n{body.lstrip()}'

    def _write_weights(self, path: Path, digest: bytes) -> None:
        weights = self.network.weights
        head = MAGIC + digest + struct.pack("<Q", checksum(weights))
        with path.open("wb") as file:
            file.write(head + bytes(HEADER - len(head)))
            file.write(weights)

    # -- libraries ----------------------------------------------------------------------------------------------------

    def _link(self, objects: Sequence[Path], folder: Path) -> Path | None:
        library = folder / self._library
        if self.target is deployment.shared_lib:
            build.link_shared(objects, library, self._levels)
            return library
        build.archive(objects, library)
        return None

    # -- texts --------------------------------------------------------------------------------------------------------

    def _write_examples(self, folder: Path, jobs: Sequence[tuple[str, Level | None]]) -> None:
        text = c_example(self.name, self.files, self.inputs, self.outputs, self._batch)
        (folder / "example.c").write_text(text)
        if self.target is not deployment.static_lib:
            (folder / "example.py").write_text(python_example(self.name, self.files))
        if self.target is deployment.source:
            (folder / "Makefile").write_text(makefiles.makefile(self.files, self.device, self._levels, jobs))
            (folder / "CMakeLists.txt").write_text(makefiles.cmake(self.files, self._levels, jobs))
        else:
            (folder / "Makefile").write_text(makefiles.example_makefile(self.files, self.device, self._library))
        (folder / "README.md").write_text(self._readme())

    def _readme(self) -> str:
        tensors = "\n".join(
            f"| `{tensor.name}` | {role} | {shape_text(tensor)} |"
            for role, tensors in (("in", self.inputs), ("out", self.outputs))
            for tensor in tensors
        )
        made = {
            deployment.shared_lib: f"`lib{self.files}.so` and its header `{self.files}.h`",
            deployment.static_lib: f"`lib{self.files}.a` and its header `{self.files}.h`",
            deployment.source: f"C sources: `make` (or CMake) builds `lib{self.files}.so` and `.a`",
        }[self.target]
        weights = "Weights are a part of the library."
        if not self.embedded:
            weights = (
                f"Weights are in `{self.files}.weights`, which is looked for beside the library (or the program it is "
                f"linked into) and mapped, not copied; `{self.name}_open` takes another path. It must not be written "
                "to while a context is open."
            )
        levels = ", ".join(level.target.name for level in self._levels)
        chosen = " The best that the processor has is chosen when a context is opened." if len(self._levels) > 1 else ""
        passed = ", ".join([*(["1"] if self._batch else []), *(t.name for t in (*self.inputs, *self.outputs))])
        python = (
            "- `example.py`: the same from Python, through ctypes\n" if self.target is not deployment.static_lib else ""
        )
        return f"""# {self.files}

{self._about} {made}. It needs the C library and threads, nothing else.

| array | | |
|---|---|---|
{tensors}

```c
#include "{self.files}.h"

{self.name}_context *context = {self.name}_init(0);
if ({self.name}_status(context)) puts({self.name}_message(context));
if ({self.name}(context, {passed})) puts({self.name}_message(context));
{self.name}_free(context);
```

The network's function is

```c
int {self.name}({self.name}_context *context, {arguments(self.inputs, self.outputs, self._batch)});
```

- `example.c`: a whole program; `make example`, then `./example`
{python}- `manifest.json`: shapes, dtypes, versions, and a hash of each file

Instructions: {levels}.{chosen} {weights}

A context has memory and threads of its own. Several may be used at the same time; calls of one wait for one another.
Every function returns a code, 0 if all went well, and `{self.name}_message` says what did not.
"""

    def _write_manifest(self, folder: Path) -> None:
        def described(tensor: Tensor) -> dict:
            sizes = [-1 if tensor.batched and d == 0 else size for d, size in enumerate(tensor.shape)]
            return {"name": tensor.name, "dtype": str(tensor.dtype).removeprefix("torch."), "shape": sizes}

        files = sorted(path for path in folder.rglob("*") if path.is_file())
        text = {
            "format": 1,
            "library": self.files,
            "function": self.name,
            "target": self.target.name,
            "device": self.device.name,
            "instructions": [level.target.name for level in self._levels],
            "inputs": [described(tensor) for tensor in self.inputs],
            "outputs": [described(tensor) for tensor in self.outputs],
            "weights": {"bytes": len(self.network.weights), "embedded": self.embedded},
            "arena_bytes": max(part.arena_bytes for part in self.network.parts),
            "versions": {
                "solkit": __version__,
                "torch": torch.__version__,
                "compiler": build.compiler_for(self._levels[0]).description,
            },
            "sha256": {str(path.relative_to(folder)): _hash(path) for path in files},
        }
        (folder / "manifest.json").write_text(json.dumps(text, indent=1) + "\n")


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checksum(weights: bytes | bytearray) -> int:
    """`sol_checksum` of mapped.h."""
    import numpy as np

    words = np.frombuffer(weights, "<u8").reshape(-1, 8)
    total, mask = 0, (1 << 64) - 1
    with np.errstate(over="ignore"):
        a = words.sum(0, dtype=np.uint64)
        # Each word is in the first sum from its row on, so as often in the second as there are rows from it on.
        b = (words * np.arange(len(words), 0, -1, dtype=np.uint64)[:, None]).sum(0, dtype=np.uint64)
    for first, second in zip(a.tolist(), b.tolist(), strict=True):
        total = ((total ^ first) * 0x9E3779B97F4A7C15 + second) & mask
    return total
