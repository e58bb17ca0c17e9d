"""Chips and spikes in files of all kinds, ours and other people's: who reads and writes which."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tncompile.errors import ArtifactError, ConfigError
from tncompile.ir import ChipImage
from tncompile.ir.io import atomic_write, read_bytes
from tncompile.sim.event_files import InputFile, OutputFile, output_columns
from tncompile.sim.expect import ExpectedSpikes, OutputList
from tncompile.sim.sources import SpikeList, SpikeSource, no_spikes
from tncompile.sim.spikes import InputSpikes, OutputSpikes
from tncompile.sim.stream import Window
from tncompile.sim.tables import KINDS as TABLES
from tncompile.sim.tables import STDOUT, table_writer
from tncompile.sim.wiring import image_arch

# ---------------------------------------------------------------------------------------------------------------------
# Spikes.

WindowWriter = Callable[[Window], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpikeKind:
    """A kind of spike file.

    Attributes:
        name: for people.
        holds: says whether an existing file is of this kind.
        endings: of the files that are written.
        drivers: whether it names the neuron behind each output spike.
        read_input, read_output: open a file; None: the kind has no such files.
        write_output: gives a function that takes the windows of a run. Arguments are file, image and streams.
    """

    name: str
    holds: Callable[[Path], bool]
    endings: tuple[str, ...] = ()
    drivers: bool = False
    read_input: Callable[[Path, ChipImage], SpikeSource] | None = None
    read_output: Callable[[Path, ChipImage], ExpectedSpikes] | None = None
    write_output: Callable[[Path, ChipImage, int], AbstractContextManager[WindowWriter]] | None = None


def open_input(path: Path, image: ChipImage) -> SpikeSource:
    """Returns the input spikes in a file of any kind.

    Raises:
        ArtifactError: the file cannot be read, or holds no input spikes.
        SimulationError: a spike is outside of the chip.
    """
    kind = _kind_of(path)
    if kind.read_input is None:
        raise ArtifactError(f"{path}: holds output spikes ({kind.name}); name a file of input spikes")
    return kind.read_input(path, image)


def open_output(path: Path, image: ChipImage) -> ExpectedSpikes:
    """Returns the output spikes in a file of any kind; errors as `open_input`."""
    kind = _kind_of(path)
    if kind.read_output is None:
        raise ArtifactError(f"{path}: holds no output spikes ({kind.name}); name a file of output spikes")
    return kind.read_output(path, image)


def output_kind(path: Path) -> SpikeKind:
    """Returns the kind of output file that a name asks for.

    Raises:
        ConfigError: there is none with this ending.
    """
    ending = path.suffix.lower()
    endings = {e: kind for kind in SPIKES if kind.write_output for e in kind.endings}
    if path == STDOUT:
        ending = ".csv"
    if ending not in endings:
        raise ConfigError(f"{path}: no output spikes are written as '{ending}'; use one of {', '.join(endings)}")
    return endings[ending]


def _kind_of(path: Path) -> SpikeKind:
    """Returns the kind of an existing spike file."""
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read: {error.strerror or error}; check the path") from error
    for kind in SPIKES:
        if kind.holds(path):
            return kind
    known = ", ".join(dict.fromkeys(kind.name for kind in SPIKES))
    raise ArtifactError(f"{path}: is no spike file that is known; there are {known}")


def _is_table(path: Path) -> bool:
    return path.suffix.lower() in TABLES


@contextmanager
def _write_table(path: Path, image: ChipImage, streams: int) -> Iterator[WindowWriter]:
    names = ("tick", "pin", *(("stream",) if streams > 1 else ()))
    with table_writer(path, names) as write:
        yield lambda window: write(output_columns(window))


def _whole(
    write: Callable[[OutputSpikes, ChipImage, Path, int], None],
) -> Callable[[Path, ChipImage, int], AbstractContextManager[WindowWriter]]:
    """Returns how to write spikes in a form that takes all of them at once; they wait in memory."""

    @contextmanager
    def writer(path: Path, image: ChipImage, streams: int) -> Iterator[WindowWriter]:
        if streams > 1:
            raise ConfigError(f"{path}: '{path.suffix}' holds one stream, the run has {streams}; use .csv or .npz")
        windows: list[tuple[OutputSpikes, int]] = []
        yield lambda window: windows.append((window.spikes, window.first + window.ticks))
        columns = {
            name: np.concatenate([getattr(spikes, name) for spikes, _ in windows])
            for name in ("stream", "tick", "pin", "core", "neuron")
        }
        write(OutputSpikes(**columns), image, path, windows[-1][1])

    return writer


def _holds_ibm(path: Path) -> bool:
    from tncompile.foreign.ibm_spikes import is_ibm_spikes

    return is_ibm_spikes(path)


def _read_ibm_input(path: Path, image: ChipImage) -> SpikeSource:
    from tncompile.foreign.ibm_spikes import read_input

    return SpikeList(read_input(path, image), image, str(path))


def _read_ibm_output(path: Path, image: ChipImage) -> ExpectedSpikes:
    from tncompile.foreign.ibm_spikes import read_output

    return OutputList(read_output(path, image), image, str(path))


def _write_ibm_output(spikes: OutputSpikes, image: ChipImage, path: Path, end: int) -> None:
    from tncompile.foreign.ibm_spikes import write_output

    write_output(spikes, image, path)


def _read_ranc_input(path: Path, image: ChipImage) -> SpikeSource:
    from tncompile.foreign.ranc import read_input

    return SpikeList(read_input(path, image), image, str(path))


def _read_ranc_output(path: Path, image: ChipImage) -> ExpectedSpikes:
    from tncompile.foreign.ranc import read_output

    spikes, ticks = read_output(path, image)
    return OutputList(spikes, image, str(path), end=ticks - 1)


def _write_ranc_output(spikes: OutputSpikes, image: ChipImage, path: Path, end: int) -> None:
    from tncompile.foreign.ranc import write_output

    write_output(spikes, image, path, end)


SPIKES: tuple[SpikeKind, ...] = (
    SpikeKind(
        name="IBM .sfto and .sfro",
        holds=_holds_ibm,
        endings=(".sfto", ".sfro"),
        drivers=True,
        read_input=_read_ibm_input,
        read_output=_read_ibm_output,
        write_output=_whole(_write_ibm_output),
    ),
    SpikeKind(name="IBM .sfcp", holds=lambda path: False, endings=(".sfcp",), write_output=_whole(_write_ibm_output)),
    SpikeKind(
        name="RANC packets (.json)",
        holds=lambda path: path.suffix.lower() == ".json",
        read_input=_read_ranc_input,
    ),
    SpikeKind(
        name="RANC output (.txt)",
        holds=lambda path: path.suffix.lower() == ".txt",
        endings=(".txt",),
        read_output=_read_ranc_output,
        write_output=_whole(_write_ranc_output),
    ),
    SpikeKind(
        name="tables (.csv, .npz, .parquet)",
        holds=_is_table,
        endings=tuple(TABLES),
        read_input=InputFile,
        read_output=OutputFile,
        write_output=_write_table,
    ),
)
"""All kinds of spike files, those that are known by their content first."""


# ---------------------------------------------------------------------------------------------------------------------
# Chips.


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelKind:
    """Somebody else's file format for chips.

    Attributes:
        keys: of the JSON object, by which such a file is known.
        read: returns the chip, and the input spikes that the file holds. Arguments are the file or folder, RANC's
            configuration file and the bits of the potential, both None if not given.
        notes: returns what a user should know of an imported chip.
        write: writes a chip and input spikes (None: none) to a folder, and returns what a user should know, and the
            files.
        options: which of the options of `read` it takes.
        parts: returns the files in a folder that are such a chip together; a kind that is one file has none.
    """

    keys: tuple[bytes, ...]
    read: Callable[[Path, Path | None, int | None], tuple[ChipImage, InputSpikes]]
    notes: Callable[[ChipImage], tuple[str, ...]]
    write: Callable[[ChipImage, Path, InputSpikes | None], tuple[tuple[str, ...], list[Path]]]
    options: frozenset[str] = frozenset()
    parts: Callable[[Path], list[Path]] = lambda folder: []


def model_kind(path: Path) -> str:
    """Returns the name of the kind of chip that a file or a folder holds.

    Raises:
        ArtifactError: the file cannot be read, or is of none or of several kinds.
    """
    if path.is_dir():
        names = [name for name, kind in MODELS.items() if kind.parts(path)]
        if not names:
            raise ArtifactError(f"{path}: is a folder without RANC's memory files; name the JSON file of the chip")
        return names[0]
    content = read_bytes(path)
    found = [name for name, kind in MODELS.items() if any(key in content for key in kind.keys)]
    if not content.strip():
        raise ArtifactError(f"{path}: is empty; name the JSON file of the chip")
    if not found:
        _check_json(path, content)
    if len(found) != 1:
        raise ArtifactError(
            f"{path}: looks like {' and '.join(found) or 'no'} chip that is known; say of which kind it is with "
            f"--format {'|'.join(MODELS)}"
        )
    return found[0]


def _check_json(path: Path, content: bytes) -> None:
    try:
        json.loads(content)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}: {error.msg}"
        raise ArtifactError(f"{path}: is not JSON ({where}); is it cut off?") from error
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{path}: is not JSON ({error}); name the JSON file of the chip") from error


def _read_ibm(path: Path, config: Path | None, potential_bits: int | None) -> tuple[ChipImage, InputSpikes]:
    from tncompile.foreign.ibm import read_model

    return read_model(path), no_spikes()


def _ibm_notes(image: ChipImage) -> tuple[str, ...]:
    from tncompile.foreign.ibm import import_notes

    return import_notes(image)


def _write_ibm(image: ChipImage, folder: Path, spikes: InputSpikes | None) -> tuple[tuple[str, ...], list[Path]]:
    from tncompile.foreign.companion import companion_path
    from tncompile.foreign.ibm import import_notes
    from tncompile.foreign.ibm_spikes import input_content
    from tncompile.foreign.ibm_write import check_model, write_model

    check_model(image)  # all is known to fit before anything is written
    entering = None if spikes is None else input_content(spikes, image, folder / "input.sfti")
    write_model(image, folder / "model.json")
    files = [folder / "model.json", companion_path(folder / "model.json"), folder / "input.sfti"]
    if entering is not None:
        atomic_write(files[-1], entering)
    else:
        files.pop().unlink(missing_ok=True)  # those of another export
    return import_notes(image), files


def _read_ranc(path: Path, config: Path | None, potential_bits: int | None) -> tuple[ChipImage, InputSpikes]:
    from tncompile.foreign.ranc import read_memory, read_network

    if path.is_dir():
        return read_memory(path, config, potential_bits), no_spikes()
    return read_network(path, config, potential_bits)


def _ranc_parts(folder: Path) -> list[Path]:
    from tncompile.foreign.ranc_memory import memory_files

    return memory_files(folder)


def _ranc_notes(image: ChipImage) -> tuple[str, ...]:
    from tncompile.foreign.ranc_decode import UNBOUNDED
    from tncompile.foreign.ranc_memory import WORD_BITS

    arch = image_arch(image)
    if arch.neuron != "ranc":
        return (
            f"the chip has TrueNorth's neuron, as it was exported with: potentials have {arch.potential_bits} bits and "
            "saturate; none gets there, so RANC's gives the same spikes",
        )
    like = {UNBOUNDED: ", as the integers of RANC's C++ simulator", WORD_BITS: ", as in RANC's hardware"}
    return (f"potentials have {arch.potential_bits} bits and wrap{like.get(arch.potential_bits, '')}",)


def _write_ranc(image: ChipImage, folder: Path, spikes: InputSpikes | None) -> tuple[tuple[str, ...], list[Path]]:
    from tncompile.foreign.companion import companion_path
    from tncompile.foreign.ranc import write_network

    files = write_network(image, folder, spikes)
    return files.notes, [files.network, files.config, companion_path(files.network), *_ranc_parts(folder)]


MODELS: dict[str, ModelKind] = {
    "ibm": ModelKind(keys=(b'"neuronTypes"', b'"crossbarTypes"'), read=_read_ibm, notes=_ibm_notes, write=_write_ibm),
    "ranc": ModelKind(
        keys=(b'"output_bus"', b'"connections"'),
        read=_read_ranc,
        notes=_ranc_notes,
        write=_write_ranc,
        options=frozenset({"config", "potential_bits"}),
        parts=_ranc_parts,
    ),
}
"""All kinds of other people's chips by name."""
