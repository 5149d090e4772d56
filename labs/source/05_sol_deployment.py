# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Lab 05: Deployment: the network as a library
#
# A network that is trained is to be *used*: in a camera, in a simulation, in a web server. None of these wants Python
# and a framework of several hundred megabytes. What they want is a library with a header, like any other. In this lab
# you make one of a network that you have trained, write a C program around it, and make the same library for machines
# that you do not have.
#
# **You will be able to** deploy a network, call it from C and from Python, read its error codes, and choose what to
# deploy for which machine.
#
# **You need** Python, a little PyTorch, and to have seen lab 01. C you will write three lines of, with help.
#
# | section | time | |
# |:---|:---|:---|
# | 1. A network that reads digits | 3 min | core |
# | 2. Deploy it | 4 min | core |
# | 3. The generated C | 4 min | core |
# | 4. A program without Python | 3 min | core |
# | 5. Exercise 05-1: the missing lines | 8 min | core |
# | 6. The library in Python | 4 min | core |
# | 7. Exercise 05-3: an array that is too short | 4 min | core |
# | 8. Exercise 05-2: where are the bytes? | 5 min | core |
# | 9. One library, three sets of instructions | 3 min | optional |
# | 10. For another machine | 4 min | optional |
# | 11. Exercise 05-4: which target for whom? | 5 min | optional |
# | 12. How large, how soon? | 2 min | core |
# | 13. What you have seen | 2 min | core |
#
# The core is about 40 minutes. Run the cells from top to bottom, with <kbd>Shift</kbd>+<kbd>Enter</kbd>.

# %% tags=["parameters"]
runs = 100  # calls that are timed, in each block
epochs = 4  # of training
seed = 0  # of all random numbers

# %% [markdown]
# ## 1. A network that reads digits
#
# scikit-learn brings 1797 handwritten digits along, of 8 x 8 pixels. A small network learns them in a few seconds, so
# that what we deploy does something. The last 297 digits are kept for later.

# %%
import torch
from sklearn.datasets import load_digits
from torch import nn

from labs.pictures import lab05

torch.manual_seed(seed)
torch.set_num_threads(1)  # the network is small: a second thread would only be waited for
pixels, classes = load_digits(return_X_y=True)
images = torch.tensor(pixels / 16, dtype=torch.float32).reshape(-1, 1, 8, 8)  # from 0 to 1
labels = torch.tensor(classes)
lab05.digits(images[1500:1512].numpy(), labels[1500:1512])

# %%
model = nn.Sequential(
    nn.Conv2d(1, 16, 3, padding=1),
    nn.ReLU(),
    nn.Conv2d(16, 32, 3, padding=1),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Flatten(),
    nn.Linear(512, 10),
)
optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
for _ in range(epochs):
    for batch in torch.randperm(1500).split(50):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images[batch]), labels[batch]).backward()
        optimizer.step()

model.eval()
with torch.no_grad():
    right = (model(images[1500:]).argmax(1) == labels[1500:]).float().mean()
print(f"{right:.0%} of the digits that it has not seen")

# %% [markdown]
# ## 2. Deploy it
#
# One call. It takes the model, an example of its input, and the names that the library and its function shall have.

# %%
import tempfile
from pathlib import Path

import solkit as sol

sol.config["autotuning"] = "off"  # take the likely best, unmeasured: it goes faster
own = tempfile.TemporaryDirectory(prefix="lab05-")  # gone when the kernel ends
room = Path(own.name)
x = images[1500:1501]
names = {"lib_name": "digits", "func_name": "digits"}
folder = sol.deploy(model, [x], **names, path=room / "digits", device=lab05.here())
lab05.folder(folder)

# %% [markdown]
# **Look at the size of the library.** It has the whole network in it: the code, and the weights. Before the folder was
# handed out, the library was compared with PyTorch. Here is the part of the header that matters:

# %%
from labs import show

header = (folder / "digits.h").read_text()
show.code(header, first="A context, to be given to", last="digits_message(")

# %%
show.code(header, first="For programs written for SOL", last="digits(digits_context")

# %% [markdown]
# **This is how it is used.**
#
# - `digits_init` makes a *context*: the memory and the threads of a call. Its argument is the number of the device.
# - `digits` is the network. Arrays go in and come out; it returns a code, 0 if all went well.
# - `digits_free` gives the context back.
# - `digits_seed` is there for networks that draw random numbers. A trained one draws none.
#
# `init`, `seed` and the network's own function are the three that SOL's deployment had in 2020. `free` and the
# messages are younger.

# %% [markdown]
# ## 3. The generated C
#
# What is in the library? The target `source` gives the C text in place of a compiled library.

