"""Which C compiler is taken, and what is said when it does not do its work."""

import ctypes
import os
import shutil

import pytest

import solkit as sol
from solkit import toolchain
from solkit.target import host
from solkit.toolchain import build_library, emit_assembly, find_compiler

SOURCES = {"one.c": "int one(void) { return 1; }\n", "two.c": "int one(void);\nint two(void) { return one() + 1; }\n"}
VERSION = 'case "$*" in *--version) echo "fake {name} 1.2"; exit 0;; esac\n'


@pytest.fixture
def fake(tmp_path):
    """A function: fake("gcc", "exit 1") makes a compiler that knows its version and else runs this shell text."""

    def make(name, text, version=VERSION):
        path = tmp_path / name
        path.write_text("#!/bin/sh\n" + version.format(name=name) + text + "\n")
        path.chmod(0o755)
        return str(path)

    return make


@pytest.fixture
def only(tmp_path, monkeypatch):
    """A function: only("gcc", zig=False) leaves no other compilers."""

    def leave(*names, zig=True):
        monkeypatch.delenv("CC", raising=False)
        monkeypatch.setenv("PATH", str(tmp_path))
        if not zig:
            monkeypatch.setattr(toolchain, "_zig", lambda: None)
        toolchain._candidates.cache_clear()

    yield leave
    toolchain._candidates.cache_clear()


@pytest.fixture
def real():
    """The command of a compiler that works."""
    return " ".join(find_compiler().command)


def load(folder):
    return ctypes.CDLL(str(folder / "made.so"))


# -- which one --------------------------------------------------------------------------------------------------------


def test_the_setting_comes_before_the_variable(fake, settings, monkeypatch):
    monkeypatch.setenv("CC", fake("mine", ""))
    assert find_compiler().description == "fake mine 1.2"
    settings["compiler::name"] = fake("other", "") + " -m64 '-DNAME=\"a b\"'"
    assert find_compiler().command[1:] == ("-m64", '-DNAME="a b"')
    assert find_compiler().description == "fake other 1.2"


@pytest.mark.parametrize("blank", ["", "  "])
def test_an_empty_variable_says_nothing(monkeypatch, blank):
    monkeypatch.setenv("CC", blank)
    assert find_compiler().command


@pytest.mark.parametrize(
    ("version", "family"),
    [("Debian clang version 14", "clang"), ("gcc (GCC) 13.1", "gcc"), ("Apple clang 15", "clang"), ("", "gcc")],
)
def test_families(fake, settings, version, family):
    settings["compiler::name"] = fake("cc", f"echo '{version}'", version="")
    assert find_compiler().family == family


def test_gcc_then_clang_then_zig(fake, only):
    only()
    assert find_compiler().family == "zig"
    fake("clang", "")
    only()
    assert find_compiler().description == "fake clang 1.2"
    fake("gcc", "")
    only()
    assert [compiler.description for compiler in toolchain._candidates(None, os.environ["PATH"])][:2] == [
        "fake gcc 1.2",
        "fake clang 1.2",
    ]


def test_no_compiler_at_all(only):
    only(zig=False)
    with pytest.raises(sol.ToolchainError, match=r"there is no C compiler: .* pip install ziglang"):
        find_compiler()
    with pytest.raises(sol.ToolchainError, match="pip install ziglang"):
        toolchain.cross_compiler()


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("/nowhere/gcc", r"'/nowhere/gcc' \(from \$CC or .*does not start"),
        ("no-such-compiler -O3", "does not start"),
        ('gcc "', "is no command line: No closing quotation"),
        ("/", "does not start"),
        (os.devnull, "does not start"),
    ],
)
def test_a_compiler_that_does_not_start_is_an_error_even_if_there_are_others(monkeypatch, command, message):
    monkeypatch.setenv("CC", command)
    with pytest.raises(sol.ToolchainError, match=message):
        find_compiler()


@pytest.mark.parametrize("text", ["exit 3", "kill -9 $$"])
def test_a_compiler_that_does_not_know_its_version_is_none(fake, monkeypatch, text):
    monkeypatch.setenv("CC", fake("cc", text, version=""))
    with pytest.raises(sol.ToolchainError, match="does not start"):
        find_compiler()


# -- what it does -----------------------------------------------------------------------------------------------------


