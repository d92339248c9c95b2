"""Model card of a fitted classifier."""

from __future__ import annotations

import inspect
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from io import BytesIO
from typing import Any

import numpy.typing as npt
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from .._version import __version__
from ..metrics import Scored, score_labelled, table_of
from ._agreement import AgreementDisplay, agreement_of
from ._class_gains import ClassGainsDisplay, class_gains
from ._curves import TrainingCurvesDisplay
from ._predictions import answers_of
from ._reliability import ReliabilityDisplay, bins_of

# Mark of skops for text that the author of a card has to add.
_MISSING = "[More Information Needed]"

_TAGS = ["jedi_sklearn", "scikit-learn", "knowledge-distillation", "multi-dataset"]

_PACKAGES = ("scikit-learn", "torch", "skorch", "numpy", "pandas")

# Largest number of labels that a card lists.
_MANY_LABELS = 20

_DESCRIPTION = """\
A `JEDIClassifier` for {datasets}, trained by Joint Expert Distillation (JEDI).

Experts, which are encoders with a linear classifier, stay as they are. Of each dataset
there is a *student*, which adjusts the embedding of its expert by a small residual
network, and a *teacher*, which is given what all experts make of a row. They are
trained together: both on the labelled rows of their dataset, the student also on what
its teacher predicts for rows that need no label; how, the parameters below say.
`predict` asks the students. Teachers are there for the training, and in `teachers_`.
"""

_USES = f"""\
What the model is made for, and what it must not be used for, is not known to the
program that wrote this card. {_MISSING}
"""

_LIMITATIONS = f"""\
- A student gives every row one of the classes of its own dataset, those listed below,
  whether it is one of them or not.
- It sees of a row what its expert's encoder makes of it, and needs that encoder, in the
  state in which it was trained.
- It learns from its teacher's predictions, mistakes included.
- Its scores hold for rows like those that they were computed on.

Of risks and biases of the data the program that wrote this card knows nothing.
{_MISSING}
"""

_DATASETS = """\
Rows are those that the model was trained on, each by its sample weight. How many of
them had a label is not kept in the model.
"""

_TRAINING = """\
{n_epochs} epochs. Accuracies after the last one: as it went, under dropout, and on
validation rows where some were given.
"""

_EVALUATION = f"""\
On the labelled rows that were given for this card. Whether the model, or an expert, has
seen them in training is for the author of the card to say. {_MISSING}
"""

_LOADING = """\
In a file that `skops.io.dump` wrote, which runs nothing when it is read:

```python
from skops import io

names = io.get_untrusted_types(file="model.skops")
for name in names:  # look at them before you trust them
    print(name)
clf = io.load("model.skops", trusted=names)
clf.predict({{{dataset!r}: rows}})
```

In a pickle, which runs whatever its writer wanted: `joblib.load("model.joblib")`, from
sources that you trust alone. A single student is written by
`clf.students_[{dataset!r}].export("student.safetensors")` and read by
`jedi_sklearn.load_student`.
"""

_CITATION = """\
```bibtex
@misc{bicsi2023jedi,
  title = {{JEDI}: Joint Expert Distillation in a Semi-Supervised Multi-Dataset
           Student-Teacher Scenario for Video Action Recognition},
  author = {Bicsi, Lucian and Alexe, Bogdan and Ionescu, Radu Tudor and
            Leordeanu, Marius},
  year = {2023},
  eprint = {2308.04934},
  archivePrefix = {arXiv},
}
```
"""


@dataclass(frozen=True)
class Picture:
    """A display with the section, the file and the text that it gets."""

    section: str
    name: str
    display: Any
    text: str


def write_card(
    estimator: Any, parameters: Mapping[str, Any], X: Any = None, y: Any = None
) -> Any:
    """Return the card of a fitted classifier.

    Parameters
    ----------
    estimator : JEDIClassifier
    parameters : mapping of str to object
        Those on which the model depends, for a table.
    X, y : optional
        Rows to evaluate the model on.

    Raises
    ------
    ImportError
        If skops or matplotlib is not installed.
    NotFittedError
        If the estimator is not fitted.
    ValueError
        If X is given without y, or the two are not as `evaluate` takes them.
    """
    check_is_fitted(estimator)
    if (X is None) != (y is None):
        raise ValueError("X and y must be given together; one is None.")
    from ._card_file import ModelCard

    scored = {} if X is None else score_labelled(estimator, X, y)
    metadata = {"library_name": "jedi_sklearn", "tags": _TAGS}
    card = ModelCard(estimator, _sections(estimator), metadata)
    versions = {"Python": platform.python_version(), "jedi_sklearn": __version__}
    versions |= {package: version(package) for package in _PACKAGES}
    tables = {
        "Datasets": (_DATASETS, _datasets(estimator)),
        "Experts": ("", _experts(estimator)),
        "Training": (
            _TRAINING.format(n_epochs=estimator.n_iter_),
            _last_epoch(estimator),
        ),
        "Versions": (
            "Of what this card was written with.",
            pd.DataFrame(versions.items(), columns=["package", "version"]),
        ),
    }
    if scored:
        tables["Evaluation"] = (_EVALUATION, table_of(scored).round(4).reset_index())
    for title, (text, own) in tables.items():
        card.add_table(description=text, **{title: _escaped(own)})
    for picture in _pictures(estimator, scored):
        content = _png(picture.display)
        card.add_picture(picture.section, picture.name, content, picture.text)
    # Folded, as there are many, and in a section of its own, as folding hides what is
    # below a section.
    table = _escaped(_parameters(estimator, parameters))
    card.add_table(folded=True, **{"Training/Parameters": table})
    card.select("Training/Parameters").title = "Parameters"
    return card


