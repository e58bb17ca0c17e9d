"""How many ticks to run at a time: few enough for memory and for whoever waits, enough to be worth a call."""

from __future__ import annotations

from tncompile.ir import ChipImage

_BYTES = 1 << 26  # of input bits, output pins and watched neurons at a time [byte]
_TICKS = 4096  # at most [tick]
_CORES = 1 << 20  # cores × streams × ticks at a time, so that progress is seen and an interrupt heard
_CORES_OF = {"oracle": 1 << 11, "layered": 1 << 23}  # the same for a slow one, and one that likes large products
_LEAST_TICKS = 16  # but no fewer, as far as memory allows: each chunk has a cost of its own [tick]

ONE_LENGTH = ("packed", "layered")
"""Engines that are compiled for a number of ticks, so that all chunks must have it, the last one too."""


def chunk_ticks(image: ChipImage, engine: str, streams: int, ticks: int, watched: int = 0) -> int:
    """Returns how many ticks to run at a time [tick].

    Args:
        image: the chip, with all its input bits.
        engine: name of the engine.
        streams: how many side by side.
        ticks: of the whole run [tick].
        watched: cores whose neurons are watched.
    """
    cores, neurons = image.neuron_type.shape
    tick_bytes = streams * (image.input_bits + image.output_pins + 5 * watched * neurons)
    most = min(_TICKS, max(_LEAST_TICKS, _CORES_OF.get(engine, _CORES) // max(1, streams * cores)))
    if engine == "sliced":  # a row is 512 ticks of one stream or 64 of eight, full or not
        row = 512 if streams < 8 else 64
        most = max(most // row, 1) * row
    return max(1, min(ticks, most, _BYTES // max(1, tick_bytes)))
