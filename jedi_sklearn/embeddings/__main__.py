"""The command line: ``python -m jedi_sklearn.embeddings``."""

from __future__ import annotations

import sys
import warnings
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import joblib
import pandas as pd

from ._dtypes import STORED_AS
from ._export import export_safetensors
from ._store import EmbeddingStore

DESCRIPTION = """Embeddings that frozen experts make of files, kept in a directory.

  python -m jedi_sklearn.embeddings extract STORE --samples clips.csv \\
      --expert hmdb51=my_experts:hmdb51 --expert ucf101=ucf101.joblib
  python -m jedi_sklearn.embeddings info STORE
  python -m jedi_sklearn.embeddings verify STORE
  python -m jedi_sklearn.embeddings export STORE --samples clips.csv \\
      --expert hmdb51 --output hmdb51.safetensors
"""
SAMPLES = (
    "a CSV file with a column 'path' and, for several datasets, a column 'dataset'; "
    "without that, the dataset has the name of the file"
)
EXPERT = (
    "a name, and a fitted expert: MODULE:NAME is an estimator in a Python module, or a "
    "function that returns one; FILE.joblib is a pickle, which can run anything, so "
    "that its origin must be trusted"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return the status with which the process is to exit."""
    options = _parser().parse_args(arguments)
    with warnings.catch_warnings(record=True, action="always") as caught:
        try:
            return int(options.command(options))
        except (ValueError, OSError, ImportError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        finally:
            for warning in caught:
                print(f"warning: {warning.message}", file=sys.stderr)


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="python -m jedi_sklearn.embeddings",
        description=DESCRIPTION,
        formatter_class=RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    extract = commands.add_parser(
        "extract", help="embed files, those left out that are"
    )
    extract.set_defaults(command=_extract)
    extract.add_argument("store", metavar="STORE")
    extract.add_argument("--samples", required=True, type=Path, help=SAMPLES)
    extract.add_argument(
        "--expert", required=True, action="append", metavar="NAME=EXPERT", help=EXPERT
    )
    extract.add_argument("--dtype", choices=list(STORED_AS), help="numbers on disk")
    extract.add_argument("--shard-rows", type=int, help="rows in a file (4096)")
    extract.add_argument("--on-error", choices=["raise", "skip"], default="raise")
    extract.add_argument("--n-jobs", type=int, help="threads")
    extract.add_argument("--quiet", action="store_true", help="no progress bar")

    info = commands.add_parser("info", help="list what is there")
    info.set_defaults(command=_info)
    info.add_argument("store", metavar="STORE")

    verify = commands.add_parser("verify", help="read all, find what has changed")
    verify.set_defaults(command=_verify)
    verify.add_argument("store", metavar="STORE")
    verify.add_argument("--remove", action="store_true", help="what is damaged")

    export = commands.add_parser("export", help="write embeddings as safetensors")
    export.set_defaults(command=_export)
    export.add_argument("store", metavar="STORE")
    export.add_argument("--samples", required=True, type=Path, help=SAMPLES)
    export.add_argument("--expert", required=True, metavar="NAME")
    export.add_argument("--output", required=True, type=Path, metavar="FILE")
    return parser


def _extract(options: Namespace) -> int:
    store = EmbeddingStore(
        options.store,
        dtype=options.dtype,
        shard_rows=options.shard_rows,
        on_error=options.on_error,
    )
    experts = [_read_expert(text) for text in options.expert]
    datasets = _read_samples(options.samples)
    store.extract(
        experts, datasets, n_jobs=options.n_jobs, verbose=int(not options.quiet)
    )
    return _info(options)


def _info(options: Namespace) -> int:
    store = EmbeddingStore(options.store)
    table = store.info()
    print(table.to_string(index=False) if len(table) else "nothing yet")
    for failure in store.failures().itertuples():
        print(f"missing, by {failure.expert}: {failure.reason}")
    return 0


def _verify(options: Namespace) -> int:
    problems = EmbeddingStore(options.store).verify(remove=options.remove)
    for problem in problems:
        print(problem)
    print(f"{len(problems)} damaged files" if problems else "all as it was written")
    return int(bool(problems))


def _export(options: Namespace) -> int:
    datasets = _read_samples(options.samples)
    store = EmbeddingStore(options.store)
    export_safetensors(store, options.expert, datasets, options.output)
    return 0


def _read_samples(path: Path) -> dict[str, list[str]]:
    """Return the paths of each dataset in a CSV file."""
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    if "path" not in table:
        raise ValueError(f"{path} has no column 'path'; it has {list(table)}.")
    if "dataset" not in table:
        table["dataset"] = path.stem
    return {str(name): rows["path"].tolist() for name, rows in table.groupby("dataset")}


def _read_expert(text: str) -> tuple[str, Any]:
    """Return name and estimator of ``NAME=EXPERT``."""
    name, equals, place = text.partition("=")
    if not name or not equals or not place:
        raise ValueError(f"--expert {text!r} must be NAME=MODULE:NAME or NAME=FILE.")
    if ":" not in place:
        return name, joblib.load(place)
    try:
        found = resolve_name(place)
    except AttributeError as error:
        raise ValueError(f"--expert {text!r}: {error}") from error
    return name, found if hasattr(found, "get_params") else found()


if __name__ == "__main__":
    sys.exit(main())
