"""Four small image datasets with different labels, sizes and looks."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits

from ..utils.accepted import invalid

SUBSETS = ("train", "test")
# scikit-learn's digits are fourteen filled-in forms, one after another, by thirteen
# people. The ninth form begins here.
N_DIGITS_TRAIN = 1029
SIZE = 28

# Highest grey levels in the file.
FASHION_TOP, GLYPH_TOP = 63, 15
FASHION_NAMES = (
    "T-shirt",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
LETTERS = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")

# Noise cannot be compressed, so it is added on loading. The seeds are part of the data.
NOISE_STD = 0.1
NOISE_SEEDS = {
    ("letters", "train"): 101,
    ("letters", "test"): 102,
    ("numerals", "train"): 103,
    ("numerals", "test"): 104,
}

Images = npt.NDArray[np.float32]
Labels = npt.NDArray[Any]


def load_glyphs(subset: str = "train") -> tuple[dict[str, Images], dict[str, Labels]]:
    """Load four small image datasets with different labels and sizes.

    ========  =============================  ========================  =====  =====
    name      images                         labels                    train  test
    ========  =============================  ========================  =====  =====
    digits    handwritten digits, enlarged   int, 0 to 9               1029   768
              from 8 x 8
    fashion   photographs of clothes, from   str, "T-shirt" to         2500   1500
              Fashion-MNIST                  "Ankle boot", 10 in all
    letters   printed capitals               str, "A" to "Z"           1508   1300
    numerals  printed digits                 int, 0 to 9               300    1000
    ========  =============================  ========================  =====  =====

    All are white on black. Train and test rows have different sources: the digits come
    from different filled-in forms, the photographs are divided as in Fashion-MNIST, and
    the printed characters have different typefaces (17 for training and 18 others for
    test). These are shifted, turned, slanted, scaled and blurred at random, with
    Gaussian noise of standard deviation 0.1 added. Rows are in random order, except
    those of digits, which keep scikit-learn's.

    Parameters
    ----------
    subset : {"train", "test"}, default="train"
        Rows to load.

    Returns
    -------
    X_dict : dict of str to ndarray of shape (n_samples, 28, 28), dtype float32
        Images of every dataset, in sorted order of the names, with values in [0, 1].
        The arrays are C-contiguous, and new ones at every call.
    y_dict : dict of str to ndarray of shape (n_samples,)
        Labels, int64 or str, under the same names in the same order. Every class has
        the same number of rows, except in digits.

    Raises
    ------
    ValueError
        If `subset` is neither "train" nor "test".

    See Also
    --------
    make_expert_embeddings : Generated embeddings, of any size.

    Notes
    -----
    Accuracy on the test rows of ``LogisticRegression`` fitted on the train rows, on
    pixels (C=1) and on histograms of gradient directions in cells of 7 x 7 (C=10):

    =========  ======  =======  =======  ========
    features   digits  fashion  letters  numerals
    =========  ======  =======  =======  ========
    pixels     0.927   0.795    0.782    0.828
    gradients  0.983   0.826    0.902    0.952
    =========  ======  =======  =======  ========

    Fashion-MNIST is (c) 2017 Zalando SE, under the MIT licence. All typefaces are
    free. ``data/README.md`` beside this module names them, with their licences.

    Examples
    --------
    >>> from jedi_sklearn.datasets import load_glyphs
    >>> X_dict, y_dict = load_glyphs()
    >>> for name, X in X_dict.items():
    ...     print(name, X.shape, y_dict[name].dtype)
    digits (1029, 28, 28) int64
    fashion (2500, 28, 28) <U10
    letters (1508, 28, 28) <U1
    numerals (300, 28, 28) int64
    """
    if subset not in SUBSETS:
        raise invalid("subset", subset, "'train' and 'test'")
    X_dict, y_dict = {}, {}
    X_dict["digits"], y_dict["digits"] = _read_digits(subset)
    path = files("jedi_sklearn.datasets") / "data" / "glyphs.npz"
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
        names = np.array(FASHION_NAMES)
        y_dict["fashion"] = names[arrays[f"fashion_{subset}_y"]]
        X_dict["fashion"] = arrays[f"fashion_{subset}_X"] / np.float32(FASHION_TOP)
        for name in ("letters", "numerals"):
            levels = arrays[f"{name}_{subset}_X"]
            # RandomState's streams are frozen, unlike those of default_rng.
            random = np.random.RandomState(NOISE_SEEDS[name, subset])
            noise = NOISE_STD * random.standard_normal(levels.shape)
            images = np.clip(levels / GLYPH_TOP + noise, 0, 1)
            X_dict[name] = images.astype(np.float32)
            y_dict[name] = arrays[f"{name}_{subset}_y"].astype(np.int64)
        y_dict["letters"] = np.array(LETTERS)[y_dict["letters"]]
    return X_dict, y_dict


def _read_digits(subset: str) -> tuple[Images, Labels]:
    """Read scikit-learn's digits, enlarged bilinearly from 8 x 8 to 28 x 28."""
    digits = load_digits()
    rows = (
        slice(0, N_DIGITS_TRAIN) if subset == "train" else slice(N_DIGITS_TRAIN, None)
    )
    # Position of each new pixel's centre among the old ones, a multiple of 1/14. Grey
    # levels are whole numbers, and with weights counted in fourteenths so are the sums:
    # they are exact, and the images the same on every machine.
    place = np.clip((np.arange(SIZE) * 4 - 5) / 14, 0, 7)
    weights = np.rint(14 * np.maximum(0, 1 - np.abs(place[:, None] - np.arange(8))))
    large = weights @ digits.images[rows] @ weights.T
    X = np.ascontiguousarray(large / (16 * 14**2), dtype=np.float32)
    return X, digits.target[rows].astype(np.int64)
