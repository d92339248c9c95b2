"""Experts of videos: from paths to features and probabilities."""

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from hang_guards import SECONDS, ended

pytest.importorskip("av", reason="PyAV is missing")

import torch
from sklearn.frozen import FrozenEstimator

from benchmarks.video_files import barcode_frames, write_video
from jedi_sklearn import JEDIClassifier
from jedi_sklearn.embeddings import EmbeddingStore
from jedi_sklearn.encoders.video import (
    TSM,
    TSN,
    VideoError,
    VideoSwin,
    ViewProtocol,
    read_views,
    video_expert,
    video_head,
)

CLASSES = ["walk", "run", "jump"]
PROTOCOL = ViewProtocol(
    n_frames=4, crop_size=32, n_clips=2, interval=2, short_side=32, crop="three"
)
NETWORKS = {
    "tsn": lambda: TSN(3, depths=(1, 1), width=4),
    "tsm": lambda: TSM(3, depths=(1, 1), width=8),
    "swin": lambda: VideoSwin(
        3, embed_dim=8, depths=(1, 1), n_heads=(1, 2), window=(2, 4, 4)
    ),
}


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    return [
        str(write_video(folder / f"{n}.mp4", barcode_frames(14 + n, 36, 48, 50 * n)))
        for n in range(6)
    ]


@pytest.fixture(params=NETWORKS)
def network(request, paths):
    torch.manual_seed(0)
    network = NETWORKS[request.param]()
    network.eval()
    # So that the probabilities of views differ by more than a little.
    scores = np.concatenate([by_hand(network, path, PROTOCOL)[1] for path in paths])
    factors = torch.from_numpy(2 / scores.std(axis=0)).float()
    with torch.no_grad():
        network.head.bias.sub_(torch.from_numpy(scores.mean(axis=0)).float())
        network.head.bias.mul_(factors)
        network.head.weight.mul_(factors[:, None])
    return network


def by_hand(network, path, protocol):
    """Return the features and the scores of each view, by the network alone."""
    clips = read_views(path, protocol).permute(0, 4, 1, 2, 3).double()
    mean = torch.tensor(protocol.mean, dtype=torch.float64).reshape(1, 3, 1, 1, 1)
    std = torch.tensor(protocol.std, dtype=torch.float64).reshape(1, 3, 1, 1, 1)
    with torch.no_grad():
        clips = ((clips - mean) / std).float()
        features = network.features(clips)
        return features.double().numpy(), network(clips).double().numpy()


def softmax(scores):
    exp = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return exp / exp.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("average", ["scores", "probabilities"])
def test_expert__features_and_probabilities_are_means_over_views(
    network, paths, average
):
    protocol = PROTOCOL._replace(average=average)
    expert = video_expert(network, classes=CLASSES, protocol=protocol, batch_size=4)
    encoder, head = expert.estimator
    features, probabilities = encoder.features_and_probabilities(paths)
    order = [2, 1, 0]  # jump, run, walk
    assert expert.classes_.tolist() == [CLASSES[n] for n in order]
    for row, path in enumerate(paths):
        by_view, scores = by_hand(network, path, protocol)
        np.testing.assert_allclose(
            features[row], by_view.mean(axis=0), rtol=1e-4, atol=1e-5
        )
        expected = (
            softmax(scores.mean(axis=0))
            if average == "scores"
            else softmax(scores).mean(axis=0)
        )
        np.testing.assert_allclose(probabilities[row], expected[order], atol=1e-4)
    np.testing.assert_array_equal(encoder.transform(paths), features)
    np.testing.assert_array_equal(encoder.predict_proba(paths), probabilities)
    of_head = head.predict_proba(features)
    if average == "scores":
        np.testing.assert_allclose(of_head, probabilities, atol=1e-4)
    else:
        assert np.abs(of_head - probabilities).max() > 1e-3
    np.testing.assert_allclose(expert.predict_proba(paths), of_head, atol=1e-6)


def test_expert__leaves_the_network_of_its_user_alone(paths):
    network = NETWORKS["tsn"]()
    before = network.head.weight.detach().clone()
    video_expert(network, classes=CLASSES, protocol=PROTOCOL).predict(paths[:1])
    assert torch.equal(network.head.weight, before)


