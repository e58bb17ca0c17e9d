"""Training: optimizer, schedule, loss and checkpoints."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, field_validator

from tncompile.config.base import Config

Fraction = Annotated[float, Field(ge=0, le=1)]


class TrainConfig(Config):
    """How a network is trained."""

    epochs: int = Field(default=20, ge=1, description="passes over the training images")
    batch: int = Field(default=64, ge=1, description="images a step; what is left over at an epoch's end is dropped")
    optimizer: Literal["sgd", "adam"] = Field(default="adam", description="sgd has momentum 0.9, as in the paper")
    learning_rate: float = Field(default=0.01, gt=0, description="peak learning rate")
    schedule: Literal["step", "cosine"] = Field(
        default="cosine", description="step: cut by 10 at each of `cuts`; cosine: down to 0 at the end"
    )
    cuts: tuple[Fraction, ...] = Field(
        default=(0.6, 0.85),
        strict=False,
        description="fractions of the training at which schedule step cuts by 10, ascending",
    )
    warmup: Fraction = Field(
        default=0.0, description="fraction of the training in which the rate rises linearly from 0"
    )
    logit_scale: float = Field(
        default=20.0, gt=0, description="factor on the class scores, means in 0 … 1, before the softmax"
    )
    sparsity: float = Field(
        default=1e-4, ge=0, description="γ of the pressure ½·γ·Σ ȳ² on the features' mean activations"
    )
    label_smoothing: Fraction = Field(default=0.0, description="share of the target spread over all classes")
    norm_momentum: Fraction = Field(
        default=0.9, description="share of the old value in the running batch-norm statistics"
    )
    calibrate_batches: int = Field(
        default=50, ge=1, description="batches over which the statistics are measured again with the final weights"
    )
    checkpoint_every: int = Field(default=1, ge=1, description="epochs between checkpoints")
    augment: Literal["none", "shift"] = Field(
        default="none", description="shift: move each image by up to `shift` pixels"
    )
    shift: int = Field(default=1, ge=0, le=64, description="largest move in x and in y of augment shift [pixel]")

    @field_validator("cuts")
    @classmethod
    def _ascending(cls, cuts: tuple[float, ...]) -> tuple[float, ...]:
        if any(a >= b for a, b in pairwise(cuts)):
            raise ValueError(f"must be ascending, got {list(cuts)}")
        return cuts
