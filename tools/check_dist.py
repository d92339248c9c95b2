"""Check what is about to be released: the sdist, the wheel, and what pip makes of it.

    python tools/check_dist.py dist

The sdist must hold the files of the repository, so that whoever packages the project
can run its tests, and nothing that a build left lying about. The wheel is installed
into a new environment, with the versions of constraints.txt, where
tools/fit_installed.py fits a classifier; a warning is an error there, too. That the
wheel holds the package and nothing else is for check-wheel-contents to say.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
import venv
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[1]
CONSTRAINTS = ROOT / "constraints.txt"
FIT = ROOT / "tools" / "fit_installed.py"


def repository_files() -> list[str]:
    """Return the files that git has or would add, but those it deletes."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return [name for name in done.stdout.splitlines() if (ROOT / name).exists()]


def sdist_problems(members: Iterable[str], repository: Iterable[str]) -> list[str]:
    """Return what is in only one of an sdist and the repository.

    Parameters
    ----------
    members : iterable of str
        Files in the archive, below its one folder.
    repository : iterable of str
        Files of the repository. Hidden ones, which configure git and CI, are not
        expected in the archive.
    """
    expected = {name for name in repository if not name.startswith(".")}
    made = {"PKG-INFO"}
    found = {
        name
        for name in (str(PurePosixPath(*PurePosixPath(m).parts[1:])) for m in members)
        if name not in made and ".egg-info/" not in name
    }
    return [
        *(f"{name} is not in the sdist" for name in sorted(expected - found)),
        *(
            f"{name} of the sdist is not of the repository"
            for name in sorted(found - expected)
        ),
    ]


def fit_from(wheel: Path) -> None:
    """Install a wheel into an environment of its own, and fit from there."""
    with tempfile.TemporaryDirectory(prefix="jedi-installed-") as folder:
        venv.create(folder, with_pip=False)
        python = Path(folder) / "bin" / "python"
        pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "-qq"]
        pip += ["--disable-pip-version-check", "--no-input", "--no-compile"]
        pip += ["--constraint", str(CONSTRAINTS), str(wheel.resolve())]
        subprocess.run(pip, check=True)
        fit = [str(python), "-I", "-W", "error", str(FIT)]
        subprocess.run(fit, check=True, cwd=folder)


def main(folder: Path) -> int:
    """Return 0 if the one sdist and the one wheel in a folder are fit for release."""
    [sdist], [wheel] = folder.glob("*.tar.gz"), folder.glob("*.whl")
    with tarfile.open(sdist) as archive:
        members = [member.name for member in archive if member.isfile()]
    problems = sdist_problems(members, repository_files())
    for problem in problems:
        print(problem)
    if not problems:
        fit_from(wheel)
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
