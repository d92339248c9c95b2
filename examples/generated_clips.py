"""Four generated datasets of clips, and an expert of each.

Shapes move in front of something. The datasets ask for different things (which way,
what shape, what it does, or what goes which way), look different, and are encoded in
different ways. Few clips have a label. An expert is a small network that was trained on
these alone.
"""

import itertools
from fractions import Fraction
from typing import NamedTuple

import av
import numpy as np
import torch

from jedi_sklearn.encoders.video import (
    TSM,
    TSN,
    VideoSwin,
    ViewProtocol,
    read_views,
    video_expert,
)

N_LABELLED, N_UNLABELLED, N_TEST = 48, 150, 100
N_FRAMES = 16
SHAPES = ("disc", "ring", "square", "cross")
WAYS = {"left": (0, -1), "right": (0, 1), "up": (-1, 0), "down": (1, 0)}
CHANGES = {"grow": (0.4, 1.6), "shrink": (1.6, 0.4), "stay": (1.0, 1.0)}
KINDS = {"shape": list(SHAPES), "way": list(WAYS), "change": list(CHANGES)}


class Look(NamedTuple):
    """Appearance of the clips of a dataset.

    `labels` lists what its labels name: shape, way or change.
    """

    labels: tuple[str, ...]
    suffix: str
    codec: str
    height: int
    width: int
    background: float
    noise: float


LOOKS = {
    "dances": Look(("way", "change"), ".avi", "mpeg4", 60, 60, 0.5, 0.08),
    "scenes": Look(("shape", "way"), ".mkv", "libx264", 48, 64, 0.2, 0.08),
    "shapes": Look(("shape",), ".webm", "libvpx", 64, 48, 0.7, 0.08),
    "ways": Look(("way",), ".mp4", "libx264", 48, 72, 0.1, 0.12),
}
# Frames of clips are few and small, and so are the networks.
PROTOCOL = ViewProtocol(n_frames=8, crop_size=32)
NETWORKS = {
    "dances": lambda n_classes: TSM(n_classes, depths=(1, 1, 1), width=16),
    "scenes": lambda n_classes: TSM(n_classes, depths=(1, 1, 1), width=16),
    "shapes": lambda n_classes: TSN(n_classes, depths=(1, 1, 1), width=16),
    "ways": lambda n_classes: VideoSwin(
        n_classes, embed_dim=24, depths=(1, 1), n_heads=(2, 4), window=(4, 4, 4)
    ),
}
# Clips are so small that threads would only wait for each other.
FAST = {
    "libx264": {"preset": "veryfast"},
    "libvpx": {"deadline": "realtime", "threads": "1"},
}
N_EPOCHS, BATCH_SIZE, LEARNING_RATE = 60, 16, 3e-3


def outline(shape, rows, columns, radius):
    """Return where a shape around the origin is."""
    distance = np.hypot(rows, columns)
    if shape == "disc":
        return distance < radius
    if shape == "ring":
        return (distance < radius) & (distance > 0.6 * radius)
    if shape == "square":
        return np.maximum(abs(rows), abs(columns)) < 0.85 * radius
    within = np.maximum(abs(rows), abs(columns)) < radius
    return within & (np.minimum(abs(rows), abs(columns)) < 0.3 * radius)


def draw_clip(look, label, rng):
    """Return the frames of a clip that shows what a label says."""
    shown = {kind: rng.choice(KINDS[kind]) for kind in KINDS}
    shown |= dict(zip(look.labels, label, strict=True))
    rows, columns = np.mgrid[: look.height, : look.width]
    size = min(look.height, look.width)
    times = np.linspace(-1, 1, N_FRAMES)[:, None, None]
    down, right = (0.2 * size * step * times for step in WAYS[shown["way"]])
    middle = rng.uniform(0.4, 0.6, 2) * (look.height, look.width)
    first, last = CHANGES[shown["change"]]
    radius = 0.2 * size * (first + (last - first) * (times + 1) / 2)
    inside = outline(
        shown["shape"], rows - middle[0] - down, columns - middle[1] - right, radius
    )
    slope = rng.normal(0, 0.2, 2)
    behind = look.background + slope[0] * rows / size + slope[1] * columns / size
    colour = np.where(rng.random(3) < 0.5, 0.95, rng.random(3))
    frames = np.where(inside[..., None], colour, behind[None, :, :, None])
    frames = frames + rng.normal(0, look.noise, frames.shape)
    return (255 * frames.clip(0, 1)).astype(np.uint8)


