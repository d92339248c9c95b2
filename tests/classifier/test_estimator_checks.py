"""scikit-learn's own checks of estimators."""

from __future__ import annotations

from sklearn.utils.estimator_checks import (
    estimator_checks_generator,
    parametrize_with_checks,
)

from jedi_sklearn import JEDIClassifier

# The other losses that are minimised in shuffled batches, such as SGDClassifier's, fail
# these in scikit-learn, too. What holds instead is in test_weights.py: exactly for
# weight 0, and for repeated rows where a batch holds all of them.
NOT_TO_THE_DIGIT = dict.fromkeys(
    [
        "check_sample_weight_equivalence_on_dense_data",
        "check_sample_weight_equivalence_on_sparse_data",
    ],
    "a row of weight 2 is drawn once, with a dropout mask of its own, not twice",
)


@parametrize_with_checks(
    [JEDIClassifier()], expected_failed_checks=lambda estimator: NOT_TO_THE_DIGIT
)
def test_sklearn_compatible(estimator, check):
    check(estimator)


def test_battery_is_whole():
    # With a tag set wrong scikit-learn collects one check and is content with it.
    checks = list(estimator_checks_generator(JEDIClassifier()))
    assert len(checks) > 50