# %%
target = sol.deployment.source
text = sol.deploy(model, [x], **names, path=room / "text", device=lab05.here(), target=target)
for file in sorted(text.glob("kernels/*.c")):
    print(f"{file.name}: {len(file.read_text().splitlines())} lines")

# %% [markdown]
# A file for each cluster, as in lab 01. Where the machine matters, there is one for each set of instructions. Each
# begins with a comment that says what it does, and in which memory:

# %%
kernel = sorted(text.glob("kernels/layer0_*.c"))[0]
show.code(kernel.read_text(), first="cluster", last="*/")

# %% [markdown]
# **Look at the end of each line.** `b` are the arrays that the function works on. The input has a *halo*, a rim of
# zeros, so that the convolution need not ask where the image ends. The weights lie in *panels*, in the order in which
# the loop reads them. The result lies in blocks of channels (NCHWc), as wide as a vector.

# %% [markdown]
# ## 4. A program without Python
#
# `example.c` in the folder is a whole program. We compile it, and put the program and the library into an empty
# folder. There it runs without any setting of this process, and without Python.

# %%
lab05.build_example(folder, room / "elsewhere")
print(*sorted(file.name for file in (room / "elsewhere").iterdir()))
print(lab05.run_example(room / "elsewhere"))

# %% [markdown]
# It has called the network on a ramp of numbers, said which instructions it used, and how long a call takes. (It takes
# a thread for each processor. On a busy machine they wait for each other, and a network as small as this one is then a
# thousand times slower than on one thread: `digits_open` takes their number.) Now give it a digit, as a file of 64
# floats, and compare with what solkit computes in Python.

# %%
import numpy as np

digit = x.numpy()
digit.tofile(room / "elsewhere" / "input.bin")
lab05.run_example(room / "elsewhere", "input.bin")
from_c = np.fromfile(room / "elsewhere" / "output.out", np.float32)

sol_model = sol.optimize(model, x)
with torch.no_grad():
    from_python = sol_model(x).numpy()[0]
print("C program:   ", from_c[:5])
print("sol.optimize:", from_python[:5])
print("largest difference:", np.abs(from_c - from_python).max())

# %% [markdown]
# Both are made by the same generator from the same graph, so they agree, to the last bit or nearly so.

# %% [markdown]
# ## 5. Exercise 05-1: the missing lines (core, 8 min)
#
# Here is a program that reads images of 64 floats and prints the digit in each. The lines that call the network are
# missing.

# %%
show.code(lab05.PROGRAM.replace("%s", "/* YOUR LINES */").replace("%%", "%"))

# %% [markdown]
# **Write these lines in C**: make a context, call the network with `image` and `scores`, give the context back. The
# header of section 2 has the names. (To make a context for each image is slow, and right. You may do better.)

# %% tags=["exercise", "ex-05-1"]
lines = ...

# %% tags=["solution", "ex-05-1"]
lines = """
digits_context *context = digits_init(0);  /* memory and threads for the calls */
digits(context, image, scores);            /* the context first, then input and output */
digits_free(context);                      /* what was made is given back */
"""

# %%
from labs import lab

program = lab05.program(lines, folder)  # compiles it
ex = lab.exercise("05-1")
ex.check(program)

# %%
# ex.hint()
# ex.solution()

# %% [markdown]
# ## 6. The library in Python
#
# Whatever can call C can call the library: C++, Fortran, Rust, Java. Python does it with `ctypes`, which is a part of
# it. Four functions:

# %%
import ctypes

library = ctypes.CDLL(str(folder / "libdigits.so"))
library.digits_init.restype = ctypes.c_void_p  # an address
library.digits_message.restype = ctypes.c_char_p
address = np.ctypeslib.ndpointer(np.float32)
library.digits.argtypes = [ctypes.c_void_p, address, address]
context = ctypes.c_void_p(library.digits_init(0))


def predict(image):
    scores = np.empty(10, np.float32)
    code = library.digits(context, np.ascontiguousarray(image), scores)
    assert code == 0, library.digits_message(context)
    return scores


predict(digit)

# %% [markdown]
# Choose a digit, and see what the library says. (If you see no slider, your viewer cannot show it; the first digit is
# shown below it again.)

# %%
import ipywidgets

from labs.widgets import Slider


def answer(number):
    image = images[1500 + number].numpy()
    return lab05.verdict(image, predict(image), labels[1500 + number])


slider = Slider("digit", 0, 0, 296)
shown = ipywidgets.HTML()
ipywidgets.dlink((slider, "value"), (shown, "value"), answer)
ipywidgets.VBox([slider, shown])

