"""An image that points to what is not there is refused, and the message says where."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable

import numpy as np
import pytest
from support.random_chips import SMALL, random_chip

from tncompile.errors import ConfigError, SimulationError
from tncompile.ir import ChipImage
from tncompile.sim import make_engine
from tncompile.sim.wiring import resolve

IMAGE = random_chip(0, cores=5)


def change(field: str, where: tuple[int, ...], value: int) -> Callable[[ChipImage], ChipImage]:
    """Returns a function that sets one number of an image; `packets.` fields too."""

    def changed(image: ChipImage) -> ChipImage:
        record, name = (image.packets, field[8:]) if field.startswith("packets.") else (image, field)
        array = getattr(record, name).copy()
        array[where] = value
        record = dataclasses.replace(record, **{name: array})
        return record if isinstance(record, ChipImage) else dataclasses.replace(image, packets=record)

    return changed


def halve_neurons(image: ChipImage) -> ChipImage:
    fields = ("neuron_type", "dx", "dy", "target_axon", "target_delay", "output_pin")
    return dataclasses.replace(image, **{name: getattr(image, name)[:, :8] for name in fields})


def share_site(image: ChipImage) -> ChipImage:
    x, y = int(image.core_x[0]), int(image.core_y[0])
    return change("core_x", (1,), x)(change("core_y", (1,), y)(image))


def other_arch(image: ChipImage) -> ChipImage:
    return dataclasses.replace(image, arch=json.dumps(SMALL.model_copy(update={"axons": 8}).model_dump(mode="json")))


@pytest.mark.parametrize(
    ("corrupt", "message"),
    [
        (change("core_x", (2,), 6), "core 2 on site (6,"),
        (change("core_y", (2,), -1), "the board has 6 x 3 cores"),
        (share_site, "cores 0 and 1 share site"),
        (change("core_crossbar", (1,), 99), "core_crossbar[1] is 99, must be 0 …"),
        (change("axon_type", (1, 2), 4), "axon_type[1, 2] is 4, must be 0 … 3"),
        (change("neuron_type", (1, 2), 99), "neuron_type[1, 2] is 99"),
        (change("target_axon", (1, 2), 16), "target_axon[1, 2] is 16, must be 0 … 15"),
        (change("target_delay", (1, 2), 6), "target_delay[1, 2] is 6, must be 0 … 5"),
        (change("output_pin", (1, 2), 99), "output_pin[1, 2] is 99"),
        (change("packets.bit", (0,), 99), "packets.bit[0] is 99"),
        (change("packets.axon", (0,), -1), "packets.axon[0] is -1"),
        (change("packets.delay", (0,), 0), "packets.delay[0] is 0, must be 1 … 5"),
        (change("packets.x", (0,), 77), "input packet 0 (first of 1) sends to site (77,"),
        (change("dx", tuple(np.argwhere(IMAGE.target_delay)[3]), 100), "sends to site (10"),
        (halve_neurons, "neuron_type has shape [5, 8]"),
        (other_arch, "crossbars has shape"),
        (lambda i: dataclasses.replace(i, arch="{}x"), "its chip description is not valid"),
    ],
)  # fmt: skip
def test_what_points_nowhere_is_refused(corrupt: Callable[[ChipImage], ChipImage], message: str) -> None:
    resolve(IMAGE)
    with pytest.raises(SimulationError, match=re.escape(message)):
        resolve(corrupt(IMAGE))


def test_every_engine_checks_the_image() -> None:
    for engine in ("packed", "oracle"):
        with pytest.raises(SimulationError, match="neuron_type has shape"):
            make_engine(engine, halve_neurons(IMAGE))


def test_an_unknown_engine_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="no engine is called 'fast'; choose one of packed, event"):
        make_engine("fast", IMAGE)
