"""Training."""

from tncompile.train.loop import Progress, TrainResult, check_training, train
from tncompile.train.step import Teacher

__all__ = ["Progress", "Teacher", "TrainResult", "check_training", "train"]
