"""The set-up script behind `make demo` and `make test`: its decisions, its progress, its manners when stopped."""

from __future__ import annotations

import ast
import importlib.util
import io
import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

REPOSITORY = Path(__file__).parent.parent
SCRIPTS = REPOSITORY / ".ci"


@pytest.fixture(scope="module")
def bootstrap() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(SCRIPTS)
        spec = importlib.util.spec_from_file_location("midline_bootstrap", SCRIPTS / "bootstrap.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module


@pytest.fixture(scope="module")
def progress(bootstrap: ModuleType) -> ModuleType:
    return sys.modules[bootstrap.run.__module__]


# ---- old Pythons ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["bootstrap.py", "progress.py"])
def test_an_old_python_can_read_the_scripts(name):
    """What it can't parse, it can't answer with a clear message."""
    ast.parse((SCRIPTS / name).read_text(encoding="utf-8"), feature_version=(3, 7))


def interpreter(path, version, venv=True, ensurepip=True, pip=True):
    return {"path": path, "version": list(version), "venv": venv, "ensurepip": ensurepip, "pip": pip}


def test_the_first_recent_python_is_chosen(bootstrap):
    found = [interpreter("python3", (3, 9, 18)), interpreter("python3.12", (3, 12, 1))]
    assert bootstrap.choose_python(found)["path"] == "python3.12"


def test_a_python_with_ensurepip_is_preferred_to_one_with_only_pip(bootstrap):
    found = [interpreter("a", (3, 13, 0), ensurepip=False), interpreter("b", (3, 11, 2), pip=False)]
    assert bootstrap.choose_python(found)["path"] == "b"
    assert bootstrap.choose_python(found[:1])["path"] == "a"


def test_without_ensurepip_and_pip_the_cure_is_debians_package(bootstrap):
    with pytest.raises(bootstrap.SetupError) as caught:
        bootstrap.choose_python([interpreter("/usr/bin/python3", (3, 11, 2), ensurepip=False, pip=False)])
    assert "ensurepip" in caught.value.message and "/usr/bin/python3" in caught.value.message
    assert "apt install python3-venv" in caught.value.cure


def test_only_old_pythons_are_named_in_the_error(bootstrap):
    with pytest.raises(bootstrap.SetupError) as caught:
        bootstrap.choose_python([interpreter("/usr/bin/python3", (3, 9, 18))])
    assert "/usr/bin/python3 is 3.9.18" in caught.value.message
    assert "PYTHON=" in caught.value.cure


def test_probing_tells_a_real_interpreter_from_what_is_none(bootstrap, tmp_path):
    assert bootstrap.probe(sys.executable)["version"] == list(sys.version_info[:3])
    assert bootstrap.probe(str(tmp_path / "python3.99")) is None
    assert bootstrap.probe("/bin/false") is None


# ---- what there is to do ----------------------------------------------------------------------------------


PYPROJECT = {
    "build-system": {"requires": ["hatchling"]},
    "project": {"name": "midline", "dependencies": ["numpy", "llama-cpp-python==1.2.3"]},
    "tool": {"ruff": {"line-length": 110}},
}


def want(bootstrap, pyproject=PYPROJECT, extras=(), cmake_args=None, root="/a"):
    return bootstrap.wanted(pyproject, list(extras), cmake_args, Path(root))


def finished(bootstrap, **changes):
    """The stamp of a set-up that ran to its end."""
    return {**want(bootstrap), "python": "3.11", "cmake_args": "", **changes}


def test_a_fresh_checkout_needs_every_step(bootstrap):
    assert bootstrap.plan({}, want(bootstrap), None) == ["venv", "llama", "midline"]


def test_a_finished_set_up_needs_no_step(bootstrap):
    assert bootstrap.plan(finished(bootstrap), want(bootstrap), "3.11") == []


def test_an_interrupted_set_up_goes_on_where_it_was(bootstrap):
    stamp = {"root": "/a", "python": "3.11", "cmake_args": ""}
    assert bootstrap.plan(stamp, want(bootstrap), "3.11") == ["llama", "midline"]
    stamp["llama"] = "llama-cpp-python==1.2.3"
    assert bootstrap.plan(stamp, want(bootstrap), "3.11") == ["midline"]


@pytest.mark.parametrize(
    ("stamp", "python_now"),
    [({"root": "/elsewhere"}, "3.11"), ({}, None), ({}, "3.13")],
    ids=["moved checkout", "broken interpreter", "another Python under it"],
)
def test_a_stale_environment_is_made_anew(bootstrap, stamp, python_now):
    steps = bootstrap.plan(finished(bootstrap, **stamp), want(bootstrap), python_now)
    assert steps == ["venv", "llama", "midline"]


def test_the_tests_extra_is_added_to_a_users_set_up_and_covers_it(bootstrap):
    assert bootstrap.plan(finished(bootstrap), want(bootstrap, extras=["dev"]), "3.11") == ["midline"]
    assert bootstrap.plan(finished(bootstrap, extras=["dev"]), want(bootstrap), "3.11") == []


def test_only_what_is_installed_decides_on_installing_again(bootstrap):
    linted = {**PYPROJECT, "tool": {"ruff": {"line-length": 80}}}
    assert bootstrap.plan(finished(bootstrap), want(bootstrap, linted), "3.11") == []
    project = {**PYPROJECT["project"], "dependencies": ["rich", "llama-cpp-python==1.2.3"]}
    added = {**PYPROJECT, "project": project}
    assert bootstrap.plan(finished(bootstrap), want(bootstrap, added), "3.11") == ["midline"]
    project = {**PYPROJECT["project"], "dependencies": ["numpy", "llama-cpp-python==1.2.4"]}
    raised = {**PYPROJECT, "project": project}
    assert bootstrap.plan(finished(bootstrap), want(bootstrap, raised), "3.11") == ["llama", "midline"]


def test_a_gpu_build_stays_until_other_flags_are_asked_for(bootstrap):
    built = finished(bootstrap, cmake_args="-DGGML_CUDA=on")
    assert bootstrap.plan(built, want(bootstrap), "3.11") == []
    assert bootstrap.plan(built, want(bootstrap, cmake_args="-DGGML_CUDA=on"), "3.11") == []
    assert bootstrap.plan(built, want(bootstrap, cmake_args="-DGGML_VULKAN=on"), "3.11") == ["llama"]
    assert bootstrap.plan(built, want(bootstrap, cmake_args=""), "3.11") == ["llama"]


def test_this_repository_pins_the_bindings(bootstrap):
    pyproject = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    assert want(bootstrap, pyproject)["llama"].startswith("llama-cpp-python==")


def test_pip_forgets_a_half_installed_package_only(bootstrap, tmp_path, monkeypatch):
    site = tmp_path / "lib" / "python3.11" / "site-packages"
    for name, files in {"whole-1.dist-info": ["METADATA", "RECORD"], "half-1.dist-info": ["METADATA"]}.items():
        (site / name).mkdir(parents=True)
        for file in files:
            (site / name / file).touch()
    monkeypatch.setattr(bootstrap, "VENV", tmp_path)
    bootstrap.forget_half_installed()
    assert [one.name for one in site.iterdir()] == ["whole-1.dist-info"]


def test_only_an_environment_of_our_own_is_cleared(bootstrap, tmp_path, monkeypatch):
    stamp, theirs = tmp_path / "midline-setup.json", tmp_path / "lib" / "theirs.py"
    theirs.parent.mkdir()
    theirs.touch()
    monkeypatch.setattr(bootstrap, "VENV", tmp_path)
    monkeypatch.setattr(bootstrap, "STAMP", stamp)
    with pytest.raises(bootstrap.SetupError, match="not made by this command"):
        bootstrap.clear_venv()
    assert theirs.exists()
    stamp.write_text("{}")
    bootstrap.clear_venv()
    assert [path.name for path in tmp_path.iterdir()] == [stamp.name]


# ---- progress ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "phase"),
    [
        ("  [37/140] /usr/bin/g++ -DGGML_BUILD -o x.o -c x.cpp", "compiling llama.cpp [37/140]"),
        ("  [ 37%] Building CXX object src/x.o", "compiling llama.cpp [37%]"),
        ("  *** Configuring CMake...", "configuring llama.cpp"),
        ("  Downloading llama_cpp_python-0.3.36.tar.gz (76.6 MB)", "downloading llama_cpp_python (76.6 MB)"),
        ("  Installing build dependencies: started", "getting the build tools"),
        ("  -- Found Threads: TRUE", None),
        ("  x.cpp:12:3: warning: array[3/4] is odd", None),
    ],
)
def test_pips_log_is_read_for_what_is_going_on(progress, line, phase):
    assert progress.phase_of(line) == phase


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_sees_one_line_that_updates_itself(progress):
    terminal = Terminal()
    display = progress.Display(terminal)
    display.show("compiling llama.cpp [37/140]", 150.4)
    display.show("compiling llama.cpp [38/140]", 151.0)
    assert "\n" not in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[K  compiling llama.cpp [38/140] 2:31")
    display.end("done")
    assert terminal.getvalue().endswith("\r\x1b[Kdone\n")


def test_elsewhere_a_plain_line_comes_every_fifteen_seconds(progress):
    log = io.StringIO()
    display = progress.Display(log)
    for tick in range(100):
        display.show("compiling", tick * 0.5)
    assert log.getvalue() == "  compiling 0:15\n  compiling 0:30\n  compiling 0:45\n"


# ---- failing and stopping ---------------------------------------------------------------------------------


def test_a_failed_step_shows_its_cause_and_where_its_log_is(progress, tmp_path, capsys):
    script = (
        "printf '  [1/9] g++ -Werror=x a.cpp\\n  a.cpp:1: fatal error: x.h: No such file\\n  ninja: stopped\\n'; exit 3"
    )
    with pytest.raises(progress.SetupError) as caught:
        progress.run("compiling", ["sh", "-c", script], tmp_path / "x.log", dict(os.environ))
    shown = capsys.readouterr().err
    assert "fatal error: x.h" in shown and "-Werror" not in shown
    assert str(tmp_path / "x.log") in caught.value.message


@pytest.mark.parametrize(
    ("log", "cure"),
    [
        ("cc1plus: error: write: No space left on device", "disk space"),
        ("g++: fatal error: Killed signal terminated program cc1plus", "CMAKE_BUILD_PARALLEL_LEVEL=1"),
        ("Failed to establish: [Errno -3] Temporary failure in name resolution", "package index"),
        ("CMake Error at ggml-cuda/CMakeLists.txt:178", "CMAKE_ARGS"),
    ],
)
def test_known_causes_have_a_cure(progress, log, cure):
    assert cure in progress.cure_for(log)


def test_a_log_that_names_no_error_shows_its_end(progress):
    assert progress.telling_lines("\n".join(str(n) for n in range(50)), most=3) == ["47", "48", "49"]


def test_what_cmake_says_below_its_error_is_shown_and_pips_own_words_are_not(progress):
    log = """
      CMake Error at ggml-cuda/CMakeLists.txt:178 (target_link_libraries):
        Target "ggml-cuda" links to:

          CUDA::cublas

      -- Generating done (0.1s)
      note: This error originates from a subprocess, and is likely not a problem with pip.
    ERROR: Failed building wheel for llama-cpp-python
    """
    shown = "\n".join(progress.telling_lines(log))
    assert "CUDA::cublas" in shown
    assert "originates" not in shown and "building wheel" not in shown


def wait_for(condition):
    for _ in range(600):
        if condition():
            return True
        time.sleep(0.05)
    return False


def ended(pid):
    """Gone, or dead and not yet collected by a parent."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks processes up in /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_leaves_no_process_behind(number, tmp_path):
    """The step is a shell with a "compiler" behind it, as pip has one."""
    pids, script = tmp_path / "pids", tmp_path / "step.py"
    script.write_text(
        f"import os, signal, sys; sys.path.insert(0, {str(SCRIPTS)!r})\n"
        "import bootstrap, progress\n"
        "from pathlib import Path\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "def step(_):\n"
        f"    command = 'sleep 600 & echo $$ $! > {pids}.new; mv {pids}.new {pids}; wait'\n"
        f"    progress.run('step', ['sh', '-c', command], Path({str(tmp_path / 'log')!r}), dict(os.environ))\n"
        "bootstrap.set_up = step\n"
        "bootstrap.plan = lambda *_: ['llama']\n"
        "sys.exit(bootstrap.main())\n"
    )
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    process = subprocess.Popen([sys.executable, str(script)], stderr=subprocess.PIPE, env=environment)
    assert wait_for(pids.exists)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Stopped" in said and b"Traceback" not in said
    for pid in pids.read_text().split():
        assert wait_for(lambda pid=pid: ended(pid)), f"{pid} still runs"
