"""What a model card says, and the files that it is made of."""

from __future__ import annotations

import pickle
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import sklearn
import yaml
from PIL import Image
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skops.card import Card

from jedi_sklearn import JEDIClassifier, evaluate

mpl.use("Agg")

from matplotlib import pyplot as plt

MISSING = "[More Information Needed]"
PICTURES = {
    "training_curves.png",
    "class_gains.png",
    "agreement.png",
    "calibration.png",
}


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    plt.close("all")
    yield
    plt.close("all")


def make_data(seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    rng = np.random.default_rng(seed)
    X = {"cats": rng.normal(size=(30, 3)), "dogs|wolves": rng.normal(size=(40, 3))}
    y = {
        "cats": np.where(X["cats"][:, 0] > 0, "old", "young"),
        "dogs|wolves": np.arange(40) % 25,
    }
    return X, y


def same(scores: Any, teacher: Any, temperature: float) -> Any:
    """Stand for a loss of a user's own."""
    return ((scores - teacher) ** 2).mean(axis=1)


def fit(**params: Any) -> JEDIClassifier:
    X, y = make_data(0)
    experts = [
        ("cats", make_pipeline(StandardScaler(), LogisticRegression(C=0.25))),
        ("dogs|wolves", StandardScaler()),
    ]
    clf = JEDIClassifier(
        experts, adjustment_units=4, random_state=0, **{"max_epochs": 2} | params
    )
    return clf.fit(X | {"birds": X["cats"]}, y)


@pytest.fixture(scope="module")
def clf() -> JEDIClassifier:
    return fit(distillation_loss=same)


@pytest.fixture(scope="module")
def saved(clf: JEDIClassifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the card of an estimator that came out of a pickle is."""
    path = tmp_path_factory.mktemp("card") / "README.md"
    card = pickle.loads(pickle.dumps(clf)).model_card(*make_data(1))
    assert isinstance(card, Card)
    card.save(path)
    return path


def parts(text: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the front matter and the text of each section."""
    _, front, body = re.split(r"^---\n", text, maxsplit=2, flags=re.MULTILINE)
    cut = re.split(r"^#+ (.+)\n", body, flags=re.MULTILINE)
    return yaml.safe_load(front), dict(zip(cut[1::2], cut[2::2], strict=True))


def rows(section: str) -> list[list[str]]:
    """Return the cells of a section's table, its header first."""
    lines = [line for line in section.splitlines() if line.startswith("|")]
    cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]
    return [[cell.strip() for cell in own] for own in cells[:1] + cells[2:]]


def test_front_matter__is_yaml_that_leaves_the_license_open(saved):
    text = saved.read_text()
    assert text.startswith("---\n")
    metadata, _ = parts(text)
    assert metadata["library_name"] == "jedi_sklearn"
    assert "jedi_sklearn" in metadata["tags"]
    assert set(metadata) == {"library_name", "tags"}
    assert "# license:" in text.partition("\n---\n")[0]


def test_front_matter__what_is_added_is_in_it(clf):
    card = clf.model_card()
    card.metadata |= {"license": "mit", "language": ["en", 'a "quoted": é']}
    metadata, _ = parts(card.render())
    assert metadata["license"] == "mit"
    assert metadata["language"] == ["en", 'a "quoted": é']
    assert "# license:" not in card.render()


def test_evaluation__is_the_table(clf, saved):
    _, sections = parts(saved.read_text())
    header, *table = rows(sections["Evaluation"])
    expected = evaluate(clf, *make_data(1)).round(4).reset_index()
    assert header == list(expected)
    escaped = expected.astype(str).replace("dogs|wolves", r"dogs\|wolves")
    assert table == escaped.to_numpy().tolist()


def test_pictures__lie_beside_the_card_and_are_named_in_it(saved):
    assert {path.name for path in saved.parent.iterdir()} == {"README.md", *PICTURES}
    named = re.findall(r"!\[[^]]+\]\(([^)]+)\)", saved.read_text())
    assert set(named) == PICTURES
    for name in named:
        with Image.open(saved.parent / name) as image:
            assert min(image.size) > 100
            assert len(set(image.convert("L").histogram())) > 10


def test_picture_of_a_section_that_was_deleted__is_not_written(clf, tmp_path):
    card = clf.model_card()
    card.delete("Training/Curves")
    card.save(str(tmp_path / "card.md"))
    assert [path.name for path in tmp_path.iterdir()] == ["card.md"]


def test_datasets__rows_classes_and_what_became_of_them(saved):
    _, sections = parts(saved.read_text())
    header, *table = rows(sections["Datasets"])
    assert header == ["dataset", "rows", "classes", "labels", "student"]
    numbers = ", ".join(map(str, range(20)))
    assert table == [
        ["birds", "30", "0", "", "none"],
        ["cats", "30", "2", "old, young", "trained"],
        [r"dogs\|wolves", "40", "25", f"{numbers}, and 5 more", "trained"],
    ]


def test_student_that_is_its_expert__is_called_that():
    clf = fit(keep_expert=True, learning_rate=10.0)
    assert clf.kept_experts_
    _, sections = parts(clf.model_card().render())
    students = {row[0].replace("\\", ""): row[-1] for row in rows(sections["Datasets"])}
    for name in clf.kept_experts_:
        assert students[name] == "the expert, which was no worse"


def test_experts_parameters_and_training(clf, saved):
    _, sections = parts(saved.read_text())
    experts = {row[0]: row[2] for row in rows(sections["Experts"])[1:]}
    assert "LogisticRegression(C=0.25" in experts["cats"]
    assert "\n" not in experts["cats"]
    parameters = {row[0]: row[1:] for row in rows(sections["Parameters"])[1:]}
    assert parameters["max_epochs"] == ["2", "100"]
    assert parameters["distillation_loss"] == ["same", "'cross_entropy'"]
    # Where things were kept is nobody's business.
    assert not {"memory", "checkpoint", "experts"} & set(parameters)
    assert sections["Training"].strip().startswith("2 epochs.")
    header, *table = rows(sections["Training"])
    last = clf.history_.iloc[-1]["student_accuracy"]
    accuracies = [row[header.index("student, training")] for row in table]
    assert accuracies == last.round(4).astype(str).tolist()


def test_without_rows__no_scores_but_a_mark(clf):
    _, sections = parts(clf.model_card().render())
    assert sections["Evaluation"].strip() == MISSING
    assert "Calibration" not in sections
    # What only a person can know is asked for.
    for title in ("Intended uses", "Limitations", "Authors and contact"):
        assert MISSING in sections[title]
    assert "bicsi2023jedi" in sections["Citation"]
    assert ["scikit-learn", sklearn.__version__] in rows(sections["Versions"])


def test_how_to_load__names_a_dataset_of_the_model(clf, tmp_path):
    _, sections = parts(clf.model_card().render())
    (block,) = re.findall(
        r"```python\n(.*?)```", sections["How to load the model"], re.S
    )
    from skops import io

    io.dump(fit(), tmp_path / "model.skops")
    X, _ = make_data(1)
    code = block.replace("model.skops", str(tmp_path / "model.skops"))
    namespace = {"rows": X["cats"], "print": lambda name: None}
    exec(code, namespace)
    assert len(namespace["clf"].predict({"cats": X["cats"]})["cats"]) == 30


def test_one_array__no_epoch():
    X, y = make_data(0)
    clf = JEDIClassifier(max_epochs=0, random_state=0).fit(X["cats"], y["cats"])
    _, sections = parts(clf.model_card(X["cats"], y["cats"]).render())
    assert sections["Training"].strip().startswith("0 epochs.")
    assert len(rows(sections["Evaluation"])) == 4
    assert "the dataset `dataset`" in sections["Model description"]
    # What was drawn for the card is not shown as well.
    assert plt.get_fignums() == []


def test_bad_input__error(clf):
    X, y = make_data(1)
    with pytest.raises(NotFittedError):
        JEDIClassifier().model_card()
    with pytest.raises(ValueError, match="X and y must be given together"):
        clf.model_card(X)
    with pytest.raises(ValueError, match="'cats' has 30 rows in X but 2 labels"):
        clf.model_card(X, y | {"cats": y["cats"][:2]})


def test_without_skops__error_names_the_extras(clf, monkeypatch):
    monkeypatch.delitem(
        sys.modules, "jedi_sklearn.inspection._card_file", raising=False
    )
    monkeypatch.setitem(sys.modules, "skops.card", None)
    with pytest.raises(ImportError, match=r"jedi_sklearn\[export,plot\]"):
        clf.model_card()
