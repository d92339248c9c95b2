"""Measure the floor plan of the package: its rooms, its arrows and what is in them.

    python tools/house.py
    python tools/house.py --private
    python tools/house.py ../another_checkout

``ROOT`` is a directory that holds the folder of the package, by default the repository
of this script. ``--private`` lists what the counts of private helpers and of records
consist of. Nothing is imported: the numbers are read off the sources.

What the numbers count:

- Modules of the top level are its files but ``__init__``, folders those that have one.
- An arrow leads from a module to another of the package that it imports, once however
  often it does. An import that waits inside a function or is for types alone counts as
  one at the top does: whoever reads the module has to know what it leads to.
- The import depth is the number of modules on the longest chain of arrows. That a
  module runs the ``__init__`` of its folders is no arrow.
- A cycle is a group of modules that all lead to one another. A chain that comes by one
  of them has all of them on it.
- Code lines are lines with more on them than a docstring, a comment or nothing. Those
  of a function are its body's; methods and functions inside functions are functions.
- A comment line has a comment on it and nothing else.
- A record is a NamedTuple without a method or property of its own.
- A private helper is a function or method with one leading underscore. It is used once
  if its name stands at one place of the whole package besides its definition. An import
  is no use. Names are compared, not what they mean: two helpers, or a helper and a
  variable, that share a name count as used more often.
"""

import argparse
import ast
import io
import re
import tokenize
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from graphlib import CycleError, TopologicalSorter
from importlib.util import resolve_name
from math import ceil
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "jedi_sklearn"
ESTIMATOR = "JEDIClassifier"

FUNCTION_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
FUNCTIONS = (*FUNCTION_DEFINITIONS, ast.Lambda)
DEFINITIONS = (*FUNCTION_DEFINITIONS, ast.ClassDef)
DOCUMENTED = (*DEFINITIONS, ast.Module)
# Where the nodes of a syntax tree keep a name.
NAME_FIELDS = ("arg", "attr", "id", "name")
NO_CODE = {
    tokenize.COMMENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
    tokenize.INDENT,
    tokenize.NEWLINE,
    tokenize.NL,
}


@dataclass(frozen=True)
class Module:
    """Source file: dotted name, the package that it is in, and its text."""

    name: str
    package: str
    source: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.source, self.name)


@dataclass(frozen=True)
class Arrow:
    """Import: who, what, and whether importing the one leaves the other for later."""

    source: str
    target: str
    lazy: bool

    def __str__(self) -> str:
        return f"{self.source} imports {self.target}"


def read_modules(root: Path) -> list[Module]:
    """Read every module of the package below `root`."""
    modules = []
    for path in sorted((root / PACKAGE).rglob("*.py")):
        package = ".".join(path.parent.relative_to(root).parts)
        name = package if path.stem == "__init__" else f"{package}.{path.stem}"
        modules.append(Module(name, package, path.read_text(encoding="utf-8")))
    return modules


def read_arrows(modules: list[Module]) -> list[Arrow]:
    """List every import of every module, wherever in the module it stands."""
    known = {module.name for module in modules}
    return [
        Arrow(module.name, target, lazy)
        for module in modules
        for node, lazy in walk(module.tree)
        for target in targets(node, module.package, known)
    ]


def walk(node: ast.AST, lazy: bool = False) -> Iterator[tuple[ast.AST, bool]]:
    """Yield the nodes below `node`, each with whether importing the module skips it."""
    for child in ast.iter_child_nodes(node):
        yield child, lazy
        for_types = isinstance(child, ast.If) and "TYPE_CHECKING" in names(child.test)
        yield from walk(child, lazy or for_types or isinstance(child, FUNCTIONS))


def names(node: ast.AST) -> set[str]:
    """Return the identifiers in an expression."""
    return set(re.findall(r"\w+", ast.unparse(node)))


def targets(node: ast.AST, package: str, known: set[str]) -> list[str]:
    """Return the full names of the modules that one statement or call imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = resolve_name("." * node.level + (node.module or ""), package)
        found = [f"{base}.{alias.name}" for alias in node.names]
        return [name if name in known else base for name in found]
    if isinstance(node, ast.Call) and "import_module" in names(node.func):
        (name,) = map(ast.literal_eval, node.args)
        return [resolve_name(name, package)]
    return []


def inner(name: str) -> str | None:
    """Return a module's name inside the package, or None if it is not of it."""
    if name == PACKAGE:
        return ""
    return name.removeprefix(f"{PACKAGE}.") if name.startswith(f"{PACKAGE}.") else None


