"""Runs the study and writes its report: ``python -m benchmarks.evidence --help``."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from tempfile import mkdtemp

from .data import EXTRA, Data, glyphs, openml, subsample
from .regimes import REGIMES
from .study import Plan, run

HERE = Path(__file__).parent
RESULTS = HERE / "results"
QUICK = ("expert", "refitted head", "logistic regression", "JEDI", "no distillation")


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evidence")
    add = parser.add_argument
    add("--seeds", type=int, default=10, metavar="N", help="seeds 0 to N - 1")
    add("--regimes", nargs="+", choices=REGIMES, default=list(REGIMES))
    add("--contestants", nargs="+", metavar="NAME", help="by default all")
    add("--jobs", type=int, default=2, help="processes of one thread each")
    add("--out", type=Path, help="folder of the results; of the quick form a new one")
    add("--data", choices=sorted(EXTRA), default="glyphs")
    add("--validation", action="store_true", help="score held-out training rows")
    add("--quick", action="store_true", help="a small form that only shows it runs")
    add("--report-only", action="store_true", help="run nothing")
    add("--document", type=Path, help="a Markdown file to write the tables into")
    add("--figures", type=Path, help="a folder to draw the figures into")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Run what is missing, then report what there is."""
    from .document import report

    asked = parse(arguments)
    out = asked.out or (Path(mkdtemp()) if asked.quick else RESULTS)
    folder = out / ("quick" if asked.quick else asked.data)
    if asked.validation:
        folder = folder / "validation"
    plan = plan_of(asked)
    if not asked.report_only:
        run(plan, load(asked), folder, asked.jobs)
    report(folder, plan, command_of(arguments), asked.document)
    if asked.figures is not None:
        from .figures import draw

        draw(folder, plan, load(asked), asked.figures)


def command_of(arguments: list[str] | None) -> str:
    """Return the command line that makes the results, as it would be typed."""
    given = sys.argv[1:] if arguments is None else arguments
    given = [argument for argument in given if argument != "--report-only"]
    return shlex.join(["python", "-m", "benchmarks.evidence", *given])


def plan_of(asked: argparse.Namespace) -> Plan:
    """Return what is asked for; the quick form overrides most of it."""
    extra = EXTRA[asked.data]
    if asked.quick:
        names = asked.contestants or QUICK
        return Plan(("tenth",), range(2), names, extra, {"max_epochs": 5})
    return Plan(
        asked.regimes,
        range(asked.seeds),
        asked.contestants,
        extra,
        validation=asked.validation,
    )


def load(asked: argparse.Namespace) -> Data:
    """Load the images."""
    data = glyphs() if asked.data == "glyphs" else openml()
    return subsample(data, 30, 10) if asked.quick else data


if __name__ == "__main__":
    main()
