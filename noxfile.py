"""The tests with other versions of Python and of what the package stands on.

    nox                            every session, as make compat does
    nox --session oldest-3.11      one of them; nox --list names all

Each session makes an environment in build/nox and runs the tests of what other
libraries can break. A warning is an error there, too, except with pre-releases.

Every interpreter must be on the PATH. On Linux, pip's torch brings several GB of CUDA
libraries; PIP_EXTRA_INDEX_URL takes the CPU build from PyTorch's index.
"""

from __future__ import annotations

import configparser
from pathlib import Path

import nox
from packaging.requirements import Requirement

PYTHONS = ["3.11", "3.12", "3.13"]
EXTRAS = ["export", "plot", "store"]
PACKAGE = f".[{','.join(EXTRAS)}]"
TOOLS = ["cloudpickle", "hypothesis", "onnxruntime", "pytest>=9", "pytest-xdist"]
TOOLS.append("pyyaml")  # of model cards
# scikit-learn gave pytest one until 1.7, which pytest 9 deprecates.
GENERATOR = "ignore:Passing a non-Collection iterable to parametrize"

# These run in make test alone, with the versions of constraints.txt.
OF_THE_REPOSITORY = ["tests/benchmarks", "tests/project"]
OF_OTHER_EXTRAS = [
    *("jedi_sklearn/encoders/video", "tests/encoders/video", "tests/clients"),
    "tests/encoders/test_hugging_face.py",
]
OF_ARITHMETIC = [
    *("tests/classifier/test_ablations.py", "tests/inputs/test_row_weights.py"),
    *("tests/training/test_batches.py", "tests/training/test_cuda_graph.py"),
    *("tests/training/test_dropout.py", "tests/training/test_features.py"),
    *("tests/training/test_joint_network.py", "tests/training/test_layers.py"),
    *("tests/training/test_losses.py", "tests/training/test_plain_reference.py"),
    *("tests/training/test_precision.py", "tests/training/test_scaling.py"),
    "tests/fuzz",
]
OF_PROCESSES = [
    *("tests/classifier/test_load.py", "tests/embeddings/test_store_crashes.py"),
    "tests/training/test_distributed.py",
]
LEFT_OUT = [*OF_THE_REPOSITORY, *OF_OTHER_EXTRAS, *OF_ARITHMETIC, *OF_PROCESSES]

nox.options.envdir = "build/nox"
nox.options.error_on_missing_interpreters = True


def requirements(*extras: str) -> list[Requirement]:
    """Return what setup.cfg says that the package and some of its extras need."""
    setup = configparser.ConfigParser()
    setup.read(Path(__file__).with_name("setup.cfg"), encoding="utf-8")
    texts = [setup["options"]["install_requires"]]
    texts += [setup["options.extras_require"][extra] for extra in extras]
    lines = dict.fromkeys(line for text in texts for line in text.splitlines() if line)
    return [Requirement(line) for line in lines]


def lower_bounds(python: str) -> list[str]:
    """Return the lower bounds in setup.cfg, for one Python, as exact versions."""
    exact = []
    for requirement in requirements(*EXTRAS):
        [bound] = requirement.specifier
        marker = requirement.marker
        if marker is None or marker.evaluate({"python_version": python}):
            exact.append(f"{requirement.name}=={bound.version}")
    return exact


def run_tests(session: nox.Session, *warnings: str) -> None:
    """Say which versions are there, and run the tests."""
    session.run("python", "-m", "pip", "list", "--disable-pip-version-check")
    session.run(
        *("python", "-m", "pytest", "-q", "-n", "2", "-m", "not slow"),
        *("-p", "no:cacheprovider"),
        *(f"--ignore-glob={path}" for path in LEFT_OUT),
        *(argument for warning in warnings for argument in ("-W", warning)),
        *session.posargs,
        env={"MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1"},
    )


@nox.session(python=PYTHONS)
def oldest(session: nox.Session) -> None:
    """Run with the lower bounds in setup.cfg."""
    assert isinstance(session.python, str)
    # matplotlib 3.9 calls what pyparsing 3.3 deprecates.
    others = [*TOOLS, "pyparsing<3.3"]
    session.install(*lower_bounds(session.python), *others, "--editable", PACKAGE)
    run_tests(session, GENERATOR)


@nox.session(python="3.12")
@nox.parametrize(
    ("scikit_learn", "skorch", "torch"),
    [("1.7", "1.3.0", "2.8"), ("1.8", "1.3.1", "2.11")],
    ids=["1.7", "1.8"],
)
def between(session: nox.Session, scikit_learn: str, skorch: str, torch: str) -> None:
    """Run with releases between these, and the last before pandas 3."""
    releases = [f"scikit-learn=={scikit_learn}.*", "pandas==2.3.*", "numpy==2.3.*"]
    releases += [f"skorch=={skorch}.*", f"torch=={torch}.*"]
    session.install(*releases, *TOOLS, "--editable", PACKAGE)
    # torch 2.8 leaves the file open in which it notes an export that failed.
    run_tests(session, GENERATOR, "ignore::pytest.PytestUnraisableExceptionWarning")


@nox.session(python=PYTHONS)
def newest(session: nox.Session) -> None:
    """Run with the newest releases."""
    session.install(*TOOLS, "--editable", PACKAGE)
    run_tests(session)


@nox.session(python=PYTHONS[-1])
def prereleases(session: nox.Session) -> None:
    """Run with pre-releases of all that the package needs but torch; they may warn."""
    session.install(*TOOLS, "--editable", PACKAGE)
    names = dict.fromkeys(requirement.name for requirement in requirements())
    others = [name for name in names if name != "torch"]
    session.install("--upgrade", "--pre", *others)
    run_tests(session, "default")


@nox.session(python=PYTHONS[0])
def clients(session: nox.Session) -> None:
    """Run what other people's tools do with the classifier, MLflow among them."""
    session.install(
        *("hyperopt", "mlflow-skinny", "pytest>=9"),
        *("--editable", ".[clients,cluster,export,plot]"),
    )
    # Where one is missing its tests would be skipped.
    session.run("python", "-c", "import hyperopt, mlflow")
    session.run(
        *("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/clients"),
        *session.posargs,
        env={"MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1"},
    )