def test_expert__pickled__predicts_the_same(paths):
    expert = video_expert(NETWORKS["tsm"](), classes=CLASSES, protocol=PROTOCOL)
    again = pickle.loads(pickle.dumps(expert))
    np.testing.assert_array_equal(
        again.predict_proba(paths[:2]), expert.predict_proba(paths[:2])
    )


def test_expert__in_processes_that_read__the_same(paths):
    network = NETWORKS["tsn"]()
    alone = video_expert(network, protocol=PROTOCOL)
    helped = video_expert(network, protocol=PROTOCOL, n_workers=1)
    np.testing.assert_array_equal(
        helped.estimator[0].transform(paths), alone.estimator[0].transform(paths)
    )


@pytest.mark.parametrize("name", ["tsn-r50", "tsm-r50"])
def test_checkpoint__of_the_papers_architecture__is_the_expert(
    tmp_path, monkeypatch, paths, name
):
    torch.manual_seed(1)
    network = {"tsn-r50": TSN, "tsm-r50": TSM}[name](5).eval()
    path = tmp_path / "best.pth"
    torch.save({"meta": {}, "state_dict": network.state_dict()}, path)
    protocol = ViewProtocol(n_frames=2, crop_size=32)
    state = torch.get_rng_state()
    expert = video_expert(name, checkpoint=path, protocol=protocol)
    assert torch.equal(torch.get_rng_state(), state)
    features, scores = by_hand(network, paths[0], protocol)
    np.testing.assert_allclose(
        expert.estimator[0].transform(paths[:1]), features, rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(
        expert.predict_proba(paths[:1]), softmax(scores), atol=1e-4
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"network": "tsn-r101"},
            "network='tsn-r101'. Valid values are 'tsn-r50', 'tsm-r50', 'swin-b' and",
        ),
        ({"network": "tsn-r50"}, r"video_expert\('tsn-r50'\) needs a checkpoint"),
        ({"network": TSN(3, depths=(1,), width=4)}, "network TSN needs a protocol"),
        (
            {
                "network": TSN(3, depths=(1,), width=4),
                "protocol": PROTOCOL,
                "classes": ["a", "b"],
            },
            "classes has 2 labels, .* tells 3 classes apart",
        ),
        (
            {
                "network": TSN(3, depths=(1,), width=4),
                "protocol": PROTOCOL._replace(crop="five"),
            },
            "protocol.crop='five'",
        ),
    ],
)
def test_expert__that_cannot_be__says_why(arguments, message):
    with pytest.raises(ValueError, match=message):
        video_expert(**arguments)


def test_store__keeps_both_by_one_run(tmp_path, paths, monkeypatch):
    expert = video_expert(NETWORKS["swin"](), classes=CLASSES, protocol=PROTOCOL)
    encoder = expert.estimator[0]
    features, probabilities = encoder.features_and_probabilities(paths)
    n_reads = []
    monkeypatch.setattr(
        "jedi_sklearn.encoders.video.reading._views.VideoReader",
        _counting(n_reads),
    )
    store = EmbeddingStore(tmp_path / "store", shard_rows=4)
    store.extract([("acts", expert)], {"acts": paths})
    assert sorted(n_reads) == sorted(paths)
    np.testing.assert_array_equal(store.features("acts", paths), features)
    np.testing.assert_array_equal(
        store.probabilities(("acts", expert), paths), probabilities
    )
    store.extract([("acts", expert)], {"acts": paths[::-1]})
    clf = JEDIClassifier([("acts", expert)], memory=store, max_epochs=1)
    clf.fit({"acts": paths}, {"acts": CLASSES * 2})
    assert len(n_reads) == len(paths)


def _counting(n_reads):
    from jedi_sklearn.encoders.video import VideoReader

    def reader(path):
        n_reads.append(path)
        return VideoReader(path)

    return reader


