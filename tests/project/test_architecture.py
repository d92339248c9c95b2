"""The rooms of the package: which may import which, and how large they may grow."""

import configparser
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hang_guards import SECONDS

from tools.house import (
    PACKAGE,
    Arrow,
    Module,
    code_lines,
    file_sizes,
    find_cycle,
    function_sizes,
    import_depth,
    inner,
    read_arrows,
    read_modules,
    records,
    top_level,
    used_once,
)

ROOT = Path(__file__).resolve().parents[2]

# Room -> the other rooms that it may import. A room is a folder or a module of the top
# level; "" is the package's own __init__. Whoever adds a room adds its row.
ROOMS: dict[str, set[str]] = {
    "": {
        "classifier",
        "inputs",
        "metrics",
        "models",
    },
    "classifier": {
        "embeddings",
        "experts",
        "inputs",
        "inspection",
        "models",
        "training",
        "utils",
    },
    "inspection": {"inputs", "metrics", "utils"},
    "metrics": {"experts", "inputs", "utils"},
    "training": {
        "models.weights",
        "inputs.row_weights",
        "training.callbacks",
        "training.data",
        "training.network",
        "utils",
    },
    "training.callbacks": {
        "training.data",
        "training.distributed",
        "training.history",
        "utils",
    },
    "training.network": {"models.weights", "training.data"},
    "training.data": {"inputs.row_weights", "training.distributed"},
    "models": {"encoders", "experts", "utils"},
    "embeddings": {"experts", "inputs", "utils"},
    "experts": {"encoders", "inputs", "utils"},
    "encoders": {"encoders.video", "utils"},
    "encoders.video": {
        "encoders",
        "encoders.video.annotations",
        "encoders.video.networks",
        "encoders.video.reading",
        "utils",
    },
    "encoders.video.annotations": {"utils"},
    "encoders.video.networks": {"utils"},
    "encoders.video.reading": {"encoders", "utils"},
    "model_selection": {"inputs", "utils"},
    "preprocessing": {"inputs", "utils"},
    "inputs": {"utils"},
    "datasets": {"utils"},
    "utils": set(),
    "exceptions": set(),
    "_version": set(),
}

# Any room may import these.
LEAVES = {"_version", "exceptions"}

# torch is slow to import and a loaded student does not need it. Only these rooms may
# use it, and the others import the room that always does inside functions alone.
# What a fit alone imports.
TRAINS = {
    "classifier.after_training",
    "classifier.fit",
    "classifier.fit_rows",
    "training",
}
TORCH_ROOMS = {"utils.device", "encoders", *TRAINS}
LAZY_ROOMS = {"inspection._card_file", *TRAINS}
TORCH = {"skorch", "torch"}

# What a user may install along.
EXTRAS = ("export", "plot", "store", "transformers", "video")

# These replace torch's CPU build by one for CUDA, or fail beside it.
FORBIDDEN = {"pytorchvideo", "timm", "torchvision"}

# Names on import that differ from the names in setup.cfg.
DISTRIBUTIONS = {"PIL": "pillow", "sklearn": "scikit-learn", "yaml": "pyyaml"}

# Code lines, without docstrings, comments and blank lines. A signature is not counted:
# a constructor's is as long as the method has parameters.
MAX_FUNCTION_LINES = 45
MAX_FILE_LINES = 450

MAX_TOP_FOLDERS = 10
MAX_TOP_MODULES = 5
MAX_DEPTH = 10
MAX_RECORDS = 12
MAX_USED_ONCE = 0.12


def is_in(name: str | None, rooms: set[str]) -> bool:
    return name is not None and any(f"{name}.".startswith(f"{r}.") for r in rooms)


def room_of(name: str | None) -> str | None:
    """Return the innermost room that a module is in."""
    if name == "":
        return name
    fitting = [room for room in ROOMS if room and is_in(name, {room})]
    return max(fitting, key=len, default=None)


def wrong_arrows(arrows: list[Arrow]) -> list[str]:
    """Return the imports between rooms that the table does not allow."""
    wrong = []
    for arrow in arrows:
        source, target = inner(arrow.source), inner(arrow.target)
        if target is None:
            continue
        room = room_of(source)
        allowed = LEAVES | (ROOMS[room] if room is not None else set())
        if room_of(target) != room and not is_in(target, allowed):
            wrong.append(str(arrow))
    # One statement that imports two names is one wrong arrow.
    return list(dict.fromkeys(wrong))


def torch_outside(arrows: list[Arrow]) -> list[str]:
    """Return the imports by which torch comes in where it is not wanted."""
    return [
        str(arrow)
        for arrow in arrows
        if not is_in(inner(arrow.source), TORCH_ROOMS)
        and (
            arrow.target.partition(".")[0] in TORCH
            or (is_in(inner(arrow.target), LAZY_ROOMS) and not arrow.lazy)
        )
    ]


def third_party(arrows: list[Arrow]) -> set[str]:
    roots = {arrow.target.partition(".")[0] for arrow in arrows}
    return roots - set(sys.stdlib_module_names) - {PACKAGE}


