"""Makes the virtual environment that everything else runs in; `make lab` and `make test` start here.

    python3 labs/bootstrap.py --venv .venv --extras labs,mpi

Standard library only, for nothing is installed yet; and syntax that Python 3.6 can read, so that an old Python gets a
sentence and not a SyntaxError. A stamp in the environment says what it was made from: while that is unchanged and the
extras asked for are in it, a call returns at once. Extras asked for once are remembered, so that `make lab` and
`make test` share one environment without taking turns at installing it.
"""

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST = (3, 11)
MADE_FROM = ("pyproject.toml", "constraints.txt", "setup.py")
STAMP = "aurora-stamp.json"
LOG = "aurora-install.log"
STEPS = ("Obtaining", "Collecting", "Processing", "Downloading", "Using cached", "Building", "Installing")
HEARTBEAT = 20  # seconds between signs of life where the output is no terminal
MEND_VENV = "sudo apt-get install python3-venv    (elsewhere: a Python 3.11 or newer that has venv and pip)"


class BootstrapError(Exception):
    """The environment could not be made; the text says what to do."""


def too_old(version):
    """Return the sentence for a Python that is too old, or None."""
    if tuple(version[:2]) >= OLDEST:
        return None
    oldest = "{}.{}".format(*OLDEST)
    return (
        f"aurora-labs needs Python {oldest} or newer; this one is {version[0]}.{version[1]}. "
        f"Name a newer one: make lab PYTHON=python{oldest}"
    )


def python_of(venv):
    """Return the path of the environment's interpreter, whether it exists or not."""
    return venv / "bin" / "python"


# --- the stamp -------------------------------------------------------------------------------------------------------


def fingerprint(root):
    """Return a hash of what the environment is made from: the project's files and place, and the Python version."""
    digest = hashlib.sha256()
    for name in MADE_FROM:
        path = root / name
        digest.update(path.read_bytes() if path.exists() else b"")
        digest.update(b"\0")
    digest.update("{}.{} {}".format(*sys.version_info[:2], root).encode())
    return digest.hexdigest()