def test_store__video_is_damaged__is_named_or_skipped(tmp_path, paths):
    bad = tmp_path / "broken.mp4"
    bad.write_bytes(b"no video at all" * 50)
    X = {"acts": [*paths[:3], str(bad), *paths[3:]]}
    expert = video_expert(NETWORKS["tsn"](), classes=CLASSES, protocol=PROTOCOL)
    with pytest.raises(VideoError, match=r"broken\.mp4"):
        expert.predict([str(bad)])
    store = EmbeddingStore(tmp_path / "strict")
    with pytest.raises(ValueError, match=r"Row 3 of dataset 'acts', .*broken\.mp4"):
        store.extract([("acts", expert)], X)

    store = EmbeddingStore(tmp_path / "skipping", on_error="skip")
    store.extract([("acts", expert)], X)
    assert store.failures()["reason"].str.contains("broken.mp4").all()
    assert np.flatnonzero(store.features("acts", X["acts"]).missing).tolist() == [3]
    missing = store.probabilities("acts", X["acts"]).missing
    assert np.flatnonzero(missing).tolist() == [3]


def test_classifier__of_two_kinds_of_networks__learns(tmp_path, paths):
    experts = [
        ("a", video_expert(NETWORKS["tsn"](), classes=CLASSES, protocol=PROTOCOL)),
        ("b", video_expert(NETWORKS["tsm"](), protocol=PROTOCOL)),
    ]
    assert all(isinstance(expert, FrozenEstimator) for _, expert in experts)
    X = {"a": paths[:3], "b": paths[3:]}
    y = {"a": CLASSES, "b": [0, 1, 2]}
    clf = JEDIClassifier(experts, memory=tmp_path / "store", max_epochs=0).fit(X, y)
    for name, expert in experts:
        np.testing.assert_allclose(
            clf.students_[name].predict_proba(X[name]),
            expert.predict_proba(X[name]),
            atol=1e-5,
        )


EXTRACTION = """
import pickle, sys, time
from jedi_sklearn.embeddings import EmbeddingStore
from jedi_sklearn.encoders.video.reading import _views

expert, paths, folder, n_read, seconds = pickle.load(open(sys.argv[1], "rb"))
read_views = _views.read_views
begun = []

def read_some(path, protocol):
    begun.append(path)
    print(path, flush=True)
    if len(begun) > n_read:
        time.sleep(seconds)
    return read_views(path, protocol)

_views.read_views = read_some
store = EmbeddingStore(folder, shard_rows=1)
store.extract([("acts", expert)], {"acts": paths}, verbose=1)
"""


