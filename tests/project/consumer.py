"""What users with a type checker write: every public name, under mypy --strict.

tests/test_typing.py checks it as a program that has the package installed. It is not
run.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from jedi_sklearn import (
    PAPER_PARAMS,
    DistilledClassifier,
    JEDIClassifier,
    MultiDataset,
    MultiTarget,
    __version__,
    evaluate,
    load_student,
    metrics,
    stack_datasets,
)
from jedi_sklearn.datasets import (
    load_glyphs,
    make_expert_embeddings,
    stream_expert_embeddings,
)
from jedi_sklearn.embeddings import (
    DamagedError,
    EmbeddingStore,
    StoredRows,
    UnidentifiedError,
)
from jedi_sklearn.encoders import (
    MLPEncoder,
    TorchEncoder,
    from_pretrained,
    torch_expert,
)
from jedi_sklearn.encoders.video import (
    PROTOCOLS,
    TSM,
    TSN,
    VideoEncoder,
    VideoError,
    VideoNetwork,
    VideoReader,
    VideoSwin,
    ViewProtocol,
    centre_crop,
    read_activitynet,
    read_hmdb51,
    read_kinetics,
    read_mmaction_dump,
    read_mmaction_list,
    read_ucf101,
    read_views,
    resize_short_side,
    sample_clips,
    sample_segments,
    three_crop,
    transformers_video_expert,
    video_expert,
    video_head,
)
from jedi_sklearn.exceptions import (
    BatchSizeWarning,
    DivergenceWarning,
    EmbeddedAnewWarning,
    InterruptionWarning,
    JEDIWarning,
    LeftOutWarning,
    NotStoredWarning,
    SeenRowsWarning,
)
from jedi_sklearn.inspection import (
    AgreementDisplay,
    ClassGainsDisplay,
    EvaluationDisplay,
    ReliabilityDisplay,
    TrainingCurvesDisplay,
)
from jedi_sklearn.model_selection import MultiDatasetKFold
from jedi_sklearn.preprocessing import PerDataset

Floats = npt.NDArray[np.float64]


def train() -> JEDIClassifier:
    """Fit, from the data to the tables."""
    X, y = make_expert_embeddings(60, n_classes=3, n_features=8, random_state=0)
    parts: Iterator[tuple[str, Any, Any]] = stream_expert_embeddings(60, random_state=0)
    print(__version__, [name for name, _, _ in parts], load_glyphs("test")[0].keys())
    experts: list[tuple[str, Any]] = [
        (name, make_pipeline(StandardScaler(), LogisticRegression())) for name in X
    ]
    own = JEDIClassifier(experts, max_epochs=2, checkpoint=Path("fit"))
    own = JEDIClassifier(experts, **PAPER_PARAMS).fit(X, y, X_val=X, y_val=y)
    own = own.set_params(alpha=2.0).partial_fit(X, y)
    table: pd.DataFrame = evaluate(own, X, y)
    history: pd.DataFrame = own.history_
    names: list[str] = own.datasets_
    score: float = own.score(X, y)
    print(table, metrics.evaluate(own, X, y), history, names, score, own.n_iter_)
    return own


def predict(own: JEDIClassifier, X: Mapping[str, Floats], path: Path) -> Floats:
    """Use students and teachers by themselves."""
    student: DistilledClassifier = own.students_["a"]
    labels: npt.NDArray[Any] = student.predict(X["a"])
    probabilities: Floats = own.teachers_["a"].predict_proba(X["a"])
    written: list[str] = student.export(path)
    student.export_onnx(path, X["a"])
    student = load_student(path)
    decisions: Floats = load_student(path, encoder=None).decision_function(X["a"])
    print(labels, student.classes_, student.coef_, written, decisions)
    return probabilities


def search(experts: list[tuple[str, Any]]) -> MultiDataset:
    """Hand the rows of all datasets to tools of scikit-learn."""
    X, y = load_glyphs()
    stacked, targets = stack_datasets(X, y)
    target: MultiTarget = targets
    labelled: npt.NDArray[np.bool_] = target.labelled()
    shape: tuple[int, ...] = stacked.shape
    folds = MultiDatasetKFold(3, shuffle=True, random_state=0)
    n_folds: int = folds.get_n_splits(stacked, target)
    grid = GridSearchCV(JEDIClassifier(experts), {"alpha": [0.5, 1.0]}, cv=folds)
    grid.fit(stacked, target)
    scaled = PerDataset(StandardScaler()).fit(stacked).transform(stacked)
    print(labelled, shape, n_folds, scaled, stacked.groups)
    return stacked


def listen() -> list[type[JEDIWarning]]:
    """Filter warnings."""
    warnings.simplefilter("error", JEDIWarning)
    return [
        BatchSizeWarning,
        DivergenceWarning,
        EmbeddedAnewWarning,
        InterruptionWarning,
        LeftOutWarning,
        NotStoredWarning,
        SeenRowsWarning,
    ]


def inspect(own: JEDIClassifier, tables: list[pd.DataFrame], X: Any, y: Any) -> None:
    """Draw."""
    curves: TrainingCurvesDisplay = TrainingCurvesDisplay.from_estimator(own).plot()
    scores: EvaluationDisplay = EvaluationDisplay.from_estimator(own, X, y)
    print(curves, scores.plot(), EvaluationDisplay.from_tables(tables))
    again: TrainingCurvesDisplay = TrainingCurvesDisplay.from_history(own.history_)
    gains: ClassGainsDisplay = ClassGainsDisplay.from_estimator(own, X, y)
    agreement: AgreementDisplay = AgreementDisplay.from_predictions(
        y, student=own.predict(X), teacher=y, expert=None
    )
    calibration: ReliabilityDisplay = ReliabilityDisplay.from_estimator(
        own, X, y, n_bins=5, strategy="quantile"
    )
    frames: list[pd.DataFrame] = [gains.gains, agreement.agreement, calibration.bins]
    errors: pd.Series[float] = calibration.calibration_error
    own.model_card(X, y).save("README.md")
    print(again.curves, frames, errors)


def store(path: Path, expert: tuple[str, Any], samples: list[str]) -> StoredRows:
    """Keep embeddings."""
    kept = EmbeddingStore(path, dtype="float16", shard_rows=100, on_error="skip")
    try:
        rows: StoredRows = kept.extract([expert], {"d": samples}).features("d", samples)
    except UnidentifiedError as error:
        raise ValueError("another expert") from error
    except DamagedError:
        problems: list[str] = kept.verify(remove=True)
        print(problems)
    few: StoredRows = rows[:10]
    taken: npt.NDArray[np.float32] = rows.take(np.arange(3))
    info: pd.DataFrame = kept.info()
    print(few.shape, taken, info, kept.failures(), rows.nbytes)
    return rows


def encode(module: torch.nn.Module, rows: Floats) -> npt.NDArray[np.float32]:
    """Encode by networks."""
    encoder: TorchEncoder = from_pretrained("bert", batch_size=8)
    encoder = TorchEncoder(module, layer="", batch_size=8).fit()
    small = MLPEncoder(random_state=0).fit(rows, np.zeros(len(rows)))
    expert = torch_expert(module, classes=["a", "b"], layer="fc")
    print(small.transform(rows), expert)
    features: npt.NDArray[np.float32] = encoder.transform(rows)
    return features


def see(path: Path, module: VideoNetwork) -> torch.Tensor:
    """Read videos."""
    try:
        reader = VideoReader(path)
    except VideoError:
        return torch.zeros(0)
    frames: npt.NDArray[np.uint8] = reader[[0, 1]]
    seconds: Floats = reader.timestamps
    protocol: ViewProtocol = PROTOCOLS["tsn"]
    protocol = ViewProtocol(n_frames=8, crop_size=224, crop="three")
    views: torch.Tensor = read_views(path, protocol)
    small = resize_short_side(torch.from_numpy(frames), 256)
    crops = [centre_crop(small, 224), three_crop(small, 224)]
    print(seconds, sample_segments(90, 8), sample_clips(90, 2, 8, 4), module.n_features)
    experts: list[Any] = [
        video_expert("tsn", checkpoint=path, classes=["a", "b"], protocol=protocol),
        video_expert(TSN(5)),
        video_expert(TSM(5)),
        video_expert(VideoSwin(5)),
        transformers_video_expert(path),
        video_head(path),
    ]
    print(experts, isinstance(experts[0], VideoEncoder), views)
    return torch.cat(crops)


def read(folder: Path) -> pd.DataFrame:
    """Read what datasets and programs write about videos."""
    paths, classes = read_mmaction_list(folder / "val.txt", folder)
    number: int | None = classes[0]
    videos, labels = read_kinetics(folder / "val.csv", folder)
    label: str | None = labels[0]
    videos, labels = read_activitynet(folder / "all.json", folder, "validation")
    print(read_hmdb51(folder, folder), read_ucf101(folder, folder), label, number)
    return read_mmaction_dump(folder / "scores.pkl", videos + paths)