def _sections(estimator: Any) -> dict[str, str]:
    """Return the texts of all sections in their order; tables are added later."""
    names = list(estimator.students_)
    listed = ", ".join(f"`{name}`" for name in names)
    datasets = f"the datasets {listed}" if len(names) > 1 else f"the dataset {listed}"
    return {
        "Model description": _DESCRIPTION.format(datasets=datasets),
        "Intended uses": _USES,
        "Limitations": _LIMITATIONS,
        "Datasets": "",
        "Experts": "",
        "Training": "",
        "Evaluation": _MISSING,
        "How to load the model": _LOADING.format(dataset=names[0]),
        "Versions": "",
        "Citation": _CITATION,
        "Authors and contact": _MISSING,
    }


def _datasets(estimator: Any) -> pd.DataFrame:
    sizes = estimator._state.sizes
    rows = []
    for name in estimator.datasets_:
        student = estimator.students_.get(name)
        rows.append(
            {
                "dataset": name,
                "rows": f"{sizes[name]:g}" if name in sizes else "not known",
                "classes": 0 if student is None else len(student.classes_),
                "labels": "" if student is None else _listed(student.classes_),
                "student": _kind(student, name in estimator.kept_experts_),
            }
        )
    return pd.DataFrame(rows)


def _kind(student: Any, is_expert: bool) -> str:
    if student is None:
        return "none"
    return "the expert, which was no worse" if is_expert else "trained"


def _listed(classes: npt.NDArray) -> str:
    labels = [str(label) for label in classes[:_MANY_LABELS].tolist()]
    more = len(classes) - len(labels)
    return ", ".join([*labels, f"and {more} more"] if more else labels)


def _experts(estimator: Any) -> pd.DataFrame:
    rows = [
        {
            "expert": name,
            "of": "its dataset" if name in estimator.students_ else "features alone",
            # A line break would end the row of the table.
            "estimator": f"`{' '.join(repr(expert).split())}`",
        }
        for name, expert in estimator.experts_.items()
    ]
    return pd.DataFrame(rows)


def _last_epoch(estimator: Any) -> pd.DataFrame:
    """Return the accuracies after training, one row a dataset."""
    last = estimator.history_.tail(1)
    accuracies = {}
    for quantity in last.columns.unique("quantity"):
        if quantity.endswith("accuracy") and len(last):
            rows = "validation" if quantity.startswith("val_") else "training"
            model = quantity.removeprefix("val_").removesuffix("_accuracy")
            accuracies[f"{model}, {rows}"] = last[quantity].T.squeeze(axis=1)
    return pd.DataFrame(accuracies).round(4).reset_index(names="dataset")


def _parameters(estimator: Any, parameters: Mapping[str, Any]) -> pd.DataFrame:
    """Return a table of parameters with their values and defaults."""
    defaults = inspect.signature(type(estimator)).parameters
    rows = [
        {
            "parameter": name,
            "value": _short(value),
            "default": _short(defaults[name].default),
        }
        for name, value in parameters.items()
    ]
    return pd.DataFrame(rows)


def _short(value: Any) -> str:
    # The repr of a function shows its address, which means nothing later.
    return getattr(value, "__name__", None) or " ".join(repr(value).split())


def _escaped(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose values cannot end a cell of Markdown by a bar."""
    return table.astype(str).map(lambda cell: cell.replace("|", "\\|"))


def _pictures(estimator: Any, scored: Mapping[str, Scored]) -> list[Picture]:
    curves = TrainingCurvesDisplay.from_estimator(estimator)
    pictures = [
        Picture(
            "Training/Curves",
            "training_curves.png",
            curves,
            "Accuracy after every epoch.",
        )
    ]
    if not scored:
        return pictures
    answers = answers_of(scored)
    return [
        *pictures,
        Picture(
            "Evaluation/Gains by class",
            "class_gains.png",
            ClassGainsDisplay(class_gains(answers)).plot(),
            "Recall of each class less the expert's, with 95 % intervals.",
        ),
        Picture(
            "Evaluation/Agreement",
            "agreement.png",
            AgreementDisplay(agreement_of(answers)).plot(),
            "How often two models say the same, and who is right where they do not.",
        ),
        Picture(
            "Evaluation/Calibration",
            "calibration.png",
            ReliabilityDisplay(bins_of(scored)).plot(),
            "Whether models are right as often as they say. ECE is the expected "
            "calibration error.",
        ),
    ]


def _png(display: Any) -> bytes:
    import matplotlib.pyplot as plt

    content = BytesIO()
    display.figure_.savefig(content, format="png")
    plt.close(display.figure_)
    return content.getvalue()
