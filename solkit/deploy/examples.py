"""Programs that use a deployed network, in C and in Python, written into its folder."""

from collections.abc import Sequence

from solkit.deploy.header import DTYPES, shape_text
from solkit.deploy.network import Tensor


def c_example(name: str, files: str, inputs: Sequence[Tensor], outputs: Sequence[Tensor], batch: bool) -> str:
    """example.c: one call, on arrays from files or on a ramp of numbers, and how long it takes."""
    arrays = [*inputs, *outputs]
    passed = ", ".join([*(["sizes[0]"] if batch else []), *(f"arrays[{i}]" for i in range(len(arrays)))])
    shapes = "\n".join(f" *   {tensor.name}: {shape_text(tensor)}" for tensor in arrays)
    sizes = (
        "const int64_t sizes[1] = {1}; /* samples of the batch */" if batch else "const int64_t *const sizes = NULL;"
    )
    return f"""/* How {files} is used from C (or C++: this file is both).
 *
{shapes}
 *
 *   ./example
 *       calls it on a ramp of numbers, and says how long that takes
 *   ./example {" ".join(f"{tensor.name}.bin" for tensor in inputs)}
 *       calls it once on raw arrays from files, one for each input, and writes the outputs to files:
 *       {" ".join(f"{tensor.name}.out" for tensor in outputs)}
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "{files}.h"

enum {{ INPUTS = {len(inputs)}, OUTPUTS = {len(outputs)}, CALLS = 20 }};

static double milliseconds(void) {{
    struct timespec now;
    timespec_get(&now, TIME_UTC);
    return 1e3 * (double)now.tv_sec + 1e-6 * (double)now.tv_nsec;
}}

static int shorter(const void *a, const void *b) {{
    const double first = *(const double *)a, second = *(const double *)b;
    return (first > second) - (first < second);
}}

/* Fills an input with numbers that go up from -1 to 1, or with zeros if they are no floats. */
static void fill(const {name}_tensor *tensor, void *array, int64_t bytes) {{
    memset(array, 0, (size_t)bytes);
    if (tensor->dtype == {name}_FLOAT32) {{
        const int64_t count = bytes / 4;
        for (int64_t i = 0; i < count; i++) ((float *)array)[i] = 2 * (float)i / (float)count - 1;
    }}
}}

static int read_file(const char *path, void *array, int64_t bytes) {{
    FILE *file = fopen(path, "rb");
    const int right = file && fread(array, 1, (size_t)bytes, file) == (size_t)bytes && fgetc(file) == EOF;
    if (file) fclose(file);
    if (!right) fprintf(stderr, "%s: not an array of %lld bytes\\n", path, (long long)bytes);
    return right;
}}

static int write_file(const char *path, const void *array, int64_t bytes) {{
    FILE *file = fopen(path, "wb");
    const int written = file && fwrite(array, 1, (size_t)bytes, file) == (size_t)bytes;
    return (!file || !fclose(file)) && written;
}}

int main(int count, char **arguments) {{
    {sizes}
    void *arrays[INPUTS + OUTPUTS];
    double times[CALLS];
    const int calls = count == 1 ? CALLS : 1;
    int status = 1;
    if (count != 1 && count != 1 + INPUTS) {{
        fprintf(stderr, "usage: %s [a file for each of the %d inputs]\\n", arguments[0], INPUTS);
        return 2;
    }}
    {name}_context *context = {name}_init(0);
    if ({name}_status(context) != {name}_OK) {{
        fprintf(stderr, "%s\\n", {name}_message(context));
        {name}_free(context);
        return 1;
    }}
    for (int i = 0; i < INPUTS + OUTPUTS; i++) {{
        const int64_t bytes = i < INPUTS ? {name}_input_bytes(i, sizes) : {name}_output_bytes(i - INPUTS, sizes);
        arrays[i] = malloc(bytes ? (size_t)bytes : 1);
    }}
    for (int i = 0; i < INPUTS; i++) {{
        if (count == 1)
            fill({name}_input(i), arrays[i], {name}_input_bytes(i, sizes));
        else if (!read_file(arguments[1 + i], arrays[i], {name}_input_bytes(i, sizes)))
            goto end;
    }}
    for (int i = 0; i < calls; i++) {{
        const double start = milliseconds();
        if ({name}(context, {_cast_all(passed, inputs, outputs)})) {{
            fprintf(stderr, "%s\\n", {name}_message(context));
            goto end;
        }}
        times[i] = milliseconds() - start;
    }}
    qsort(times, (size_t)calls, sizeof *times, shorter);
    printf("%s: %.3f ms, the median of %d\\n", {name}_instructions(context), times[calls / 2], calls);
    status = 0;
    for (int i = 0; i < OUTPUTS; i++) {{
        const {name}_tensor *tensor = {name}_output(i);
        const int64_t bytes = {name}_output_bytes(i, sizes);
        printf("%s:", tensor->name);
        if (tensor->dtype == {name}_FLOAT32)
            for (int k = 0; k < 5 && 4 * k < bytes; k++) printf(" %g", (double)((float *)arrays[INPUTS + i])[k]);
        printf(" (%lld bytes)\\n", (long long)bytes);
        if (count > 1) {{
            char path[256];
            snprintf(path, sizeof path, "%s.out", tensor->name);
            status |= !write_file(path, arrays[INPUTS + i], bytes);
        }}
    }}
end:
    for (int i = 0; i < INPUTS + OUTPUTS; i++) free(arrays[i]);
    {name}_free(context);
    return status;
}}
"""


