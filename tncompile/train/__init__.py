"""Training."""

from tncompile.train.loop import Progress, TrainResult, check_training, train

__all__ = ["Progress", "TrainResult", "check_training", "train"]