def top_level(modules: list[Module]) -> tuple[list[str], list[str]]:
    """Return the names of the modules and of the folders on the top level."""
    top = [module for module in modules if module.name.count(".") == 1]
    files = [module.name for module in top if module.name != module.package]
    return files, [module.name for module in top if module.name == module.package]


def arrows_inside(arrows: list[Arrow]) -> set[tuple[str, str]]:
    """Return who imports whom within the package, each pair once."""
    return {
        (arrow.source, arrow.target)
        for arrow in arrows
        if inner(arrow.target) is not None
    }


def find_cycle(arrows: list[Arrow]) -> list[str]:
    """Return the names along one import cycle, or nothing."""
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for arrow in arrows:
        if inner(arrow.target) is not None:
            sorter.add(arrow.source, arrow.target)
    try:
        sorter.prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def reachable(arrows: list[Arrow]) -> dict[str, set[str]]:
    """Return all that each module leads to, directly or by way of others."""
    leads_to: dict[str, set[str]] = {}
    for source, target in arrows_inside(arrows):
        leads_to.setdefault(source, set()).add(target)
        leads_to.setdefault(target, set())
    for middle, further in leads_to.items():
        for reached in leads_to.values():
            if middle in reached:
                reached |= further
    return leads_to


def cycles(arrows: list[Arrow]) -> set[frozenset[str]]:
    """Return the groups of modules that all lead to one another."""
    reached = reachable(arrows)
    return {
        frozenset(other for other in reached[module] if module in reached[other])
        for module in reached
        if module in reached[module]
    }


def import_depth(arrows: list[Arrow]) -> int:
    """Return the number of modules on the longest chain of imports."""
    reached = reachable(arrows)
    groups = {module: group for group in cycles(arrows) for module in group}

    @cache
    def depth(module: str) -> int:
        group = groups.get(module, {module})
        return len(group) + max(map(depth, reached[module] - group), default=0)

    return max(map(depth, reached), default=1)


def code_lines(module: Module) -> set[int]:
    """Return the numbers of the lines that hold code."""
    lines: set[int] = set()
    for token in tokens(module):
        if token.type not in NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(module.tree):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False):
            lines -= lines_of(node.body[:1])
    return lines


def tokens(module: Module) -> Iterator[tokenize.TokenInfo]:
    return tokenize.generate_tokens(io.StringIO(module.source).readline)


def lines_of(statements: list[ast.stmt]) -> set[int]:
    return set(range(statements[0].lineno, (statements[-1].end_lineno or 0) + 1))


def n_comment_lines(module: Module) -> int:
    """Count the lines that hold a comment alone."""
    comments = (token for token in tokens(module) if token.type == tokenize.COMMENT)
    return sum(token.line.lstrip().startswith("#") for token in comments)


def function_sizes(module: Module) -> dict[str, int]:
    """Return the number of code lines in the body of each function."""
    lines = code_lines(module)
    return {
        f"{module.name}:{node.lineno} {node.name}": len(lines & lines_of(node.body))
        for node in ast.walk(module.tree)
        if isinstance(node, FUNCTION_DEFINITIONS)
    }


def file_sizes(modules: list[Module]) -> dict[str, int]:
    """Return the number of code lines of each module."""
    return {module.name: len(code_lines(module)) for module in modules}


def definitions(
    node: ast.AST, within: str
) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]]:
    """Yield dotted name and node of every class and function below `node`."""
    for child in ast.iter_child_nodes(node):
        name = within
        if isinstance(child, DEFINITIONS):
            name = f"{within}.{child.name}"
            yield name, child
        yield from definitions(child, name)


def named_tuples(modules: list[Module]) -> dict[str, ast.ClassDef]:
    """Return the classes that are made as NamedTuples, by dotted name."""
    return {
        name: node
        for module in modules
        for name, node in definitions(module.tree, module.name)
        if isinstance(node, ast.ClassDef)
        and any("NamedTuple" in names(base) for base in node.bases)
    }


def records(modules: list[Module]) -> list[str]:
    """List the NamedTuples that have no method or property of their own."""
    return [
        name
        for name, node in named_tuples(modules).items()
        if not any(isinstance(child, FUNCTION_DEFINITIONS) for child in node.body)
    ]


def n_parameters(modules: list[Module], class_name: str = ESTIMATOR) -> int:
    """Count the parameters of a class's own constructor, without self."""
    for module in modules:
        for name, node in definitions(module.tree, ""):
            if name == f".{class_name}.__init__" and not isinstance(node, ast.ClassDef):
                given = node.args
                return len(given.posonlyargs + given.args + given.kwonlyargs) - 1
    return 0


def private_helpers(modules: list[Module]) -> list[str]:
    """List the private functions and methods by dotted name."""
    return [
        name
        for module in modules
        for name, node in definitions(module.tree, module.name)
        if isinstance(node, FUNCTION_DEFINITIONS) and is_private(node.name)
    ]