def declared() -> set[str]:
    """Return the distributions that setup.cfg names for users."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    lines = config["options"]["install_requires"].split("\n")
    for extra in EXTRAS:
        lines += config["options.extras_require"][extra].split("\n")
    return {re.split(r"[<>=!~]", line)[0] for line in lines if line}


def too_long(module: Module) -> list[str]:
    """Return the functions, and the file, that are longer than one look or sitting."""
    sizes = [(file_sizes([module]), MAX_FILE_LINES)]
    sizes += [(function_sizes(module), MAX_FUNCTION_LINES)]
    return [
        f"{name} has {size} code lines, at most {limit} are allowed"
        for found, limit in sizes
        for name, size in found.items()
        if size > limit
    ]


MODULES = read_modules(ROOT)
ARROWS = read_arrows(MODULES)


def test_the_package_was_found():
    found = {module.name for module in MODULES}
    assert {
        PACKAGE,
        f"{PACKAGE}.classifier.fit",
        f"{PACKAGE}.training.skorch_net",
    } <= found
    assert Arrow(PACKAGE, f"{PACKAGE}.metrics", lazy=False) in ARROWS
    assert third_party(ARROWS) >= {"numpy", "sklearn", "skorch", "torch"}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_every_module_has_a_room(module):
    name = inner(module.name)
    assert room_of(name) is not None


def test_arrows_run_downward():
    assert wrong_arrows(ARROWS) == []


def test_no_import_cycles():
    assert find_cycle(ARROWS) == []


def test_torch_stays_in_its_rooms():
    assert torch_outside(ARROWS) == []


def test_every_import_is_declared():
    imported = {DISTRIBUTIONS.get(name, name) for name in third_party(ARROWS)}
    assert imported - declared() == set()


def test_no_forbidden_import():
    assert third_party(ARROWS) & FORBIDDEN == set()


def test_import_needs_neither_torch_nor_matplotlib():
    heavy = TORCH_ROOMS | LAZY_ROOMS
    light = [m.name for m in MODULES if not is_in(inner(m.name), heavy)]
    unwanted = TORCH | {"matplotlib"}
    program = f"import sys, {', '.join(light)}; print({unwanted} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_functions_and_files_are_short(module):
    assert too_long(module) == []


def test_top_level_fits_on_one_screen():
    files, folders = top_level(MODULES)
    assert len(files) <= MAX_TOP_MODULES, files
    assert len(folders) <= MAX_TOP_FOLDERS, folders


def test_chains_of_imports_are_short():
    assert import_depth(ARROWS) <= MAX_DEPTH


def test_records_have_behaviour():
    found = records(MODULES)
    assert len(found) <= MAX_RECORDS, "\n".join(found)


def test_helpers_are_shared():
    found = used_once(MODULES)
    n_functions = sum(len(function_sizes(module)) for module in MODULES)
    assert len(found) <= MAX_USED_ONCE * n_functions, "\n".join(found)


def write_package(root: Path, **sources: str) -> list[Module]:
    """Write modules into a package below `root`; `__` in a name stands for a slash."""
    for name, source in sources.items():
        path = root / PACKAGE / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")
    return read_modules(root)


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("inputs__read_x", "from jedi_sklearn import classifier"),
        ("inputs__read_x", "from .. import classifier"),
        ("inputs__read_x", "import jedi_sklearn"),
        (
            "models__onnx_export",
            "def f():\n    from jedi_sklearn.classifier.fit import A",
        ),
        ("utils__files", "from jedi_sklearn.models.weights import A"),
        ("encoders___mlp", "from ..classifier.fit import A"),
        (
            "inputs__a",
            "from importlib import import_module\nimport_module('..metrics')",
        ),
        ("training__data__rows", "from jedi_sklearn.training import skorch_net"),
        ("unheard_of", "import jedi_sklearn.metrics"),
        ("training__data__unheard_of", "from .. import losses"),
    ],
)
def test_wrong_arrows__upward__found(tmp_path, name, source):
    modules = write_package(
        tmp_path,
        metrics="",
        classifier__fit="A = 1",
        models__weights="A = 1",
        training__skorch_net="",
        **{name: source},
    )
    assert len(wrong_arrows(read_arrows(modules))) == 1


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("__init__", "from .classifier import A"),
        ("classifier__fit", "def f():\n    import jedi_sklearn.training.skorch_net"),
        ("models__onnx_export", "from jedi_sklearn.models.weights import Linear"),
        ("training__skorch_net", "from jedi_sklearn.training import losses"),
        ("training__losses", "from jedi_sklearn.models.weights import Linear"),
        ("datasets___glyphs", "from ..exceptions import A"),
    ],
)
def test_wrong_arrows__downward__none(tmp_path, name, source):
    modules = write_package(tmp_path, **{"training__losses": "", name: source})
    assert wrong_arrows(read_arrows(modules)) == []


@pytest.mark.parametrize(
    ("source", "n_found"),
    [
        ("def f():\n    import torch.nn", 1),
        ("from skorch import NeuralNet", 1),
        ("from jedi_sklearn.training import fit", 1),
        ("class A:\n    from jedi_sklearn.training import fit", 1),
        ("def f():\n    from jedi_sklearn.training import fit", 0),
        ("if TYPE_CHECKING:\n    from jedi_sklearn.training import fit", 0),
        ("import torchinfo", 0),
    ],
)
def test_torch_outside__finds_leaks(tmp_path, source, n_found):
    modules = write_package(tmp_path, inputs__read_x=source)
    assert len(torch_outside(read_arrows(modules))) == n_found


def test_find_cycle__lazy_import__found(tmp_path):
    modules = write_package(
        tmp_path,
        metrics="from jedi_sklearn import inspection",
        inspection="def f():\n    from jedi_sklearn.metrics import evaluate",
    )
    assert len(find_cycle(read_arrows(modules))) == 3


def test_too_long__counts_code_alone():
    body = '    """Doc.\n\n    More.\n    """\n    # why\n\n' + "    x = 1\n" * 45
    module = Module("m", "m", f"def f(\n    a,\n    b,\n):\n{body}")
    assert too_long(module) == []
    assert len(code_lines(module)) == 49

    longer = Module("m", "m", f"{module.source}    y = 2\n")
    assert too_long(longer) == ["m:1 f has 46 code lines, at most 45 are allowed"]
    assert len(too_long(Module("m", "m", "x = 1\n" * 451))) == 1