# %%
from IPython.display import HTML

HTML(answer(0))

# %% [markdown]
# Is there anything that it gets wrong? Look for it: about one digit in twenty is a hard one. The bars say how sure the
# network is.

# %% [markdown]
# ## 7. Exercise 05-3: an array that is too short (core, 4 min)
#
# C does not know how long an array is. So beside `digits` there is `digits_run`, which is told how many bytes each
# array has, and compares. `call` calls it with the number that you give.


# %%
def call(image_bytes):
    """The code that digits_run returns if it is told that the image has so many bytes."""
    scores = np.empty(10, np.float32)
    given, made = ((ctypes.c_void_p * 1)(array.ctypes.data) for array in (digit, scores))
    sizes = [(ctypes.c_int64 * 1)(size) for size in (image_bytes, scores.nbytes)]
    return library.digits_run(context, None, given, sizes[0], made, sizes[1])


call(digit.nbytes)

# %% [markdown]
# 256 bytes are right, and 0 means that all went well. **Which code comes back when the image is a byte too short?**
# Answer with the number, or with its name in the header:

# %%
show.code(header, first="What functions return", last="digits_code;")

# %% tags=["exercise", "ex-05-3"]
code = ...

# %% tags=["solution", "ex-05-3"]
code = call(255)  # 2, which the header calls digits_WRONG_SIZE

# %%
ex = lab.exercise("05-3")
ex.check(code)

# %%
# ex.hint()
# ex.solution()

# %% [markdown]
# The code is for the program. For people there is a message:

# %%
call(255)
print(library.digits_message(context).decode())

# %% [markdown]
# When you are done, `library.digits_free(context)` gives the context back. Here we keep it, because the slider above
# needs it: to call the network with a context that is gone would end the kernel. That is C, too.

# %% [markdown]
# ## 8. Exercise 05-2: where are the bytes? (core, 5 min)
#
# The weights may be a part of the library, as above, or a file beside it. A file can be shared by several programs, and
# it is mapped into memory, not read: what is not used is not loaded.

# %%
where = room / "beside"
beside = sol.deploy(model, [x], **names, path=where, device=lab05.here(), weights="file")
parameters = sum(parameter.nbytes for parameter in model.parameters())
print(f"{parameters:6} bytes of parameters has the model in PyTorch")
print(f"{lab05.weights_of(beside):6} bytes of weights has the library, says manifest.json")
print(f"{(beside / 'digits.weights').stat().st_size:6} bytes has the file digits.weights")
print(f"{(beside / 'libdigits.so').stat().st_size:6} bytes has the library beside that file")
print(f"{(folder / 'libdigits.so').stat().st_size:6} bytes has the library with its weights in it")

# %% [markdown]
# Three numbers that might be one. **By how many bytes is the file larger than the weights in it, and why? And why are
# the weights larger than the parameters?** Answer with a number and two letters, as in `(1000, "a", "c")`:
#
# - (a) There is one copy of the weights for each set of instructions.
# - (b) They are stored as the loops read them: filled up to whole vectors, as the last layer's 10 outputs to 16, and
#   some transformed beforehand, which takes more room.
# - (c) The biases are stored twice.
# - (d) In front there is a header, which says which network these are the weights of, and a checksum.
# - (e) They are compressed, and small files do not compress well.

# %% tags=["exercise", "ex-05-2"]
bytes_of_weights = ...

# %% tags=["solution", "ex-05-2"]
header_bytes = (beside / "digits.weights").stat().st_size - lab05.weights_of(beside)  # 64
bytes_of_weights = (header_bytes, "d", "b")  # 512 x 10 weights take the room of 512 x 16

# %%
ex = lab.exercise("05-2")
ex.check(bytes_of_weights)

# %%
# ex.hint()
# ex.solution()

# %% [markdown]
# ## 9. One library, three sets of instructions (optional)
#
# Not every x86 processor knows AVX-512. The library has its kernels three times, and its weights once: all three read
# them in one layout. When a context is opened, the best that the processor has is chosen. You can ask for less, with
# `digits_open`; `example.py`, which is in the folder as well, does that for us.

# %%
scope = {"__name__": "example", "__file__": str(folder / "example.py")}
exec((folder / "example.py").read_text(), scope)
networks = {}
for level in lab05.levels_of(folder):
    try:
        networks[level] = scope["Network"](instructions=level, threads=1)
    except RuntimeError as error:
        print(f"{level}: {error}")

calls = {name: lambda n=network: n(digit) for name, network in networks.items()}
milliseconds = show.times(calls, runs)
lab05.levels(milliseconds)

