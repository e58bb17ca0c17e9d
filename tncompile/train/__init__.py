"""Training."""

from tncompile.train.loop import EpochObserver, Progress, TrainResult, check_training, train
from tncompile.train.step import Teacher
from tncompile.train.watching import InputWatch, Resumed, check_tensorboard, event_files

__all__ = [
    "EpochObserver",
    "InputWatch",
    "Progress",
    "Resumed",
    "Teacher",
    "TrainResult",
    "check_tensorboard",
    "check_training",
    "event_files",
    "train",
]
