"""The public header of a deployed network, and what its functions are called with."""

from collections.abc import Sequence

import torch

from solkit.deploy.network import Tensor

# Dtypes in the order of the enumeration in the header, and of sol_item_bytes in network.h, with their type in C.
DTYPES = {
    torch.float32: ("FLOAT32", "float"),
    torch.float64: ("FLOAT64", "double"),
    torch.float16: ("FLOAT16", "uint16_t"),
    torch.bfloat16: ("BFLOAT16", "uint16_t"),
    torch.int8: ("INT8", "int8_t"),
    torch.int16: ("INT16", "int16_t"),
    torch.int32: ("INT32", "int32_t"),
    torch.int64: ("INT64", "int64_t"),
    torch.uint8: ("UINT8", "uint8_t"),
    torch.bool: ("BOOL", "uint8_t"),
}


def arguments(inputs: Sequence[Tensor], outputs: Sequence[Tensor], batch: bool) -> str:
    """Arguments of the network's function behind the context, in C."""
    made = ["int64_t batch"] if batch else []
    made += [f"const {DTYPES[tensor.dtype][1]} *{tensor.name}" for tensor in inputs]
    made += [f"{DTYPES[tensor.dtype][1]} *{tensor.name}" for tensor in outputs]
    return ", ".join(made)


def shape_text(tensor: Tensor) -> str:
    """`float32 [batch, 3, 224, 224]`."""
    sizes = ["batch" if tensor.batched and d == 0 else str(size) for d, size in enumerate(tensor.shape)]
    return f"{str(tensor.dtype).removeprefix('torch.')} [{', '.join(sizes)}]"


def header(name: str, about: str, inputs: Sequence[Tensor], outputs: Sequence[Tensor], batch: bool) -> str:
    """The text of the header.

    Args:
        name: of the network's function, in front of all others.
        about: one line that says what the network is.
        batch: whether the function takes the number of samples.
    """
    roles = [f" *   {t.name}: {shape_text(t)}, {role}" for role, ts in (("in", inputs), ("out", outputs)) for t in ts]
    samples = " `batch` is the number of samples, from 1 on." if batch else ""
    guard = f"{name.upper()}_H"
    kinds = "\n".join(
        f"    {name}_{kind}," + (" /* its 16 bits */" if "16" in kind and c == "uint16_t" else "")
        for kind, c in DTYPES.values()
    )
    sizes = "`sizes` is NULL, as no dimension varies"
    if batch:
        sizes = "`sizes` points at one number, the samples of the batch"
    return f"""/* {about}
 *
 * Arrays are dense and row-major, and lie where numbers of their type may; outputs overlap nothing.
 */
#ifndef {guard}
#define {guard}

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {{
#endif

#if defined(__GNUC__)
#define {name}_API __attribute__((visibility("default")))
#else
#define {name}_API
#endif

/* What functions return. {name}_message says more. */
typedef enum {{
    {name}_OK = 0,
    {name}_NULL_POINTER,  /* an array or the context is NULL */
    {name}_WRONG_SIZE,    /* an array of other bytes, or a batch below 1 */
    {name}_WRONG_DEVICE,  /* no such device, or a processor without the instructions asked for */
    {name}_NO_MEMORY,
    {name}_NO_WEIGHTS,    /* the file of weights cannot be opened */
    {name}_WRONG_WEIGHTS, /* it is damaged, or that of another network */
    {name}_WRONG_VALUE    /* an index that does not exist, or a whole number divided by zero */
}} {name}_code;

typedef enum {{
{kinds}
}} {name}_dtype;

/* An input or output. A size that varies is -1. */
typedef struct {{
    const char *name;
    {name}_dtype dtype;
    int rank;
    int64_t dims[8];
}} {name}_tensor;

/* How a context is opened. All zeros is what {name}_init does. */
typedef struct {{
    int device;               /* 0: the processors this is called on */
    int threads;              /* 0: one for each processor that this process may use */
    const char *weights;      /* the file of weights; NULL: the one beside the library */
    const char *instructions; /* NULL: the best that the processor has */
}} {name}_options;

/* Everything that a call needs. Contexts share nothing and may be used at the same time; calls of one wait for each
 * other. */
typedef struct {name}_context {name}_context;

/* A context, to be given to {name}_free; NULL if there is no memory for one. Whether it can be used, {name}_status
 * says: {name}_OK, or what is wrong. */
{name}_API {name}_context *{name}_init(int device);
{name}_API {name}_context *{name}_open(const {name}_options *options);
{name}_API void {name}_free({name}_context *context);

/* The code of the last call, and what it was about; an empty text if it went well. */
{name}_API int {name}_status(const {name}_context *context);
{name}_API const char *{name}_message(const {name}_context *context);

/* The instructions in use. */
{name}_API const char *{name}_instructions(const {name}_context *context);

/* For programs written for SOL. No deployed network draws random numbers. */
{name}_API int {name}_seed({name}_context *context, uint64_t seed);

/* The network.{samples}
{chr(10).join(roles)}
 */
{name}_API int {name}({name}_context *context, {arguments(inputs, outputs, batch)});

/* The same for arrays of arrays, in the same order, with their bytes, which are checked. {sizes}. */
{name}_API int {name}_run({name}_context *context, const int64_t *sizes, const void *const *inputs,
    const int64_t *input_bytes, void *const *outputs, const int64_t *output_bytes);

/* Inputs and outputs: how many, which (NULL if there is none of that number), and how many bytes one has (-1 if there
 * is none, or not for these sizes). */
{name}_API int {name}_inputs(void);
{name}_API int {name}_outputs(void);
{name}_API const {name}_tensor *{name}_input(int index);
{name}_API const {name}_tensor *{name}_output(int index);
{name}_API int64_t {name}_input_bytes(int index, const int64_t *sizes);
{name}_API int64_t {name}_output_bytes(int index, const int64_t *sizes);

#ifdef __cplusplus
}}
#endif

#endif
"""
