#!/usr/bin/env python3
"""Set midline up in this checkout: a virtual environment, llama.cpp compiled for this machine, midline.

``python3 .ci/bootstrap.py`` installs what a user needs, ``--dev`` adds what the tests need. Running it again
finishes what was interrupted, and takes a moment when there is nothing to do.

Standard library only. The syntax is kept old enough for a Python 3.7 to get as far as handing over to a newer
one on the same machine, or to a clear message.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from progress import SetupError, run

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "midline-setup.json"
OLDEST = (3, 11)
CANDIDATES = ("python3.13", "python3.12", "python3.11", "python3.14", "python3")
# Neither llava (images) nor llama.cpp's helpers for its own programs are of use to midline; both take minutes.
DEFAULT_FLAGS = ("-DLLAVA_BUILD=OFF", f"-DCMAKE_PROJECT_llama.cpp_INCLUDE={ROOT / '.ci' / 'llama.cmake'}")
DISK_BYTES = {"venv": 1 << 28, "llama": 1 << 30, "midline": 1 << 29}


# ---- which Python -----------------------------------------------------------------------------------------


def probe(python: str) -> dict[str, Any] | None:
    """Ask an interpreter for its path, version and means to make an environment; None if it doesn't run.

    Asked in an environment, it names the interpreter that this was made from.
    """
    code = (
        "import sys, json, importlib.util as u; has = lambda m: u.find_spec(m) is not None; "
        "base = getattr(sys, '_base_executable', sys.executable); "
        "print(json.dumps(dict(path=base, version=list(sys.version_info[:3]), "
        "venv=has('venv'), ensurepip=has('ensurepip'), pip=has('pip'))))"
    )
    try:
        done = subprocess.run([python, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=30)
        return json.loads(done.stdout) if done.returncode == 0 else None
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None


def dotted(version: list[int]) -> str:
    """``[3, 11, 2]`` → ``3.11.2``."""
    return ".".join(str(part) for part in version)


def choose_python(found: list[dict[str, Any]]) -> dict[str, Any]:
    """The first interpreter that is new enough and brings its own pip; failing that, one with pip installed.

    Raises:
        SetupError: none will do.
    """
    recent = [one for one in found if tuple(one["version"][:2]) >= OLDEST]
    for means in ("ensurepip", "pip"):
        for one in recent:
            if one["venv"] and one[means]:
                return one
    if recent:
        version = dotted(recent[0]["version"][:2])
        raise SetupError(
            f"Python {version} ({recent[0]['path']}) can't make a virtual environment: ensurepip is missing.",
            f"On Debian or Ubuntu: sudo apt install python3-venv (or python{version}-venv). Then run this again.",
        )
    seen = ", ".join(f"{one['path']} is {dotted(one['version'])}" for one in found)
    raise SetupError(
        f"midline needs Python 3.11 or newer, and found none ({seen or 'no Python at all'}).",
        "On Debian 12 or newer: sudo apt install python3 python3-venv. "
        "One that is not on the PATH: make demo PYTHON=/path/to/python3.11",
    )


def find_python() -> dict[str, Any]:
    """The Python to build with: this very one if it will do, else the best on the PATH.

    Raises:
        SetupError: none will do.
    """
    found = []
    # The last one is for who named it once with PYTHON=….
    for name in (sys.executable, *CANDIDATES, read_stamp().get("interpreter", sys.executable)):
        one = probe(name)
        if one is not None and one["path"] not in [other["path"] for other in found]:
            found.append(one)
            if tuple(one["version"][:2]) >= OLDEST and one["venv"] and one["ensurepip"]:
                break
    return choose_python(found)


# ---- what there is to do ----------------------------------------------------------------------------------


def read_stamp() -> dict[str, Any]:
    """What earlier runs wrote down as done; empty if there is nothing of the kind."""
    try:
        stamp = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def write_stamp(stamp: dict[str, Any]) -> None:
    """Write down what is done."""
    STAMP.write_text(json.dumps(stamp, indent=1) + "\n")


def wanted(pyproject: dict[str, Any], extras: list[str], cmake_args: str | None, root: Path) -> dict[str, Any]:
    """The stamp that a finished set-up would leave; ``cmake_args`` None stands for "as they were"."""
    # The settings of linters and tests are left out: changing one must not install anything.
    installed = [pyproject["build-system"], pyproject["project"], pyproject.get("tool", {}).get("hatch")]
    [llama] = [one for one in pyproject["project"]["dependencies"] if one.startswith("llama-cpp-python==")]
    return {
        "root": str(root),
        "llama": llama,
        "cmake_args": cmake_args,
        "project": hashlib.sha256(json.dumps(installed, sort_keys=True).encode()).hexdigest(),
        "extras": sorted(extras),
    }


def plan(stamp: dict[str, Any], want: dict[str, Any], python_now: str | None) -> list[str]:
    """The steps still to do, of ``venv``, ``llama`` and ``midline``, in this order.

    Args:
        stamp: what earlier runs finished.
        want: what this run is to arrive at.
        python_now: the "3.11" that the environment's Python answers at present, None if it doesn't.
    """
    # The scripts of an environment hold its absolute path: a moved checkout needs a new one.
    if python_now is None or stamp.get("python") != python_now or stamp.get("root") != want["root"]:
        return ["venv", "llama", "midline"]
    steps = []
    if stamp.get("llama") != want["llama"] or want["cmake_args"] not in (None, stamp.get("cmake_args")):
        steps.append("llama")
    if stamp.get("project") != want["project"] or not set(want["extras"]) <= set(stamp.get("extras", [])):
        steps.append("midline")
    return steps


def venv_python() -> str | None:
    """The "3.11" that the environment's Python answers; None if it is missing or broken."""
    one = probe(str(PYTHON))
    return dotted(one["version"][:2]) if one else None