def n_private_helpers(modules: list[Module]) -> int:
    """Count the private functions and methods."""
    return len(private_helpers(modules))


def is_private(name: str) -> bool:
    """Tell whether a name has one leading underscore."""
    return name.startswith("_") and not name.startswith("__")


def used_once(modules: list[Module]) -> list[str]:
    """List the private helpers whose name stands at one place besides the definition.

    The place is looked for in the whole package.
    """
    uses = count_names(modules)
    helpers = private_helpers(modules)
    return [name for name in helpers if uses[name.rpartition(".")[2]] == 2]


def count_names(modules: list[Module]) -> Counter[str]:
    """Count at how many places each name stands, definitions too but not imports."""
    return Counter(
        getattr(node, field)
        for module in modules
        for node in ast.walk(module.tree)
        if not isinstance(node, ast.alias)
        for field in NAME_FIELDS
        if hasattr(node, field)
    )


def measure(modules: list[Module]) -> list[tuple[str, str, str]]:
    """Return the rows of the table: what, how much, and where or of how many."""
    return [*rows_of_arrows(modules), *rows_of_lines(modules), *rows_of_names(modules)]


def rows_of_arrows(modules: list[Module]) -> list[tuple[str, str, str]]:
    files, folders = top_level(modules)
    arrows = read_arrows(modules)
    n_arrows = len(arrows_inside(arrows))
    return [
        ("modules on the top level", f"{len(files)}", f"{len(modules)} in all"),
        ("folders on the top level", f"{len(folders)}", ""),
        ("import depth", f"{import_depth(arrows)}", ""),
        ("arrows a module", f"{n_arrows / len(modules):.1f}", f"{n_arrows} arrows"),
        ("import cycles", f"{len(cycles(arrows))}", " ".join(find_cycle(arrows))),
    ]


def rows_of_lines(modules: list[Module]) -> list[tuple[str, str, str]]:
    files = file_sizes(modules)
    functions = {name: n for m in modules for name, n in function_sizes(m).items()}
    sizes = sorted(functions.values())
    longest = max(functions, key=functions.__getitem__)
    biggest = max(files, key=files.__getitem__)
    n_comments, n_code = sum(map(n_comment_lines, modules)), sum(files.values())
    return [
        ("function, median", f"{median(sizes):g}", f"{len(sizes)} functions"),
        ("function, p90", f"{sizes[ceil(0.9 * len(sizes)) - 1]}", ""),
        ("function, longest", f"{functions[longest]}", longest),
        ("file, biggest", f"{files[biggest]}", biggest),
        ("comments a code line", f"{n_comments / n_code:.3f}", f"{n_code} code lines"),
    ]


def rows_of_names(modules: list[Module]) -> list[tuple[str, str, str]]:
    n_functions = sum(len(function_sizes(module)) for module in modules)
    n_once, n_private = len(used_once(modules)), n_private_helpers(modules)
    n_tuples = len(named_tuples(modules))
    return [
        (f"parameters of {ESTIMATOR}", f"{n_parameters(modules)}", ""),
        ("NamedTuples", f"{n_tuples}", ""),
        ("NamedTuples without behaviour", f"{len(records(modules))}", ""),
        ("private helpers", f"{n_private}", ""),
        ("private helpers used once", f"{n_once}", ""),
        ("  of all functions", f"{n_once / n_functions:.1%}", ""),
        ("  of private helpers", f"{n_once / n_private:.1%}", ""),
    ]


def table(rows: list[tuple[str, str, str]]) -> str:
    """Lay rows out in columns: text to the left, numbers to the right."""
    first, second = (max(len(row[i]) for row in rows) for i in (0, 1))
    lines = (f"{what:{first}}  {much:>{second}}  {note}" for what, much, note in rows)
    return "\n".join(line.rstrip() for line in lines)


def listed(title: str, found: list[str]) -> str:
    return "\n  ".join([f"\n{title}:", *found])


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the package's floor plan.")
    parser.add_argument("root", metavar="ROOT", nargs="?", type=Path, default=ROOT)
    parser.add_argument(
        "--private",
        action="store_true",
        help="list the private helpers used once and the NamedTuples without behaviour",
    )
    given = parser.parse_args()
    modules = read_modules(given.root)
    if not modules:
        parser.error(f"{given.root} holds no folder {PACKAGE} with modules")
    print(table(measure(modules)))
    if given.private:
        print(listed("Private helpers used once", used_once(modules)))
        print(listed("NamedTuples without behaviour", records(modules)))


if __name__ == "__main__":
    main()
