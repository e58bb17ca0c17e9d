"""Training."""

from tncompile.train.loop import Progress, TrainResult, train

__all__ = ["Progress", "TrainResult", "train"]
