"""What `aurora doctor` looks at in the software: each function returns (status, detail, mending command)."""

import importlib.metadata
import re
import sys
from pathlib import Path

from labs import tools

ROOT = Path(__file__).resolve().parent.parent
PROJECT = "aurora-labs"
Finding = tuple[str, str, str]


def in_checkout() -> bool:
    """Return whether this is the repository itself, and not an installed copy."""
    return (ROOT / "pyproject.toml").exists()


def _install() -> str:
    if in_checkout():
        return f"cd {ROOT} && {sys.executable} -m pip install -c constraints.txt -e '.[labs,mpi]'"
    return f"{sys.executable} -m pip install '{PROJECT}[labs,mpi]'"


def python() -> Finding:
    version = sys.version.split()[0]
    if sys.version_info < (3, 11):  # noqa: UP036 - a wheel can be forced onto an older Python
        return "wrong", f"{version}; 3.11 or newer is needed", "make lab PYTHON=python3.11"
    return "ok", f"{version}, {sys.executable}", ""


def packages() -> Finding:
    """The requirements of the project and its labs extra, as its own metadata names them."""
    from packaging.requirements import Requirement

    try:
        lines = importlib.metadata.requires(PROJECT) or []
    except importlib.metadata.PackageNotFoundError:
        return "missing", f"{PROJECT} itself is not installed", _install()
    absent, refused = [], []
    for line in lines:
        requirement = Requirement(line)
        if requirement.marker and not requirement.marker.evaluate({"extra": "labs"}):
            continue
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            absent.append(requirement.name)
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            refused.append(f"{requirement.name} {version} is not {requirement.specifier}")
    if absent:
        return "missing", ", ".join(absent + refused), _install()
    if refused:
        return "wrong", ", ".join(refused), _install()
    return "ok", f"aurora-labs {importlib.metadata.version(PROJECT)} and all it requires", ""


def constraints() -> Path | None:
    """Return the file of exact versions: the repository's, or the one that came with the wheel."""
    places = (ROOT / "constraints.txt", Path(sys.prefix) / "share" / PROJECT / "constraints.txt")
    return next((path for path in places if path.exists()), None)


def pinned_versions() -> Finding:
    """What is installed, against constraints.txt; what is not installed is not looked at here."""
    file = constraints()
    if file is None:
        return "missing", "constraints.txt is not here, so versions cannot be compared", _install()
    pins = dict(re.findall(r"(?m)^([\w.-]+)==([^\s;]+)", file.read_text()))
    differ, same = [], 0
    for name, pin in pins.items():
        try:
            version = importlib.metadata.version(name).partition("+")[0]
        except importlib.metadata.PackageNotFoundError:
            continue
        if version == pin:
            same += 1
        else:
            differ.append(f"{name} {version}, not {pin}")
    if differ:
        more = f" and {len(differ) - 4} more" if len(differ) > 4 else ""
        return "wrong", f"{'; '.join(differ[:4])}{more}", _install()
    return "ok", f"{same} packages as in {file.name}", ""


def jupyter() -> Finding:
    """JupyterLab is there, and its kernel `python3` is this Python."""
    try:
        version = importlib.metadata.version("jupyterlab")
        from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
    except ImportError:
        return "missing", "JupyterLab is not installed", _install()
    mend = f"{sys.executable} -m ipykernel install --sys-prefix"
    try:
        program = KernelSpecManager().get_kernel_spec("python3").argv[0]
    except NoSuchKernel:
        return "missing", f"JupyterLab {version}, but no kernel named python3", mend
    if Path(program).name != program and Path(program).parent != Path(sys.executable).parent:
        return "wrong", f"JupyterLab {version}, but its kernel python3 is another Python: {program}", mend
    return "ok", f"JupyterLab {version}, kernel python3 is this Python", ""


def mpi() -> Finding:
    program = tools.find("mpi")
    if program is None:
        return _tool("mpi")
    try:
        version = importlib.metadata.version("mpi4py")
    except importlib.metadata.PackageNotFoundError:
        return "missing", f"{program} is there, mpi4py is not", f"{sys.executable} -m pip install mpi4py"
    return "ok", f"mpi4py {version}, {program}", ""


def _tool(name: str) -> Finding:
    path, tool = tools.find(name), tools.TOOLS[name]
    return ("ok", str(path), "") if path else ("missing", f"no {tool.programs[0]}; it is for {tool.use}", tool.fix)


def qemu() -> Finding:
    return _tool("qemu")


def chromium() -> Finding:
    return _tool("chromium")
