"""What lab 05 shows and builds: a deployed folder, a C program around it, the answers of a network for digits."""

import hashlib
import html
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from labs.cards import Table
from labs.show import OURS, THEIRS, Picture
from solkit.deploy import device
from solkit.errors import ToolchainError
from solkit.target import ARM64, host
from solkit.toolchain import find_compiler

# The program of exercise 05-1, with room for the lines that call the network.
PROGRAM = """#include <stdio.h>
#include "digits.h"

int main(void) {
    float image[64], scores[10]; /* 8 x 8 pixels in, a score for each digit out */
    while (fread(image, 4, 64, stdin) == 64) {
        %s
        int best = 0;
        for (int digit = 1; digit < 10; digit++)
            if (scores[digit] > scores[best]) best = digit;
        printf("%%d\\n", best);
    }
    return 0;
}
"""

# A new process up to its first result; measured by `python -m benchmarks.deployment`.
SHIPPED = (  # what, MiB of the run time, milliseconds, MiB of the largest resident set
    ("solkit, weights in the library", 0.2, 14.8, 21.3),
    ("solkit, weights in a file", 0.2, 12.6, 21.4),
    ("ONNX Runtime from C", 33.2, 90.6, 73.3),
    ("LibTorch from C++", 415.8, 369.7, 166.7),
)

WHAT = {
    ".so": "the network, as a shared library",
    ".a": "the network, as a static library",
    ".h": "the header: what a program has to know",
    ".c": "a whole program that uses it",
    ".py": "the same from Python",
    ".weights": "the weights, in a file of their own",
    ".md": "what is in this folder",
    ".json": "shapes, sizes, versions, a hash of each file",
    "Makefile": "builds the program",
}


def folder(path: Path) -> Table:
    """The files of a deployed folder, with their sizes and what they are for."""
    rows = [
        (file.name, f"{file.stat().st_size / 1e3:.1f}", WHAT.get(file.suffix or file.name, "your own program"))
        for file in sorted(path.iterdir())
        if file.is_file()
    ]
    return Table(f"{path.name}/", ("file", "kB", "what it is"), tuple(rows))


class Program:
    """PROGRAM with lines in it, compiled against a deployed library.

    Attributes:
        lines: as they were given.
        folder: of the library.
        error: what the compiler said, "" if it was content.
        file: the program.
    """

    def __init__(self, lines: str, folder: Path) -> None:
        self.lines, self.folder, self.error = lines, folder, ""
        self.file = folder / f"reader_{hashlib.sha256(lines.encode()).hexdigest()[:8]}"  # each its own
        source = self.file.with_suffix(".c")
        source.write_text(PROGRAM % "\n        ".join(lines.strip().splitlines()))
        self.file.unlink(missing_ok=True)
        try:
            library = ("-ldigits", f"-L{folder}", f"-Wl,-rpath,{folder}")
            find_compiler().run("-O1", "-Werror=implicit-function-declaration", source, *library, "-o", self.file)
        except ToolchainError as error:
            said = [row for row in str(error).splitlines() if "error:" in row]
            self.error = (said or str(error).splitlines())[0].replace(f"{source}:", "reader.c:")

    def __repr__(self) -> str:
        return f"<a program; the compiler said: {self.error}>" if self.error else "<a program that compiles>"

    def run(self, images) -> list[int]:
        """The digits that it says for images of 8 x 8 float32.

        Raises:
            OSError, subprocess.SubprocessError: it does not start, crashes, or takes over five seconds.
        """
        given = np.ascontiguousarray(images, np.float32).tobytes()
        done = subprocess.run([self.file], input=given, capture_output=True, timeout=5, check=True, env={})
        return [int(row) for row in done.stdout.split()]


def program(lines: object, folder: Path) -> "Program | object":
    """PROGRAM with these lines, compiled; dots stay dots."""
    return Program(lines, Path(folder)) if isinstance(lines, str) else lines


def build_example(folder: Path, into: Path) -> None:
    """Compile the example.c of a deployed folder into a folder, and put the library beside it: nothing else is needed.

    Raises:
        ToolchainError: the compiler fails.
    """
    into.mkdir(exist_ok=True)
    (into / "libdigits.so").write_bytes((folder / "libdigits.so").read_bytes())
    library = (f"-L{into}", "-ldigits", "-Wl,-rpath,$ORIGIN")
    find_compiler().run("-O2", folder / "example.c", f"-I{folder}", *library, "-o", into / "example")


def run_example(into: Path, *arguments: str) -> str:
    """What the example prints; without Python's, or anybody's, settings in its environment."""
    command = [os.path.join(".", "example"), *arguments]
    return subprocess.run(command, cwd=into, env={}, capture_output=True, text=True, check=True).stdout


