"""Training."""

from tncompile.train.loop import Progress, TrainResult, steps_an_epoch, train

__all__ = ["Progress", "TrainResult", "steps_an_epoch", "train"]
