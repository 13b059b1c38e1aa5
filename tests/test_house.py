"""Rules of the house, held against the source of the package: imports run one way, and what is heavy waits.

What still breaks a rule stands in `OPEN`, and nothing else may: an entry that no longer breaks it has to go, too.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "scanlink"

# Imports run downwards. Rooms on one floor may import each other where that makes no circle.
FLOORS = (
    ("__main__",),
    ("cli", "cli_files", "cli_output"),
    ("demo",),
    ("pipeline",),
    ("cluster", "tl"),
    ("report", "pl"),
    ("pp", "ds", "benchmark", "seq"),
    ("store", "run"),
    ("io",),
    ("adjustment",),
    ("stats",),
    ("options", "ladder", "files", "p_values", "tables", "settings", "errors", "version", "plain_yaml", "processes"),
)
FLOOR = {room: number for number, floor in enumerate(FLOORS) for room in floor}
HEAVY = {
    "distributed",
    "dask_jobqueue",
    "scanpy",
    "muon",
    "matplotlib",
    "jinja2",
    "torch",
    "statsmodels",
    "scipy.stats",
}
# Rooms that are imported for nothing but what is heavy in them, and files whose classes are Dask's.
MAY_BE_HEAVY = {
    "pl": {"matplotlib"},
    "report": {"jinja2"},
    "cluster/jobqueue.py": {"distributed"},
    "stats/kendall.py": {"scipy.stats"},
}
STATISTICS = {"numpy", "scipy", "numba"}

# Once for each rule: what breaks it today. An array library other than numpy is asked for in one place, by `device=`.
OPEN: dict[str, set[str]] = {
    "imports run one way": set(),
    # `sl.report.write_report` is a public name, and a page is written from the declarations of analyses.
    "imports in functions and for types run one way": {"report/__init__.py -> scanlink.pipeline.finished"},
    "no circles between rooms": set(),
    "statistics know arrays only": {"stats/arrays.py -> array_api_compat.torch"},
    "what is heavy is imported where it is used": set(),
    # Ranks are scipy's, and workers of other analyses do not have them.
    "what is heavy comes with no room and no worker": {
        "scanlink.tl.kendall.block -> scipy.stats",
        "scanlink.tl.kendall -> scipy.stats",
    },
    "absolute imports": set(),
    "the formatter formats": set(),
    "no file above 300 lines": set(),
    # A picture is called as its file; what it draws is fitted in a file of that name.
    "no two files of one name in two rooms": {"states.py: pl, stats"},
}


@dataclass(frozen=True)
class Import:
    """One module that a module imports."""

    path: Path
    target: str
    when: str
    """``now``, with the module; ``lazy``, in a function; or ``types``, for a type checker only."""

    @property
    def room(self) -> str:
        return room_of(self.path)

    @property
    def target_room(self) -> str:
        return (self.target.split(".")[1:] or ["version"])[0]

    def __str__(self) -> str:
        return f"{name_of(self.path)} -> {self.target}"


def room_of(path: Path) -> str:
    part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "version" if part == "__init__" else part


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def module_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = sorted(PACKAGE.rglob("*.py"))
MODULES = {module_of(path): path for path in FILES}
TEXTS = {path: path.read_text() for path in FILES}


def statements(node: ast.AST, when: str = "now") -> Iterator[tuple[ast.Import | ast.ImportFrom, str]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, when
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from statements(child, "lazy")
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            yield from statements(child, "types")
        else:
            yield from statements(child, when)


def imports_of(path: Path) -> Iterator[Import]:
    for node, when in statements(ast.parse(TEXTS[path])):
        if isinstance(node, ast.Import):
            names = {alias.name for alias in node.names}
        else:
            # A module of a room, or a name in a module.
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            names = {name if name in MODULES else str(node.module) for name in inner}
        yield from (Import(path, name, when) for name in sorted(names))


IMPORTS = [found for path in FILES for found in imports_of(path)]
INSIDE = [found for found in IMPORTS if found.target.split(".")[0] == "scanlink"]
OUTSIDE = [found for found in IMPORTS if found.target.split(".")[0] != "scanlink"]


def upwards(*when: str) -> Iterator[str]:
    for found in INSIDE:
        if found.when in when and FLOOR[found.target_room] < FLOOR[found.room]:
            yield str(found)


def circles() -> Iterator[str]:
    """Rooms that reach each other, whichever way and whenever they import."""
    arrows = defaultdict(set)
    for found in INSIDE:
        if str(found) not in OPEN["imports in functions and for types run one way"]:
            arrows[found.room].add(found.target_room)

    def reached(room: str) -> set[str]:
        seen: set[str] = set()
        waiting = list(arrows[room])
        while waiting:
            following = waiting.pop()
            if following not in seen:
                seen.add(following)
                waiting += arrows[following]
        return seen

    for room in sorted(arrows):
        for other in sorted(arrows[room]):
            if other != room and room in reached(other):
                yield f"{room} -> {other}"


def beyond_arrays() -> Iterator[str]:
    for found in IMPORTS:
        first = found.target.split(".")[0]
        inside = found.target in ("scanlink.errors", "scanlink.ladder") or found.target.startswith("scanlink.stats")
        known = first in STATISTICS or first in sys.stdlib_module_names or inside
        if found.room == "stats" and not known:
            yield str(found)


def heavy_now() -> Iterator[str]:
    for found in OUTSIDE:
        allowed = MAY_BE_HEAVY.get(found.room, set()) | MAY_BE_HEAVY.get(name_of(found.path), set())
        if found.when == "now" and heavy_parts([found.target]) - allowed:
            yield str(found)


def heavy_parts(modules: Iterable[str]) -> set[str]:
    """Find what is heavy among modules and those that they are in."""
    return {".".join(module.split(".")[:depth]) for module in modules for depth in (1, 2)} & HEAVY


def heavy_at_once() -> Iterator[str]:
    """What comes with `import scanlink`, with a room, and with the function that computes a block on a worker."""
    now = defaultdict(set)
    for found in IMPORTS:
        if found.when == "now":
            now[module_of(found.path)].add(found.target)
    rooms = [module_of(path) for path in FILES if path.stem == "__init__" and room_of(path) not in MAY_BE_HEAVY]
    workers = [module_of(path) for path in FILES if path.stem == "block" or path.stem.endswith("_block")]
    for start in [*rooms, *workers]:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            module = waiting.pop()
            # With a module, the rooms around it.
            around = {module.rsplit(".", depth)[0] for depth in range(1, module.count(".") + 1)}
            for following in (now[module] | around) - seen:
                seen.add(following)
                waiting.append(following)
        yield from (f"{start} -> {heavy}" for heavy in sorted(heavy_parts(seen)))


def relative() -> Iterator[str]:
    for path in FILES:
        nodes = [node for node, _ in statements(ast.parse(TEXTS[path]))]
        if any(isinstance(node, ast.ImportFrom) and node.level for node in nodes):
            yield name_of(path)


def unformatted() -> Iterator[str]:
    for path in FILES:
        if any(f"# fmt: {word}" in TEXTS[path] for word in ("skip", "off")):
            yield name_of(path)


def long_files() -> Iterator[str]:
    for path in FILES:
        if TEXTS[path].count("\n") > 300:
            yield name_of(path)


def twins() -> Iterator[str]:
    """Files of one name in two rooms, where they are not the same part of two analyses."""
    homes = defaultdict(list)
    for path in FILES:
        # What stands beside the rooms is the home of what they share.
        if path.stem != "__init__" and path.parent != PACKAGE:
            homes[path.name].append(path)
    for name, paths in sorted(homes.items()):
        rooms = {path.parent for path in paths}
        # What the same part of several analyses shares stands beside their folders.
        if len(rooms) > 1 and not all((PACKAGE / "tl") in (room, room.parent) for room in rooms):
            yield f"{name}: {', '.join(sorted(name_of(path.parent) for path in paths))}"


RULES = {
    "imports run one way": lambda: upwards("now"),
    "imports in functions and for types run one way": lambda: upwards("lazy", "types"),
    "no circles between rooms": circles,
    "statistics know arrays only": beyond_arrays,
    "what is heavy is imported where it is used": heavy_now,
    "what is heavy comes with no room and no worker": heavy_at_once,
    "absolute imports": relative,
    "the formatter formats": unformatted,
    "no file above 300 lines": long_files,
    "no two files of one name in two rooms": twins,
}


@pytest.mark.parametrize("rule", RULES)
def test_house__keeps_its_rules(rule):
    broken = set(RULES[rule]())
    print(f"{rule}: broken {len(broken)} times")
    assert broken - OPEN[rule] == set(), f"{rule}: newly broken"
    assert OPEN[rule] - broken == set(), f"{rule}: mended, so that the entry has to go"


def test_house__has_a_floor_for_every_room():
    assert {room_of(path) for path in FILES} <= set(FLOOR)
