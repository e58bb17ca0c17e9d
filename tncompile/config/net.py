"""The network: layer by layer, or in the notation of the Eedn paper."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from tncompile.config.base import Config

NOTATION = (
    "type-features(groups): S 3×3, N 1×1, P 2×2 with stride 2, P4 4×4 with stride 2; (groups) may be left out, "
    "'x3' behind a layer repeats it; for example 'S-16 P4-252(2) N-512(4) x3'"
)
"""What a layer string may look like, for error messages and the documentation (Esser 2016)."""

KINDS: dict[str, tuple[int, int, int]] = {"S": (3, 1, 1), "N": (1, 1, 0), "P": (2, 2, 0), "P4": (4, 2, 1)}
"""Kernel, stride and padding of each layer type of the notation."""

_LAYER = re.compile(r"(S|N|P4|P)-([1-9]\d*)(?:\(([1-9]\d*)\))?")
_REPEAT = re.compile(r"[x×]([1-9]\d?)")


def _pair(value: Any) -> Any:
    """Returns (n, n) for one number n; leaves the rest to pydantic."""
    if isinstance(value, int) and not isinstance(value, bool):
        return (value, value)
    return tuple(value) if isinstance(value, list) else value


_Size = Annotated[int, Field(ge=1, le=1024)]
_Margin = Annotated[int, Field(ge=0, le=1024)]
Sizes = Annotated[tuple[_Size, _Size], BeforeValidator(_pair)]
"""One number for both axes, or [x, y], at least 1."""
Margins = Annotated[tuple[_Margin, _Margin], BeforeValidator(_pair)]
"""One number for both axes, or [x, y], at least 0."""


class LayerConfig(Config):
    """One convolution layer, written out."""

    name: str = Field(
        default="", pattern=r"^[A-Za-z0-9_.-]*$", description="unique name; left out: transduction, conv0, conv1, …"
    )
    kernel: Sizes = Field(description="filter size, one number or [x, y] [position]")
    stride: Sizes = Field(default=(1, 1), description="step between filter positions, one number or [x, y] [position]")
    padding: Margins = Field(
        default=(0, 0), description="zeros on each side of the map, one number or [x, y] [position]"
    )
    features: int = Field(ge=1, le=1 << 16, description="output features, all groups together")
    groups: int = Field(default=1, ge=1, description="groups of channels that are filtered separately")


class NetConfig(Config):
    """A network: the transduction, the on-chip layers behind it, and how weights are rounded."""

    layers: tuple[LayerConfig, ...] = Field(
        description="the transduction and at least one on-chip layer: strings in the paper's notation "
        f"({NOTATION}), mappings, or one string with all layers"
    )
    kind: Literal["trinary", "float"] = Field(
        default="trinary",
        description="trinary: trinary weights and spikes; float: real weights and ReLU, for a teacher "
        "(`train.teacher`), which no chip takes",
    )
    hysteresis: float = Field(
        default=0.1,
        ge=0,
        lt=0.5,
        description="h; a trinary weight changes when its hidden weight passes ±(0.5 ± h)",
    )

    @field_validator("layers", mode="before")
    @classmethod
    def _expand(cls, layers: Any) -> Any:
        if isinstance(layers, str):
            layers = [layers]
        if not isinstance(layers, list | tuple):
            raise ValueError(f"must be a string or a list of layers, not {type(layers).__name__}")
        expanded: list[Any] = []
        for entry in layers:
            expanded.extend(parse_layers(entry) if isinstance(entry, str) else [entry])
        return tuple(expanded)

    @model_validator(mode="after")
    def _check(self) -> NetConfig:
        if len(self.layers) < 2:
            raise ValueError(
                f"layers: a net has a transduction and at least one on-chip layer, got {len(self.layers)} layer(s)"
            )
        if self.layers[0].groups != 1:
            raise ValueError(
                f"layers: the first layer is the transduction and has one group, got {self.layers[0].groups} groups"
            )
        named = tuple(
            layer.model_copy(update={"name": layer.name or (f"conv{i - 1}" if i else "transduction")})
            for i, layer in enumerate(self.layers)
        )
        names = [layer.name for layer in named]
        if "input" in names:
            raise ValueError("layers: no layer can be called input; reports call the bits that the host sends")
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"layers: more than one layer is called {', '.join(twice)}; names must be unique")
        object.__setattr__(self, "layers", named)
        return self


def parse_layers(text: str) -> list[LayerConfig]:
    """Returns the layers that a string in the paper's notation stands for.

    Args:
        text: layers separated by spaces, commas or ·.

    Raises:
        ValueError: a part of the string is no layer.

    >>> [(layer.kernel[0], layer.features, layer.groups) for layer in parse_layers("P4-252(2) · N-256(2) x2")]
    [(4, 252, 2), (1, 256, 2), (1, 256, 2)]
    """
    layers: list[LayerConfig] = []
    parts = re.split(r"[\s,·]+", text.strip())
    for previous, part in zip(["", *parts], parts, strict=False):
        repeat = _REPEAT.fullmatch(part)
        if repeat and _LAYER.fullmatch(previous):
            layers += [layers[-1]] * (int(repeat[1]) - 1)
            continue
        match = _LAYER.fullmatch(part)
        if match is None:
            raise ValueError(f"'{part}' in '{text}' is no layer; the notation is {NOTATION}")
        kernel, stride, padding = KINDS[match[1]]
        layers.append(
            LayerConfig(
                kernel=(kernel, kernel),
                stride=(stride, stride),
                padding=(padding, padding),
                features=int(match[2]),
                groups=int(match[3] or 1),
            )
        )
    return layers
