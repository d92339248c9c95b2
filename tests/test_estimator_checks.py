"""scikit-learn's own checks of estimators."""

from __future__ import annotations

from sklearn.utils.estimator_checks import (
    estimator_checks_generator,
    parametrize_with_checks,
)

from jedi_sklearn import JEDIClassifier


@parametrize_with_checks([JEDIClassifier()])
def test_sklearn_compatible(estimator, check):
    check(estimator)


def test_battery_is_whole():
    # With a tag set wrong scikit-learn collects one check and is content with it.
    checks = list(estimator_checks_generator(JEDIClassifier()))
    assert len(checks) > 50