def test_extraction__killed__goes_on_where_it_was(tmp_path, paths):
    torch.manual_seed(0)
    expert = video_expert(NETWORKS["tsn"](), classes=CLASSES, protocol=PROTOCOL)
    arguments = tmp_path / "arguments.pickle"
    store = tmp_path / "store"

    def start(n_read):
        given = (expert, paths, store, n_read, SECONDS)
        arguments.write_bytes(pickle.dumps(given))
        return subprocess.Popen(
            [sys.executable, "-c", EXTRACTION, arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    process = start(2)
    with ended(process):  # by SIGKILL, at the third video
        read = [process.stdout.readline().strip() for _ in range(3)]
    assert read == paths[:3]

    process = start(len(paths))
    with ended(process):
        out, err = process.communicate(timeout=SECONDS)
    assert out.split() in (paths[2:], paths[3:])
    assert "rows/s" in err
    features, probabilities = expert.estimator[0].features_and_probabilities(paths)
    whole = EmbeddingStore(store)
    np.testing.assert_allclose(whole.features("acts", paths), features, atol=1e-5)
    np.testing.assert_allclose(
        whole.probabilities(("acts", expert), paths), probabilities, atol=1e-5
    )


def test_head__of_a_checkpoint__is_that_of_the_expert(tmp_path, paths):
    network = NETWORKS["tsn"]()
    path = tmp_path / "tsn.pth"
    torch.save({"state_dict": network.state_dict()}, path)
    expert = video_expert(network, classes=CLASSES, protocol=PROTOCOL)
    features = expert.estimator[0].transform(paths)
    np.testing.assert_array_equal(
        video_head(path, classes=CLASSES).predict_proba(features),
        expert.estimator[1].predict_proba(features),
    )
    with pytest.raises(ValueError, match=r"classes has 2 labels, .* tells 3 classes"):
        video_head(path, classes=["run", "walk"])


@pytest.mark.parametrize("n_workers", [0, 1])
def test_broken_file__in_another_process__is_named_as_in_this_one(
    tmp_path, paths, n_workers, capfd
):
    X = [*paths[:2], str(tmp_path / "gone.mp4"), *paths[2:]]
    expert = video_expert(
        NETWORKS["tsn"](), classes=CLASSES, protocol=PROTOCOL, n_workers=n_workers
    )
    with pytest.raises(FileNotFoundError) as caught:
        expert.predict(X)
    assert "worker" not in str(caught.value)
    assert "gone.mp4" in str(caught.value)
    assert "Sample 2" in caught.value.__notes__[0]
    store = EmbeddingStore(tmp_path / "store", on_error="skip")
    store.extract([("acts", expert)], {"acts": X})
    [reason] = store.failures()["reason"]
    assert "gone.mp4" in reason
    assert "Traceback" not in reason
    assert "Exception ignored" not in capfd.readouterr().err


def test_skip__what_fails_for_every_video__is_an_error(tmp_path, paths, monkeypatch):
    store = EmbeddingStore(tmp_path / "store", on_error="skip")
    expert = video_expert(
        NETWORKS["tsn"](), classes=CLASSES, protocol=PROTOCOL, batch_size=0
    )
    with pytest.raises(ValueError, match="batch_size=0"):
        store.extract([("acts", expert)], {"acts": paths})
    expert.estimator[0].batch_size = 2
    with monkeypatch.context() as without_av:
        without_av.setitem(sys.modules, "av", None)
        with pytest.raises(ImportError, match=r"jedi_sklearn\[video\]"):
            store.extract([("acts", expert)], {"acts": paths})
    store.extract([("acts", expert)], {"acts": paths})
    assert len(store.failures()) == 0


def test_one_broken_file_of_many__has_few_others_read_again(
    tmp_path, paths, monkeypatch
):
    X = [paths[n % 6] for n in range(32)]
    X[20] = str(tmp_path / "gone.mp4")
    # The same file by other names, as one that is there twice is read once.
    for number in set(range(32)) - {20}:
        X[number] = str(tmp_path / f"{number}.mp4")
        os.symlink(paths[number % 6], X[number])
    n_reads = []
    monkeypatch.setattr(
        "jedi_sklearn.encoders.video.reading._views.VideoReader", _counting(n_reads)
    )
    expert = video_expert(NETWORKS["tsn"](), classes=CLASSES, protocol=PROTOCOL)
    store = EmbeddingStore(tmp_path / "store", on_error="skip")
    store.extract([("acts", expert)], {"acts": X})
    assert len(store.failures()) == 1
    assert len(n_reads) <= 2 * len(X)


def test_network__of_another_type__is_told_what_is_accepted(paths):
    for network in (None, torch.nn.Linear(3, 2), TSN):
        with pytest.raises(ValueError, match=r"torch\.nn\.Module with features"):
            video_expert(network, protocol=PROTOCOL)
    with pytest.raises(ValueError, match="instances of ViewProtocol"):
        video_expert(NETWORKS["tsn"](), protocol={"n_frames": 3})
    with pytest.raises(ValueError, match=r"1 output; .* two classes or more"):
        video_expert(TSN(1, depths=(1,), width=4), protocol=PROTOCOL)
    expert = video_expert(NETWORKS["tsn"](), protocol=PROTOCOL)
    with pytest.raises(ValueError, match=r"0\.mp4' is one path; give a list"):
        expert.predict(paths[0])


def test_network__changed_afterwards__does_not_change_the_expert(paths):
    network = NETWORKS["tsn"]().half()
    expert = video_expert(network, protocol=PROTOCOL)  # labels in their order
    before = expert.predict_proba(paths[:2])
    with torch.no_grad():
        network.head.weight.mul_(10)
    assert network.training
    np.testing.assert_array_equal(expert.predict_proba(paths[:2]), before)
    np.testing.assert_allclose(
        expert.estimator[0].predict_proba(paths[:2]).sum(axis=1), 1, atol=1e-6
    )