def _cast_all(passed: str, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> str:
    """C++ wants a cast from void pointers."""
    made = [part for part in passed.split(", ") if part.startswith("sizes")]
    for i, tensor in enumerate([*inputs, *outputs]):
        kind = f"const {DTYPES[tensor.dtype][1]}" if i < len(inputs) else DTYPES[tensor.dtype][1]
        made.append(f"({kind} *)arrays[{i}]")
    return ", ".join(made)


def python_example(name: str, files: str) -> str:
    """example.py: the library through ctypes, with nothing but NumPy."""
    return f'''"""How {files} is used from Python: through ctypes, with nothing but NumPy.

    python example.py        a call on zeros
"""

import ctypes
from pathlib import Path

import numpy as np

LIBRARY = Path(__file__).resolve().parent / "lib{files}.so"
DTYPES = ("f4", "f8", "f2", "u2", "i1", "i2", "i4", "i8", "u1", "?")  # bfloat16 as its 16 bits


class _Tensor(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("dtype", ctypes.c_int),
        ("rank", ctypes.c_int),
        ("dims", ctypes.c_int64 * 8),
    ]


class _Options(ctypes.Structure):
    _fields_ = [
        ("device", ctypes.c_int),
        ("threads", ctypes.c_int),
        ("weights", ctypes.c_char_p),
        ("instructions", ctypes.c_char_p),
    ]


class Network:
    """The network. One object may be called from several threads, whose calls then wait for one another."""

    def __init__(self, library=LIBRARY, device=0, threads=0, weights=None, instructions=None):
        """weights: the file of weights, where it is not beside the library; threads: 0 is one for each processor."""
        self._library = ctypes.CDLL(str(library))
        pointer, number = ctypes.c_void_p, ctypes.c_int
        for what, result, *arguments in (
            ("open", pointer, pointer),
            ("free", None, pointer),
            ("status", number, pointer),
            ("message", ctypes.c_char_p, pointer),
            ("instructions", ctypes.c_char_p, pointer),
            ("run", number, *[pointer] * 6),
            ("inputs", number),
            ("outputs", number),
            ("input", ctypes.POINTER(_Tensor), number),
            ("output", ctypes.POINTER(_Tensor), number),
        ):
            function = getattr(self._library, "{name}_" + what)
            function.restype, function.argtypes = result, arguments
            setattr(self, "_" + what, function)
        encoded = [None if text is None else str(text).encode() for text in (weights, instructions)]
        self._context = self._open(ctypes.byref(_Options(device, threads, *encoded)))
        if self._status(self._context):
            message = self._message(self._context).decode()
            self.close()
            raise RuntimeError(message)
        self.inputs = [self._input(i).contents for i in range(self._inputs())]
        self.outputs = [self._output(i).contents for i in range(self._outputs())]
        self.instructions = self._instructions(self._context).decode()

    def __call__(self, *arrays):
        """Arrays in the order of the header; a list of new ones."""
        if len(arrays) != len(self.inputs):
            raise TypeError(f"{{len(self.inputs)}} arrays, not {{len(arrays)}}")
        given, batch = [], 1
        for array, tensor in zip(arrays, self.inputs):
            shape = list(tensor.dims[: tensor.rank])
            array = np.ascontiguousarray(array)
            if shape[:1] == [-1] and array.ndim:
                shape[0] = batch = len(array)
            if list(array.shape) != shape or array.dtype != DTYPES[tensor.dtype]:
                wanted = f"{{np.dtype(DTYPES[tensor.dtype])}} {{shape}}"
                raise ValueError(f"{{tensor.name.decode()}} is {{array.dtype}} {{list(array.shape)}}, not {{wanted}}")
            given.append(array)
        made = []
        for tensor in self.outputs:
            shape = [batch if size == -1 else size for size in tensor.dims[: tensor.rank]]
            made.append(np.empty(shape, DTYPES[tensor.dtype]))
        if self._run(self._context, (ctypes.c_int64 * 1)(batch), *self._list(given), *self._list(made)):
            raise RuntimeError(self._message(self._context).decode())
        return made

    @staticmethod
    def _list(arrays):
        """Addresses and bytes of arrays, for C."""
        addresses = (ctypes.c_void_p * max(1, len(arrays)))(*(array.ctypes.data for array in arrays))
        return addresses, (ctypes.c_int64 * max(1, len(arrays)))(*(array.nbytes for array in arrays))

    def close(self):
        """Give back the memory."""
        if getattr(self, "_context", None):
            self._free(self._context)
            self._context = None

    __del__ = close


if __name__ == "__main__":
    network = Network()
    zeros = [
        np.zeros([1 if size == -1 else size for size in tensor.dims[: tensor.rank]], DTYPES[tensor.dtype])
        for tensor in network.inputs
    ]
    print("on zeros, with the instructions", network.instructions)
    for tensor, array in zip(network.outputs, network(*zeros)):
        print(tensor.name.decode(), array.dtype, array.shape, array.reshape(-1)[:5])
'''