def test_building(tmp_path, real, monkeypatch, fake):
    monkeypatch.setenv("CC", fake("wrapper", f'exec {real} "$@"'))
    compiler = build_library(SOURCES, tmp_path / "made.so")
    assert compiler.description == "fake wrapper 1.2"
    assert load(tmp_path).two() == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made.so", "one.c", "two.c", "wrapper"]


def test_errors_show_the_command_and_what_it_said(tmp_path):
    with pytest.raises(sol.ToolchainError, match=r"(?s)failed \(.*one\.c.*\):.*error.*Set \$CC to"):
        build_library({"one.c": "int one(void) { return nothing; }\n"}, tmp_path / "made.so")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("echo no room left >&2; exit 4", "no room left"),
        ("echo said on the other channel; exit 1", "said on the other channel"),
        ("kill -9 $$", "failed"),
        ("exit 0", "says nothing and makes nothing"),
        ("rm -f $0; exit 1", "failed|cannot start"),
    ],
    ids=["fails", "fails on stdout", "is killed", "does nothing", "goes away"],
)
def test_a_compiler_that_does_not_compile(tmp_path, fake, monkeypatch, text, message):
    monkeypatch.setenv("CC", fake("cc", text))
    with pytest.raises(sol.ToolchainError, match=message):
        build_library(SOURCES, tmp_path / "made.so")


def test_a_compiler_that_never_ends(tmp_path, fake, monkeypatch):
    monkeypatch.setenv("CC", fake("cc", "exec sleep 60"))
    monkeypatch.setattr(toolchain, "TIMEOUT", 0.2)
    with pytest.raises(sol.ToolchainError, match=r"took over 0\.2 s"):
        build_library(SOURCES, tmp_path / "made.so")


def test_after_a_failure_the_rest_is_not_compiled(tmp_path, fake, monkeypatch):
    monkeypatch.setenv("CC", fake("cc", f"echo >> {tmp_path}/calls; exit 1"))
    monkeypatch.setattr(toolchain.os, "cpu_count", lambda: 1)
    with pytest.raises(sol.ToolchainError):
        build_library({f"{index}.c": "" for index in range(50)}, tmp_path / "made.so")
    assert len((tmp_path / "calls").read_text()) < 5


def test_a_compiler_found_by_itself_that_cannot_link_is_passed_over(tmp_path, real, fake, only, caplog):
    """A gcc without the headers of the C library, say. One that was asked for by name is not replaced."""
    fake("gcc", "exit 1")
    fake("clang", f'PATH={os.environ["PATH"]} exec {real} "$@"')
    only(zig=False)
    assert build_library(SOURCES, tmp_path / "made.so").description == "fake clang 1.2"
    assert "fake gcc 1.2 cannot build a library; taking fake clang 1.2" in caplog.text
    assert load(tmp_path).two() == 2


def test_a_mistake_in_the_text_is_not_blamed_on_the_compiler(tmp_path, real, fake, only):
    for name in ("gcc", "clang"):
        fake(name, f'echo {name} >> {tmp_path}/calls; PATH={os.environ["PATH"]} exec {real} "$@"')
    only(zig=False)
    with pytest.raises(sol.ToolchainError, match="fake gcc"):
        build_library({"one.c": "#error no\n"}, tmp_path / "made.so")
    assert "clang" not in (tmp_path / "calls").read_text()


def test_assembly(tmp_path):
    text = emit_assembly('#include "vec.h"\nvoid f(float *p) { vf_store(p, vf_load(p)); }\n', host())
    assert "f:" in text
    with pytest.raises(sol.ToolchainError, match="failed"):
        emit_assembly("#error no\n", host())


@pytest.fixture
def zigs_cache():
    toolchain._zig_cache.cache_clear()
    yield toolchain._zig_cache
    toolchain._zig_cache.cache_clear()


def test_where_zig_keeps_its_own(zigs_cache, cache_folder, tmp_path, monkeypatch):
    monkeypatch.delenv("ZIG_GLOBAL_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    assert zigs_cache() == str(tmp_path / "home" / "zig")
    zigs_cache.cache_clear()
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc")
    assert zigs_cache() == str(cache_folder / "zig")


@pytest.mark.slow
def test_zig_needs_neither_a_path_nor_a_home(zigs_cache, cache_folder, tmp_path, only, monkeypatch):
    """It compiles parts of the C library first, which takes half a minute."""
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc")
    only()
    assert build_library(SOURCES, tmp_path / "made.so").family == "zig"
    assert load(tmp_path).two() == 2
    shutil.rmtree(cache_folder)
