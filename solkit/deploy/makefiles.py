"""How the sources of a deployed network are built by others: a Makefile and a CMakeLists.txt."""

from collections.abc import Sequence

from solkit.deploy.devices import Level, device
from solkit.toolchain import FLAGS

# On a Vector Engine's host: LLVM compiles for it, NEC's compiler links.
_TOOLS = {
    device.x86: "CC ?= gcc\nLINK = $(CC)\nAR ?= ar\n",
    device.arm64: (
        "# On another machine: make CC=aarch64-linux-gnu-gcc AR=aarch64-linux-gnu-ar\n"
        "CC ?= gcc\nLINK = $(CC)\nAR ?= ar\n"
    ),
    device.ve: (
        "CC = /opt/nec/nosupport/llvm-ve/bin/clang -target ve-linux\nLINK = /opt/nec/ve/bin/ncc\n"
        "AR = /opt/nec/ve/bin/nar\n"
    ),
}
LIBRARIES = "-lpthread -lm -ldl"


def _flags(level: Level) -> str:
    return " ".join([*level.target.flags, f"-DSOL_LEVEL={level.mark}"])


def example_makefile(files: str, where: device, library: str) -> str:
    """Makefile beside a library: it builds the example."""
    return f"""# Builds the example against the library: make, then ./example
{_TOOLS[where]}CFLAGS ?= -O2 -Wall -Wextra

example: example.c {files}.h {library}
\t$(CC) $(CFLAGS) -c example.c -o example.o
\t$(LINK) example.o {library} {LIBRARIES} {"-Wl,-rpath,'$$ORIGIN' " if library.endswith(".so") else ""}-o $@

clean:
\trm -f example example.o

.PHONY: clean
"""


def _kernels(level: Level, sources: Sequence[tuple[str, Level | None]]) -> list[str]:
    """The kernels that are compiled for a level, without what comes behind the dot."""
    return [file.removesuffix(".c") for file, of in sources if of is level and file.startswith("kernels/")]


def makefile(files: str, where: device, levels: Sequence[Level], sources: Sequence[tuple[str, Level | None]]) -> str:
    """Makefile of the sources.

    Args:
        sources: each a file and the level it is compiled for; None: for any processor.
    """
    common = [file for file, level in sources if level is None]
    lines = [f"# Builds lib{files}.so, lib{files}.a and the example: make -j", _TOOLS[where].rstrip()]
    lines += [f"FLAGS = {' '.join(FLAGS)} -fPIC -fvisibility=hidden -I. -Iruntime", ""]
    objects = [f"build/{file.rpartition('.')[0]}.o" for file in common]
    for level in levels:
        lines.append(f"FLAGS_{level.mark} = {_flags(level)}")
        lines.append(f"KERNELS_{level.mark} = runtime/clusters \\")
        lines += [f"    {name} \\" for name in _kernels(level, sources)]
        lines.append("")
        objects.append(f"$(KERNELS_{level.mark}:%=build/{level.mark}/%.o)")
    lines += [f"OBJECTS = {' '.join(objects)}", "", f"all: lib{files}.so lib{files}.a example", ""]
    lines += [f"lib{files}.so: $(OBJECTS)", f"\t$(LINK) -shared -Wl,-soname,$@ -o $@ $^ {LIBRARIES}", ""]
    lines += [f"lib{files}.a: $(OBJECTS)", "\trm -f $@", "\t$(AR) rcs $@ $^", ""]
    lines += [f"example: build/example.o lib{files}.a", f"\t$(LINK) -o $@ $^ {LIBRARIES}", ""]
    lines += ["build/example.o: example.c", "\t@mkdir -p $(@D)", "\t$(CC) -O2 -Wall -Wextra -c $< -o $@", ""]
    for file in common:
        weights = f" {files}.weights" if file == "runtime/weights.S" else ""
        base = f"$(FLAGS) $(FLAGS_{levels[-1].mark})"
        lines += [f"build/{file.rpartition('.')[0]}.o: {file}{weights}", "\t@mkdir -p $(@D)"]
        lines += [f"\t$(CC) {base} -c $< -o $@", ""]
    for level in levels:
        lines += [f"build/{level.mark}/%.o: %.c", "\t@mkdir -p $(@D)"]
        lines += [f"\t$(CC) $(FLAGS) $(FLAGS_{level.mark}) -c $< -o $@", ""]
    lines += ["clean:", f"\trm -rf build lib{files}.so lib{files}.a example", "", ".PHONY: all clean", ""]
    return "\n".join(lines)


def cmake(files: str, levels: Sequence[Level], sources: Sequence[tuple[str, Level | None]]) -> str:
    """CMakeLists.txt of the sources."""
    common = " ".join(file for file, level in sources if level is None)
    flags = " ".join(flag for flag in FLAGS if flag != "-std=gnu11")
    lines = [
        "cmake_minimum_required(VERSION 3.16)",
        f"project({files} C ASM)",
        "set(CMAKE_C_STANDARD 11)",
        "set(CMAKE_C_VISIBILITY_PRESET hidden)",
        "set(CMAKE_POSITION_INDEPENDENT_CODE ON)",
        "include_directories(${CMAKE_CURRENT_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR}/runtime)",
        f"add_compile_options({flags})",
        "find_package(Threads REQUIRED)",
        "",
    ]
    objects = []
    for level in levels:
        lines.append(f"add_library({level.mark} OBJECT runtime/clusters.c")
        lines += [f"    {name}.c" for name in _kernels(level, sources)]
        lines[-1] += ")"
        lines.append(f"target_compile_options({level.mark} PRIVATE {_flags(level)})")
        objects.append(f"$<TARGET_OBJECTS:{level.mark}>")
    lines += ["", f"add_library({files} {common} {' '.join(objects)})"]
    lines.append(f"target_compile_options({files} PRIVATE {_flags(levels[-1])})")
    if "runtime/weights.S" in common:
        lines.append("set_source_files_properties(runtime/weights.S PROPERTIES OBJECT_DEPENDS")
        lines.append(f'    "${{CMAKE_CURRENT_SOURCE_DIR}}/{files}.weights")')
    lines.append(f"target_include_directories({files} INTERFACE ${{CMAKE_CURRENT_SOURCE_DIR}})")
    lines.append(f"target_link_libraries({files} Threads::Threads m ${{CMAKE_DL_LIBS}})")
    lines += ["", "add_executable(example example.c)", f"target_link_libraries(example {files})", ""]
    return "\n".join(lines)
