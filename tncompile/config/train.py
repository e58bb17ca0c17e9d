"""Training: optimizer, schedule, loss, augmentation and checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from tncompile.config.base import Config

Fraction = Annotated[float, Field(ge=0, le=1)]
Share = Annotated[float, Field(ge=0, lt=1)]


class AugmentConfig(Config):
    """How training images are changed at random; all off, as in the paper."""

    crop: int = Field(default=0, ge=0, le=64, description="move each image by up to so many, zeros move in [pixel]")
    rotate: float = Field(
        default=0.0, ge=0, le=180, description="turn each image by up to so much, either way; edges go on [degree]"
    )
    zoom: float = Field(
        default=0.0, ge=0, lt=1, description="make each image larger or smaller by up to this share; edges go on"
    )
    flip: bool = Field(default=False, description="mirror half of the images, left to right")
    cutout: int = Field(default=0, ge=0, le=256, description="side of a square that is set to zero [pixel]")
    mixup: float = Field(
        default=0.0, ge=0, description="α of the Beta(α, α) share with which pairs of images and targets are mixed"
    )


class TeacherConfig(Config):
    """A trained network whose class probabilities are learned too: knowledge distillation (Hinton et al. 2015)."""

    run: str = Field(min_length=1, description="its run folder; the net may be of either kind")
    weight: Fraction = Field(default=0.5, description="share of the loss that is the distance from the teacher")
    temperature: float = Field(
        default=4.0, gt=0, description="by which the scores of both are divided before the softmax"
    )


class TrainConfig(Config):
    """How a network is trained."""

    epochs: int = Field(default=20, ge=1, description="passes over the training images")
    batch: int = Field(default=64, ge=1, description="images a step; what is left over at an epoch's end is dropped")
    optimizer: Literal["sgd", "adam", "adamw"] = Field(
        default="adam", description="sgd has momentum 0.9, as in the paper"
    )
    learning_rate: float = Field(default=0.01, gt=0, description="peak learning rate")
    weight_decay: float = Field(default=0.0, ge=0, description="of optimizer adamw, on hidden weights")
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
    dropout: Share = Field(default=0.0, description="share of the spikes between layers that is left out in training")
    ramp: Fraction = Field(
        default=0.0,
        description="fraction of the training in which weights go over from hidden to trinary ones; 0: trinary at once",
    )
    ema: Share = Field(
        default=0.0,
        description="decay a step of an average of the hidden weights, which is then the model; at most "
        "(1 + n) / (10 + n) in step n, from 0; 0: none",
    )
    augment: AugmentConfig = Field(default=AugmentConfig(), description="random changes of the training images")
    teacher: TeacherConfig | None = Field(
        default=None, description="a trained network to learn from, beside the labels; null: none"
    )
    precision: Literal["bfloat16", "float32"] = Field(
        default="bfloat16", description="of maps and their gradients; spikes and trinary weights are exact in both"
    )
    norm_momentum: Fraction = Field(
        default=0.9, description="share of the old value in the running batch-norm statistics"
    )
    calibrate_batches: int = Field(
        default=50, ge=1, description="batches over which the statistics are measured again with the final weights"
    )
    keep: Literal["last", "best"] = Field(
        default="last", description="which weights become the model; best: by the validation images"
    )
    checkpoint_every: int = Field(default=1, ge=1, description="epochs between checkpoints")
    devices: int = Field(default=1, ge=1, description="devices, of all processes together, that share each batch")

    @field_validator("cuts")
    @classmethod
    def _ascending(cls, cuts: tuple[float, ...]) -> tuple[float, ...]:
        if any(a >= b for a, b in pairwise(cuts)):
            raise ValueError(f"must be ascending, got {list(cuts)}")
        return cuts


def lasting(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the settings of a training that make another model of it.

    The rest says how and where the work is done: a training can go on, and its model be compiled, on another machine.
    Which network the teacher is matters; where it lies does not.

    Args:
        settings: as `TrainConfig` dumps them; some may be missing.
    """
    kept = {key: value for key, value in settings.items() if key not in ("devices", "checkpoint_every")}
    if isinstance(teacher := kept.get("teacher"), Mapping):
        kept["teacher"] = {key: value for key, value in teacher.items() if key != "run"}
    return kept
