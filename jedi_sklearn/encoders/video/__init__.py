"""Video files to embeddings: reading, networks, checkpoints, dumps."""

from ._encoder import VideoEncoder
from ._expert import PROTOCOLS, video_expert, video_head
from ._transformers import transformers_video_expert
from .annotations._datasets import (
    read_activitynet,
    read_hmdb51,
    read_kinetics,
    read_mmaction_list,
    read_ucf101,
)
from .annotations._mmaction_dumps import read_mmaction_dump
from .networks._network import VideoNetwork
from .networks._resnet import TSM, TSN
from .networks._swin import VideoSwin
from .reading._frames import centre_crop, resize_short_side, three_crop
from .reading._protocol import ViewProtocol
from .reading._reader import VideoError, VideoReader
from .reading._sampling import sample_clips, sample_segments
from .reading._views import read_views

__all__ = [
    "PROTOCOLS",
    "TSM",
    "TSN",
    "VideoEncoder",
    "VideoError",
    "VideoNetwork",
    "VideoReader",
    "VideoSwin",
    "ViewProtocol",
    "centre_crop",
    "read_activitynet",
    "read_hmdb51",
    "read_kinetics",
    "read_mmaction_dump",
    "read_mmaction_list",
    "read_ucf101",
    "read_views",
    "resize_short_side",
    "sample_clips",
    "sample_segments",
    "three_crop",
    "transformers_video_expert",
    "video_expert",
    "video_head",
]