# %% [markdown]
# (v4 stands for AVX-512, with 16 floats in a register; v3 for AVX2, with 8; the last for SSE2, with 4, which every
# 64-bit x86 has.) **Do not expect 16 to 8 to 4**: in a network as small as this one, much of the time goes into the
# call itself and into half-empty vectors. Here the widest is not always the fastest.

# %% [markdown]
# ## 10. For another machine (optional)
#
# The compiler in the `ziglang` package makes code for arm64 and for the Vector Engine, too. What comes out does not
# run here. But we can ask it what it is: machine code lies in files in a format called ELF, and these say in bytes 18
# and 19 which machine they are for.

# %%
MACHINES = {62: "x86-64", 183: "arm64", 251: "NEC Vector Engine"}  # given out for all of ELF
target = sol.deployment.static_lib
for device in (sol.device.arm64, sol.device.ve):
    made = sol.deploy(model, [x], **names, path=room / device.name, device=device, target=target)
    archive = (made / "libdigits.a").read_bytes()
    start = archive.index(b"\x7fELF")  # of the first object in the archive
    machine = int.from_bytes(archive[start + 18 : start + 20], "little")
    print(f"{device.value}: objects for machine {machine}, {MACHINES[machine]};", end=" ")
    print(f"{lab05.weights_of(made)} bytes of weights")

# %% [markdown]
# **Compare the bytes of weights.** A vector of the Vector Engine has 256 floats. The ten outputs of the last layer, the
# 16 and the 32 channels of the convolutions are all stored as 256. A network of its size is not what that machine was
# made for.
#
# **Shipped result:** all networks of the project's tests were run deployed for arm64, under an emulator (qemu), and
# agree with PyTorch to 1e-5. For the Vector Engine the objects are checked: their machine, their symbols, and that
# heavy functions are vector code. They have not been run on a card.

# %% [markdown]
# ## 11. Exercise 05-4: which target for whom? (optional, 5 min)
#
# `target` is one of `sol.deployment.shared_lib`, `.static_lib` and `.source`; `device` is one of `sol.device.x86`,
# `.arm64` and `.ve`. **What do you deploy for these four?**
#
# - `server`: a web server on x86 machines loads the network when it is asked for, and another one tomorrow.
# - `camera`: its arm64 processor runs one program, and the program has to be a single file.
# - `aurora`: a program on the Vector Engine. You cannot link for it, but those who have the machine can.
# - `distribution`: a Linux distribution for x86 builds all that it ships itself, with its own flags.

# %% tags=["exercise", "ex-05-4"]
choices = {
    "server": ...,  # (target, device)
    "camera": ...,
    "aurora": ...,
    "distribution": ...,
}

# %% tags=["solution", "ex-05-4"]
choices = {
    "server": (sol.deployment.shared_lib, sol.device.x86),  # loaded while the program runs
    "camera": (sol.deployment.static_lib, sol.device.arm64),  # a part of the program
    "aurora": (sol.deployment.static_lib, sol.device.ve),  # objects, for NEC's linker
    "distribution": (sol.deployment.source, sol.device.x86),  # C text and a Makefile
}

# %%
ex = lab.exercise("05-4")
ex.check(choices)

# %%
# ex.hint()
# ex.solution()

# %% [markdown]
# ## 12. How large, how soon?
#
# Is it worth it, when every framework has a C++ library, too? Here is MobileNet v2 in a new process, up to its first
# result.

# %%
lab05.starts()

# %% [markdown]
# **Look at the scale**: from one mark to the next it is ten times more. What a deployed network does not need, it does
# not bring along: it knows one network. The others know all.

# %% [markdown]
# ## 13. What you have seen
#
# - A deployed network is a library and a header. It needs the C library and threads, nothing else.
# - The same generator writes the code for Python and for the library, so both give the same results.
# - A context holds what a call needs. Every function returns a code; `digits_run` checks sizes, which C cannot.
# - Weights lie as the loops read them, filled up to whole vectors. One copy serves three sets of instructions.
# - For other machines the same C text goes through another compiler.
#
# **How it was in 2020.** `sol.deploy(model, [input], target=sol.deployment.shared_lib, device=sol.device.ve,
# lib_name="MyNetwork", func_name="predict")` stood on the slides. The header had `predict_init`, `predict_seed` and
# `predict`. A program on the host called them, and the network ran on the card. Its users later wished for errors that
# say something, and to be able to deploy a model that was optimized already. Both work here.
#
# **Further reading.** `README.md` in the deployed folder; `man ld.so` for how a program finds its libraries;
# `kernels/compute/network.h` for what a context is; the ELF format is described in `man elf`.