def check_machine(steps: list[str]) -> None:
    """Refuse now what would fail after minutes.

    Raises:
        SetupError: no compiler, or too little disk.
    """
    if "llama" in steps:
        for variable, usual, language in (("CC", "cc gcc clang", "C"), ("CXX", "c++ g++ clang++", "C++")):
            names = os.environ.get(variable) or usual
            if not any(shutil.which(name) for name in names.split()):
                raise SetupError(
                    f"No {language} compiler was found (looked for {names}).",
                    "On Debian or Ubuntu: sudo apt install g++. On macOS: xcode-select --install. Then run this again.",
                )
    need, free = sum(DISK_BYTES[step] for step in steps), shutil.disk_usage(str(ROOT)).free
    if free < need:
        raise SetupError(
            f"{ROOT} has {free / 1e9:.1f} GB free, and setting up needs about {need / 1e9:.1f} GB.",
            "Free some disk space, or clone midline where there is more.",
        )


def announce(steps: list[str], llama: str, cmake_args: str, python: dict[str, Any]) -> None:
    """Say what is about to be done and how long it takes."""
    compiled = "compiled for this machine: 2 to 6 minutes on 2 cores, once; seconds if pip has it in its cache"
    if cmake_args:
        compiled = f"compiled with your CMAKE_ARGS ({cmake_args}), past pip's cache: minutes, many for a GPU"
    sentences = {
        "venv": f"a virtual environment in .venv, with Python {dotted(python['version'])} ({python['path']})",
        "llama": f"llama.cpp ({llama}), {compiled}",
        "midline": "midline and its other packages: about a minute",
    }
    lines = [f"Setting midline up in {ROOT}:"]
    lines += [f"  {number}. {sentences[step]}" for number, step in enumerate(steps, 1)]
    print("\n".join(lines), file=sys.stderr, flush=True)


# ---- the steps --------------------------------------------------------------------------------------------


def step_environment() -> dict[str, str]:
    """The environment of pip and the compilers, free of what make or another Python put there."""
    env = dict(os.environ)
    for name in ("PYTHONPATH", "PYTHONHOME", "MAKEFLAGS", "MFLAGS", "MAKELEVEL", "PIP_TARGET", "PIP_PREFIX"):
        env.pop(name, None)
    # /tmp is often a piece of the memory, and compiling needs several hundred megabytes of it.
    temporary = VENV / "tmp"
    temporary.mkdir(exist_ok=True)
    env.update(TMPDIR=str(temporary), PIP_USER="0", PIP_NO_INPUT="1", PIP_DISABLE_PIP_VERSION_CHECK="1")
    # One compiler takes most of a gigabyte for llama.cpp's larger files.
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    env.setdefault("CMAKE_BUILD_PARALLEL_LEVEL", str(max(1, min(os.cpu_count() or 1, memory >> 30))))
    return env


def clear_venv() -> None:
    """Empty ``.venv``, which may be a link to another disk.

    Raises:
        SetupError: it holds what we didn't make.
    """
    VENV.mkdir(exist_ok=True)
    if any(VENV.iterdir()) and not STAMP.exists():
        raise SetupError(f"{VENV} was not made by this command.", "Move it away, then run this again.")
    for path in VENV.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(str(path))
        elif path != STAMP:
            path.unlink()


def make_venv(python: dict[str, Any], built_with: str) -> None:
    """Make ``.venv`` anew, with pip in it; ``built_with`` are the CMAKE_ARGS of the one before."""
    clear_venv()
    write_stamp({"cmake_args": built_with})  # from now on it is ours, should this be interrupted
    env, command = step_environment(), [python["path"], "-m", "venv"]
    if python["ensurepip"]:
        run("making .venv", [*command, str(VENV)], VENV / "venv.log", env)
        return
    # Debian's python3-pip without its python3-venv: a pip can install another.
    run("making .venv", [*command, "--without-pip", str(VENV)], VENV / "venv.log", env)
    command = [python["path"], "-m", "pip", "--python", str(PYTHON), "install", "pip"]
    run("installing pip", command, VENV / "pip.log", env)


