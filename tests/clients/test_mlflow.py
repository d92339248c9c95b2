"""MLflow: its scikit-learn flavour with a local store."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from client_fits import classifier
from markdown_blocks import run_block
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from test_clients_page import BLOCKS

from jedi_sklearn.model_selection import MultiDatasetKFold

# Nobody is told that a test ran.
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
mlflow = pytest.importorskip("mlflow", reason="MLflow is installed by its own session")
skops = pytest.importorskip("skops.io")

CV = MultiDatasetKFold(2)

# What MLflow's own code warns of, or is warned of by others.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.y_pred. was renamed:FutureWarning:sklearn"),
    pytest.mark.filterwarnings("ignore:Starting with pandas version 4"),
    pytest.mark.filterwarnings("ignore:Operation with range is deprecated"),
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType"),
    pytest.mark.filterwarnings("ignore:The ..noload.. loader strategy"),
]


def use_store(uri):
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    mlflow.set_experiment("jedi")


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    """Folders; MLflow would rather have a database, which takes it long to create."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.chdir(tmp_path)
    use_store((tmp_path / "runs").as_uri())
    yield
    mlflow.sklearn.autolog(disable=True)
    mlflow.set_tracking_uri(None)
    mlflow.set_registry_uri(None)


def own_types(clf):
    """The types in a model's file that skops is to trust, all of this package."""
    names = skops.get_untrusted_types(data=skops.dumps(clf))
    assert all(name.startswith("jedi_sklearn.") for name in names)
    return names


def log(clf, **params):
    # Without requirements MLflow finds them out in a process of its own.
    with mlflow.start_run():
        return mlflow.sklearn.log_model(
            clf,
            name="model",
            skops_trusted_types=own_types(clf),
            pip_requirements=["jedi_sklearn"],
            **params,
        )


def check_same(clf, X, info):
    loaded = mlflow.sklearn.load_model(info.model_uri)
    assert type(loaded) is type(clf)
    np.testing.assert_array_equal(loaded.predict_proba(X), clf.predict_proba(X))
    served = mlflow.pyfunc.load_model(info.model_uri)
    np.testing.assert_array_equal(served.predict(X), clf.predict(X))
    return served


@pytest.mark.parametrize("of_student", [False, True])
def test_model_of_one_table__comes_back(table, of_student):
    X, y = table
    clf = classifier("digits").fit(X, y)
    clf = clf.students_["digits"] if of_student else clf
    info = log(clf, input_example=X[:2])
    served = check_same(clf, X, info)
    (given,) = info.signature.inputs.to_dict()
    assert given["tensor-spec"] == {"dtype": "float64", "shape": (-1, 4)}
    with pytest.raises(mlflow.MlflowException, match="schema"):
        served.predict(X[:, :3])


def test_model_of_several_datasets__comes_back(frame):
    X, y = frame
    clf = classifier().fit(X, y)
    signature = mlflow.models.infer_signature(X, clf.predict(X))
    served = check_same(clf, X, log(clf, signature=signature))
    assert signature.inputs.input_names() == list("uvwx")
    # A server's request has no index, and the classifier says what it misses.
    with pytest.raises(ValueError, match="does not say whose rows"):
        served.predict(X.reset_index(drop=True))


def test_model_without_a_signature__takes_pairs_and_dicts(pair, dicts):
    X, y = pair
    clf = classifier().fit(X, y)
    served = check_same(clf, X, log(clf))
    np.testing.assert_equal(served.predict(dicts[0]), clf.predict(dicts[0]))


def test_model_in_the_default_format__names_the_types_to_trust(table):
    clf = classifier("digits").fit(*table)
    with (
        mlflow.start_run(),
        pytest.raises(mlflow.MlflowException, match="skops_trusted_types"),
    ):
        mlflow.sklearn.log_model(clf, name="model", pip_requirements=["jedi_sklearn"])


@pytest.mark.slow
def test_block_of_the_page__with_a_database__brings_the_model_back(tmp_path, dicts):
    use_store(f"sqlite:///{tmp_path / 'mlflow.db'}")
    (block,) = [block for block in BLOCKS if block.slow is not None]
    clf = classifier().fit(*dicts)
    names = {"clf": clf, "X": dicts[0]}
    run_block(block, names)
    np.testing.assert_equal(names["served"].predict(dicts[0]), clf.predict(dicts[0]))
    uri = names["info"].model_uri
    needed = Path(mlflow.pyfunc.get_model_dependencies(uri))
    assert "jedi-sklearn==" in needed.read_text(encoding="utf-8")


def fit_logged(estimator, X, y):
    with mlflow.start_run() as run:
        estimator.fit(X, y)
    parent = f"tags.mlflow.parentRunId = '{run.info.run_id}'"
    children = mlflow.search_runs(filter_string=parent, output_format="list")
    return mlflow.get_run(run.info.run_id).data, children


def test_autolog__of_a_search_on_a_frame__has_every_candidate(frame):
    X, y = frame
    mlflow.sklearn.autolog(log_models=False, silent=True)
    grid = {"gamma": [0.1, 5.0], "max_epochs": [1, 2]}
    search = GridSearchCV(classifier(), grid, cv=CV)
    data, children = fit_logged(search, X, y)
    assert data.metrics["best_cv_score"] == search.best_score_
    assert data.metrics["training_score"] == search.score(X, y)
    assert float(data.params["best_gamma"]) == search.best_params_["gamma"]
    logged = {
        (child.data.params["gamma"], child.data.params["max_epochs"]): child
        for child in children
    }
    results = search.cv_results_
    assert len(logged) == 4
    for params, score in zip(
        results["params"], results["mean_test_score"], strict=True
    ):
        child = logged[str(params["gamma"]), str(params["max_epochs"])]
        assert child.data.metrics["mean_test_score"] == score


def test_autolog__of_a_search_on_a_pair__has_no_run_for_a_candidate(pair):
    mlflow.sklearn.autolog(log_models=False, silent=True)
    search = GridSearchCV(classifier(), {"gamma": [0.1, 5.0]}, cv=CV)
    data, children = fit_logged(search, *pair)
    assert data.metrics["best_cv_score"] == search.best_score_
    assert data.metrics["training_score"] == search.score(*pair)
    # MLflow makes one only for data of a type that it knows.
    assert children == []


def test_autolog__of_a_pipeline__has_the_classifiers_parameters(table):
    X, y = table
    mlflow.sklearn.autolog(log_models=False, silent=True)
    pipeline = make_pipeline(classifier("digits", gamma=0.25))
    data, _ = fit_logged(pipeline, X, y)
    assert data.params["jediclassifier__gamma"] == "0.25"
    assert data.metrics["training_score"] == pipeline.score(X, y)


def test_autolog__of_the_classifier_alone__logs_its_experts(table):
    # MLflow watches scikit-learn's own classes, of which the experts are.
    mlflow.sklearn.autolog(log_models=False, silent=True)
    data, _ = fit_logged(classifier("digits"), *table)
    assert "gamma" not in data.params
    assert "standardscaler" in data.params


def test_history__is_logged_by_epoch(table):
    clf = classifier("digits").fit(*table)
    losses = clf.history_["loss", "all"]
    with mlflow.start_run() as run:
        for epoch, loss in losses.items():
            mlflow.log_metric("loss", loss, step=epoch)
    logged = mlflow.MlflowClient().get_metric_history(run.info.run_id, "loss")
    assert [(m.step, m.value) for m in logged] == list(losses.items())