def here() -> device:
    """What a library is deployed for that runs on this machine."""
    return device.arm64 if host().name == ARM64.name else device.x86


def levels_of(path: Path) -> list[str]:
    """The sets of instructions of a deployed folder."""
    return json.loads((path / "manifest.json").read_text())["instructions"]


def weights_of(path: Path) -> int:
    """Bytes of weights, as the manifest of a deployed folder says."""
    return json.loads((path / "manifest.json").read_text())["weights"]["bytes"]


# --- pictures --------------------------------------------------------------------------------------------------------


def digits(images: np.ndarray, labels: Sequence[int]) -> Picture:
    """Small images in a row, with what they are."""
    figure = Figure(figsize=(9, 1.3), layout="constrained")
    for axes, image, label in zip(figure.subplots(1, len(images)), images, labels, strict=True):
        axes.imshow(image.reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
        axes.set_title(str(int(label)), fontsize=11)
        axes.set_axis_off()
    said = ", ".join(str(int(label)) for label in labels)
    return Picture(figure, f"Handwritten digits in 8 x 8 pixels: {said}.", "Digits of scikit-learn's collection.")


def verdict(image: np.ndarray, scores: np.ndarray, label: int) -> str:
    """An image of 8 x 8 and the scores of ten digits as HTML."""
    shade = [round(255 * (1 - float(value))) for value in image.reshape(-1)]
    cells = "".join(
        f'<rect x="{place % 8 * 14}" y="{place // 8 * 14}" width="14" height="14" fill="rgb({v},{v},{v})"/>'
        for place, v in enumerate(shade)
    )
    share = np.exp(scores - scores.max())
    share = share / share.sum()
    best = int(share.argmax())
    bars = "".join(
        f'<text x="142" y="{9 + 11 * digit}" font-size="10" fill="currentColor">{digit}</text>'
        f'<rect x="154" y="{1 + 11 * digit}" width="{max(1.0, 150 * float(share[digit])):.0f}" height="9" '
        f'fill="{OURS["color"] if digit == best else "#8c8c8c"}"/>'
        for digit in range(10)
    )
    said = f"The library says {best}, with {share[best]:.1%}; it is a {int(label)}."
    return (
        f'<div style="color: var(--jp-content-font-color1, inherit)"><svg role="img" aria-label="{said}" width="320" '
        f'height="114" style="background: none">{cells}{bars}</svg><p>{html.escape(said)}</p></div>'
    )


LANES = {"x86-64-v4": "AVX-512", "x86-64-v3": "AVX2", "x86-64": "SSE2"}


def levels(milliseconds: Mapping[str, float]) -> Picture:
    """One library with each set of instructions: bars of milliseconds."""
    figure = Figure(figsize=(9, 0.8 + 0.4 * len(milliseconds)), layout="constrained")
    axes = figure.subplots()
    made = axes.barh(range(len(milliseconds)), list(milliseconds.values()), 0.6, **OURS)
    axes.bar_label(made, fmt="%.4f", padding=3, fontsize=9)
    names = [f"{name} ({LANES[name]})" if name in LANES else name for name in milliseconds]
    axes.set_yticks(range(len(milliseconds)), names)
    axes.invert_yaxis()
    axes.set_xlabel("milliseconds of a call, median")
    axes.margins(x=0.1)
    axes.spines[["top", "right"]].set_visible(False)
    text = "; ".join(f"{name} {value:.4f} ms" for name, value in milliseconds.items())
    return Picture(figure, f"Bars: {text}.", "One library, three sets of instructions. Measured on this machine, now.")


def starts() -> Picture:
    """The shipped result: size of the run time, and time to the first result."""
    figure = Figure(figsize=(9, 2.6), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for axes, index, label in ((left, 1, "MiB of run time"), (right, 2, "ms to the first result")):
        for place, row in enumerate(SHIPPED):
            style = OURS if row[0].startswith("solkit") else THEIRS
            axes.bar_label(axes.barh(place, row[index], 0.6, **style), fmt="%.1f", padding=3, fontsize=9)
        axes.set_xscale("log")
        axes.set_xlim(0.1, 2500)
        axes.set_xlabel(label)
        axes.spines[["top", "right"]].set_visible(False)
    left.set_yticks(range(len(SHIPPED)), [row[0] for row in SHIPPED])
    left.invert_yaxis()
    rows = "; ".join(f"{row[0]}: {row[1]} MiB, {row[2]} ms" for row in SHIPPED)
    where = (
        "Shipped result, on a logarithmic scale: MobileNet v2 with 2 threads of an AMD EPYC virtual machine, in 2026; "
        "not measured here."
    )
    return Picture(figure, f"Bars on a logarithmic scale. {rows}.", where)
