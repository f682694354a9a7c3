"""The arrow between the rooms points one way (DESIGN: rooms; docs/adr/0001), and pure rooms stay pure."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("diagnostics", "transports", "runner", "supervisor")
IMPURE = frozenset(
    [
        "anyio",
        "asyncio",
        "concurrent",
        "ctypes",
        "httpx2",
        "loguru",
        "logging",
        "multiprocessing",
        "os",
        "psutil",
        "queue",
        "random",
        "secrets",
        "selectors",
        "shutil",
        "signal",
        "socket",
        "starlette",
        "subprocess",
        "sys",
        "tempfile",
        "threading",
        "time",
        "uvicorn",
    ]
)
# Each row: the room, the rooms that it may import, packages that it must not, packages that alone it may (beside the
# standard library).
RULES: dict[str, tuple[frozenset[str], frozenset[str], frozenset[str] | None]] = {
    "diagnostics": (frozenset({"diagnostics"}), IMPURE, frozenset({"msgspec"})),
    "transports": (frozenset({"diagnostics", "transports"}), frozenset({"mlx", "mlx_lm"}), None),
    "runner": (frozenset({"diagnostics", "transports", "runner"}), frozenset({"starlette", "uvicorn"}), None),
    "supervisor": (frozenset({"diagnostics", "transports", "supervisor"}), frozenset({"mlx", "mlx_lm"}), None),
    "supervisor/core": (
        frozenset({"diagnostics", "transports", "supervisor"}),
        # Signal numbers are values; sending one is `os.kill`, which needs os.
        IMPURE - {"signal"},
        frozenset({"msgspec"}),
    ),
}


def imports(file: Path) -> Iterator[tuple[int, str]]:
    """Yield the line and the full module name of every import, also of those inside functions."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"), str(file))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: rooms import absolutely"
            assert node.module is not None
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"


def violations(room: str) -> Iterator[str]:
    may_import, forbidden, only = RULES[room]
    for file in sorted((ROOT / room).rglob("*.py")):
        for line, name in imports(file):
            top = name.split(".", maxsplit=1)[0]
            place = f"{file.relative_to(ROOT)}:{line}: imports {name}"
            if top in ROOMS and top not in may_import:
                yield f"{place}: {room} may import {sorted(may_import)} only"
            elif top in forbidden:
                yield f"{place}: not allowed in {room}"
            elif only is not None and top not in only | frozenset(ROOMS) and top not in sys.stdlib_module_names:
                yield f"{place}: {room} needs the standard library and {sorted(only)} only"
            elif room == "supervisor/core" and top == "supervisor" and not name.startswith("supervisor.core."):
                yield f"{place}: the core does not know its shells"


@pytest.mark.parametrize("room", sorted(RULES))
def test_a_room_imports_only_what_it_may(room: str):
    assert list(violations(room)) == []


def test_the_rule_sees_imports_inside_functions_and_of_submodules(tmp_path: Path):
    file = tmp_path / "sample.py"
    file.write_text("def load():\n    from supervisor.core import group\n    import mlx.core as mx\n")
    assert list(imports(file)) == [(2, "supervisor.core.group"), (3, "mlx.core")]


def test_nobody_imports_by_name_what_the_rule_forbids():
    """`importlib` could walk around the rule; only the engine's loader in the runner may use it."""
    users = {
        str(file.relative_to(ROOT)).split("/", maxsplit=1)[0]
        for room in ROOMS
        for file in (ROOT / room).rglob("*.py")
        if any(name in {"importlib", "importlib.import_module"} for _, name in imports(file))
    }
    assert users <= {"runner"}


@pytest.mark.parametrize(
    "module", ["supervisor.cli.main", "supervisor.daemon", "supervisor.cli.demo", "supervisor.cli.doctor"]
)
def test_the_supervisor_never_loads_mlx_or_a_runner(module: str):
    check = (
        f"import sys, {module}\nunwanted = {{'mlx', 'mlx_lm', 'runner', 'transformers'}}\n"
        "print(sorted(name for name in sys.modules if name.split('.')[0] in unwanted))"
    )
    outcome = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, timeout=60, check=True, cwd=ROOT
    )
    assert outcome.stdout.strip() == "[]"


def test_help_loads_no_web_server():
    check = (
        "import sys, supervisor.cli.main\n"
        "print([name for name in ('uvicorn', 'starlette', 'httpx2') if name in sys.modules])"
    )
    outcome = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, timeout=60, check=True, cwd=ROOT
    )
    assert outcome.stdout.strip() == "[]"