def read_stamp(venv):
    """Return the stamp: a dict with `fingerprint` (None while unfinished), `extras` and `venv`, its place when made.

    A stamp that is not there or cannot be read is one with nothing in it.
    """
    try:
        stamp = json.loads((venv / STAMP).read_text())
        return {"fingerprint": stamp["fingerprint"], "extras": list(stamp["extras"]), "venv": stamp["venv"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {"fingerprint": None, "extras": [], "venv": str(venv)}


def write_stamp(venv, value, extras):
    """Write the stamp; `value` is None while the install is not finished."""
    (venv / STAMP).write_text(json.dumps({"fingerprint": value, "extras": sorted(extras), "venv": str(venv)}) + "\n")


# --- the environment -------------------------------------------------------------------------------------------------


def is_healthy(venv):
    """Return whether the environment has this Python's version, and a pip that starts."""
    code = "import sys, pip; print(*sys.version_info[:2])"
    try:
        done = subprocess.run(
            [str(python_of(venv)), "-I", "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and done.stdout.split() == [str(n).encode() for n in sys.version_info[:2]]


def make_venv(venv):
    """Make the environment with a working pip in it; raise BootstrapError when neither way of getting pip works."""
    if venv.exists():
        if any(venv.iterdir()) and not (venv / "pyvenv.cfg").exists():
            raise BootstrapError(
                f"{venv} is there and is no virtual environment. Move it away, or name another: make lab VENV=other"
            )
        shutil.rmtree(str(venv))
    if quietly([sys.executable, "-m", "venv", str(venv)])[0] == 0 and is_healthy(venv):
        return
    # Debian and Ubuntu keep ensurepip in a package of its own (python3-venv); without it pip comes from the index.
    say("      this Python brings no pip (no ensurepip): fetching it from the package index")
    shutil.rmtree(str(venv), ignore_errors=True)
    failed, text = quietly([sys.executable, "-m", "venv", "--without-pip", str(venv)])
    if not failed:
        failed, text = quietly([sys.executable, str(ROOT / "labs" / "fetch_pip.py"), str(venv)])
    if not failed:
        wheel = text.strip().splitlines()[-1]  # a wheel is a zip file that Python can run from
        failed, text = quietly([str(python_of(venv)), wheel + "/pip", "install", "--no-index", wheel])
    if failed:
        raise BootstrapError(
            f"no virtual environment with pip could be made:\n{text.strip()}\nDo this and try again: {MEND_VENV}"
        )


def drop_half_installed(venv):
    """Remove the records of packages whose install was cut short, so that pip installs them anew; return the names."""
    dropped = []
    for record in venv.glob("lib/python*/site-packages/*.dist-info"):
        if not (record / "INSTALLER").exists():  # pip writes it last but one
            shutil.rmtree(str(record))
            dropped.append(record.name)
    return dropped


def pip_command(root, venv, extras):
    """Return the pip command that installs the project with its extras, editable, at the pinned versions."""
    return [
        *[str(python_of(venv)), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"],
        *["--progress-bar", "off", "-c", str(root / "constraints.txt")],
        *["-e", f"{root}[{','.join(sorted(extras))}]"],
    ]


def install_jupyter_files(root, venv):
    """Put kernelspecs and JupyterLab's extension where they are found; an editable install leaves them out."""
    source, share = root / "kernels" / "jupyter", venv / "share" / "jupyter"
    copies = {spec: share / "kernels" / spec.parent.name / spec.name for spec in source.glob("*/kernel.json")}
    for file in (source / "labextension").rglob("*.js*"):
        copies[file] = share / "labextensions" / "aurora-slurm" / file.relative_to(source / "labextension")
    for file, place in copies.items():
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(str(file), str(place))


# --- running and saying ----------------------------------------------------------------------------------------------


def say(text, end="\n"):
    """Print at once, also into a pipe."""
    print(text, end=end, flush=True)


def quietly(command):
    """Run a short command; return (exit status, what it printed)."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.returncode, done.stdout.decode(errors="replace")


def doing(log):
    """Return the last line of pip's that says what it is doing, or an empty string."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines()]
    return next((line for line in reversed(lines) if line.startswith(STEPS)), "")


def run_visibly(command, log):
    """Run a long command with its output in `log`; show every few seconds that it lives; return its exit status."""
    terminal = sys.stdout.isatty()
    started = time.monotonic()
    with open(str(log), "w") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        try:
            while True:
                try:
                    return process.wait(timeout=1 if terminal else HEARTBEAT)
                except subprocess.TimeoutExpired:
                    width = shutil.get_terminal_size().columns - 1
                    beat = f"      {time.monotonic() - started:.0f} s: {doing(log)}"[:width]
                    say("\r" + beat.ljust(width), end="") if terminal else say(beat)
        finally:
            if terminal:
                say("\r" + " " * (shutil.get_terminal_size().columns - 1) + "\r", end="")
            if process.poll() is None:
                process.terminate()
                process.wait()


def install(root, venv, extras, verbose):
    """Run pip; when it fails show the end of what it said and raise BootstrapError."""
    command = pip_command(root, venv, extras)
    log = venv / LOG
    status = subprocess.call(command) if verbose else run_visibly(command, log)
    if status == 0:
        return
    if not verbose:
        say("\n".join(log.read_text(errors="replace").splitlines()[-25:]))
        say(f"(all that pip said: {log})")
    raise BootstrapError(
        "pip failed, see above. Without a network, or with a full disk, it cannot install: mend that and run the same\n"
        "command again; for a package index of your own set PIP_INDEX_URL. What was installed before is still there."
    )


def bootstrap(root, venv, asked, verbose=False):
    """Bring the environment up to date; return whether anything had to be done; raise BootstrapError."""
    stamp = read_stamp(venv)
    wanted = fingerprint(root)
    moved = stamp["venv"] != str(venv)  # its scripts name the old place in their first line
    if stamp["fingerprint"] == wanted and asked <= set(stamp["extras"]) and python_of(venv).exists() and not moved:
        install_jupyter_files(root, venv)  # pip has nothing to do with them
        return False
    extras = asked | set(stamp["extras"])
    started = time.monotonic()
    if is_healthy(venv) and not moved:
        say(f"[1/3] the virtual environment {venv} is there")
    else:
        say(f"[1/3] making the virtual environment {venv} with Python {sys.version.split()[0]}")
        make_venv(venv)
    write_stamp(venv, None, extras)
    for name in drop_half_installed(venv):
        say(f"      {name} was half installed, it is installed anew")
    say(f"[2/3] installing aurora-labs[{','.join(sorted(extras))}] (several minutes the first time)")
    install(root, venv, extras, verbose)
    install_jupyter_files(root, venv)
    write_stamp(venv, wanted, extras)
    say(f"[3/3] ready after {time.monotonic() - started:.0f} s")
    return True


def main(arguments=None):
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description="Make the virtual environment of aurora-labs.")
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv", help="where the environment is (default: .venv)")
    parser.add_argument("--extras", default="labs", help="optional parts to install, with commas between")
    parser.add_argument("--verbose", action="store_true", help="show pip's own output")
    options = parser.parse_args(arguments)
    complaint = too_old(sys.version_info)
    if complaint:
        print(complaint, file=sys.stderr)
        return 2
    asked = set(re.findall(r"[\w-]+", options.extras))
    try:
        bootstrap(ROOT, options.venv.absolute(), asked, options.verbose)
    except BootstrapError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from here", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