def forget_half_installed() -> None:
    """Make pip forget what it was installing when it was stopped.

    It writes a package's RECORD last; metadata without one would count as installed and can't be removed.
    """
    for metadata in VENV.glob("lib/python*/site-packages/*.dist-info"):
        if not (metadata / "RECORD").exists():
            shutil.rmtree(str(metadata))


def install_llama(requirement: str, cmake_args: str) -> None:
    """Install llama-cpp-python, compiled as the user's CMAKE_ARGS ask (empty: as pip has it cached)."""
    # pip's wheel cache doesn't look at CMAKE_ARGS: with the user's own it must be neither read nor written.
    own = ["--no-cache-dir", "--no-binary", "llama-cpp-python"] if cmake_args else []
    command = [str(PYTHON), "-m", "pip", "install", "-v", "--force-reinstall", "--no-deps", *own, requirement]
    # Ours come first: where both set a flag, the user's wins.
    env = dict(step_environment(), CMAKE_ARGS=f"{shlex.join(DEFAULT_FLAGS)} {cmake_args}".strip())
    run("installing llama.cpp", command, VENV / "llama-build.log", env)


def install_midline(extras: list[str]) -> None:
    """Install this checkout, editable, with what it depends on."""
    target = str(ROOT) + ("[" + ",".join(extras) + "]" if extras else "")
    command = [str(PYTHON), "-m", "pip", "install", "-e", target]
    run("installing midline", command, VENV / "midline-install.log", step_environment())


def check_llama() -> None:
    """Load the compiled library.

    Raises:
        SetupError: it can't be loaded.
    """
    command = [str(PYTHON), "-c", "import llama_cpp"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=str(VENV))
    if done.returncode:
        said = done.stdout.decode(errors="replace").strip().splitlines() or ["it said nothing"]
        raise SetupError(
            f"llama.cpp is installed but can't be loaded: {said[-1]} (exit {done.returncode}).",
            f"Compile it anew: {PYTHON} -m pip cache remove llama_cpp_python; then run this again.",
        )


def set_up(want: dict[str, Any]) -> None:
    """Do what there is to do, writing each finished step down.

    Raises:
        SetupError: told to the user.
    """
    stamp = read_stamp()
    steps = plan(stamp, want, venv_python())
    if not steps:
        return
    python = find_python()
    check_machine(steps)
    # Flags once built with hold until others are asked for: the next command must not undo a GPU build.
    built_with = stamp.get("cmake_args", "")
    cmake_args = built_with if want["cmake_args"] is None else want["cmake_args"]
    announce(steps, want["llama"], cmake_args, python)
    extras = sorted({*want["extras"], *stamp.get("extras", [])})
    try:
        if "venv" in steps:
            make_venv(python, built_with)
            stamp = {"root": want["root"], "python": venv_python(), "cmake_args": built_with}
            stamp["interpreter"] = python["path"]
            write_stamp(stamp)
        forget_half_installed()
        if "llama" in steps:
            stamp.pop("llama", None)
            write_stamp(stamp)
            install_llama(want["llama"], cmake_args)
            stamp.update(llama=want["llama"], cmake_args=cmake_args)
            write_stamp(stamp)
        if "midline" in steps:
            install_midline(extras)
            stamp.update(project=want["project"], extras=extras)
        try:
            check_llama()
        except SetupError:
            stamp.pop("llama")
            raise
        finally:
            write_stamp(stamp)
    finally:
        shutil.rmtree(str(VENV / "tmp"), ignore_errors=True)


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Wait for another set-up of this checkout to end, and keep others waiting."""
    import fcntl

    # A file that is always there, opened for writing because NFS locks no other kind.
    with (ROOT / "pyproject.toml").open("r+b") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another set-up of this checkout is running; waiting for it to end.", file=sys.stderr)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main() -> int:
    """Set up, and return the exit code."""
    parser = argparse.ArgumentParser(description="Set midline up in this checkout.")
    parser.add_argument("--dev", action="store_true", help="with what the tests need")
    options = parser.parse_args()

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup ignores it on purpose
            signal.signal(number, interrupt)
    try:
        if sys.version_info < OLDEST:
            newer = find_python()["path"]
            os.execv(newer, [newer, *sys.argv])
        import tomllib

        pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
        want = wanted(pyproject, ["dev"] if options.dev else [], os.environ.get("CMAKE_ARGS"), ROOT)
        if plan(read_stamp(), want, venv_python()):
            with alone():
                set_up(want)
            print(f"midline is set up in {VENV}.", file=sys.stderr)
    except SetupError as error:
        print(f"error: {error.message} {error.cure}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: Can't set midline up in {ROOT}: {error}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. The same command goes on from here.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