def write_clip(path, frames, codec):
    """Encode frames into a file."""
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=Fraction(25))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt, stream.bit_rate = "yuv420p", 400_000
        stream.options = FAST.get(codec, {})
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def write_clips(folder, look, n_clips, seed):
    """Write a dataset; return its paths and labels."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    every = list(itertools.product(*(KINDS[kind] for kind in look.labels)))
    chosen = [every[number % len(every)] for number in range(n_clips)]
    paths = [str(folder / f"{n:04d}{look.suffix}") for n in range(n_clips)]
    for path, label in zip(paths, chosen, strict=True):
        write_clip(path, draw_clip(look, label, rng), look.codec)
    return paths, np.array([" ".join(label) for label in chosen], dtype=object)


def read_clips(paths):
    """Return clips as a network gets them, of shape (n, 3, n_frames, height, width)."""
    views = torch.cat([read_views(path, PROTOCOL) for path in paths]).float()
    standardised = (views - torch.tensor(PROTOCOL.mean)) / torch.tensor(PROTOCOL.std)
    return standardised.movedim(-1, 1)


def augmented(clips):
    """Return clips moved, lit and coloured in another way."""
    moves = torch.randint(-4, 5, (2,)).tolist()
    moved = clips.roll(moves, dims=(3, 4))[:, torch.randperm(3)]
    contrast = 0.7 + 0.6 * torch.rand(len(clips), 1, 1, 1, 1)
    brightness = 0.5 * torch.randn(len(clips), 3, 1, 1, 1)
    return contrast * moved + brightness + 0.1 * torch.randn_like(moved)


def train_network(network, clips, targets):
    """Train a network from scratch."""
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.05)
    n_steps = N_EPOCHS * -(-len(clips) // BATCH_SIZE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, n_steps)
    loss_of = torch.nn.CrossEntropyLoss(label_smoothing=0.1)
    network.train()
    for _ in range(N_EPOCHS):
        for rows in torch.randperm(len(clips)).split(BATCH_SIZE):
            optimizer.zero_grad()
            loss_of(network(augmented(clips[rows])), targets[rows]).backward()
            optimizer.step()
            schedule.step()


def train_expert(build, paths, labels, seed):
    """Return the expert that a network becomes by the clips that have a label."""
    torch.manual_seed(seed)
    classes, targets = np.unique(labels.astype(str), return_inverse=True)
    network = build(len(classes))
    train_network(network, read_clips(paths), torch.from_numpy(targets))
    return video_expert(network, classes=classes, protocol=PROTOCOL, batch_size=32)


def problem(folder, seed=0):
    """Write all clips and train all experts.

    Parameters
    ----------
    folder : Path
    seed : int
        Of all that is drawn.

    Returns
    -------
    train, test : (dict of str to list of str, dict of str to ndarray of str or None)
        Paths and labels of each dataset.
    experts : list of (str, expert)
    """
    n_train = N_LABELLED + N_UNLABELLED
    X, y, X_test, y_test, experts = {}, {}, {}, {}, []
    for own_seed, (name, look) in enumerate(LOOKS.items(), start=1000 * seed):
        X[name], y[name] = write_clips(folder / name / "train", look, n_train, own_seed)
        X_test[name], y_test[name] = write_clips(
            folder / name / "test", look, N_TEST, 100 + own_seed
        )
        own = slice(N_LABELLED)
        expert = train_expert(NETWORKS[name], X[name][own], y[name][own], own_seed)
        experts.append((name, expert))
        y[name][N_LABELLED:] = None
    return (X, y), (X_test, y_test), experts
