"""Import, export and run single chips, ours and other people's; what the command line calls.

An import folder holds

    image.safetensors   the chip image
    import.json         where it comes from, and the digest of what lies beside it; written last
    input.npz           the spikes that the imported file held, if it held some
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import tncompile
from tncompile.chip_io import MODELS, WindowWriter, model_kind, open_input, open_output, output_kind
from tncompile.config.energy import VOLTS, EnergyConfig
from tncompile.errors import ArtifactError, ConfigError, VerificationError
from tncompile.foreign.companion import SUFFIX
from tncompile.ir import ChipImage
from tncompile.ir.io import atomic_write, check_writable, read_bytes, read_stage, write_stage
from tncompile.ir.text import digest
from tncompile.report.amounts import interval, significant
from tncompile.reporter import Reporter
from tncompile.sim.choose import check_name
from tncompile.sim.engine import check_watch
from tncompile.sim.event_files import InputFile, input_columns, potential_columns, raster_columns
from tncompile.sim.expect import Comparison, ExpectedSpikes
from tncompile.sim.sources import SpikeList, SpikeSource, Survey, collected, no_spikes, survey
from tncompile.sim.stream import StreamResult, Window, pieces, read_state, simulate_stream, write_state
from tncompile.sim.tables import STDOUT, check_ending, table_writer
from tncompile.sim.wiring import image_arch
from tncompile.verify import verify

if TYPE_CHECKING:
    from tncompile.counting import SpikeCounter

IMAGE, IMPORTED, INPUT = "image.safetensors", "import.json", "input.npz"
"""Files of an import folder."""
COMPILED = "chip.safetensors"
"""The chip image of a run folder."""
_RECORD_ROWS = 1 << 18  # of recorded potentials at a time, 50 bytes each, as far as a tick has no more
MAX_TICKS = 10**9
"""Ticks that are run without being asked for by number; more is taken for a mistake in a file."""
MAX_CORES = 1 << 20
"""Cores that a board can have."""
FORMAT = 1
"""Version of import.json: keys are added, never renamed."""


# ---------------------------------------------------------------------------------------------------------------------
# Import and export.


def import_chip(
    path: Path, out: Path, *, kind: str | None = None, config: Path | None = None, potential_bits: int | None = None
) -> dict[str, Any]:
    """Reads somebody else's chip, writes an import folder, and returns import.json's content.

    Args:
        path: the file, or the folder with the files of a kind that is several.
        out: the import folder, made if need be.
        kind: `ibm` or `ranc`; None: by the file's content.
        config: RANC's configuration file.
        potential_bits: of RANC's neurons [bit].

    Raises:
        ArtifactError: the file is no such chip or is damaged, or the folder is something else or cannot be written.
        ConfigError: there is no such kind, or an option is not one of its.
        InfeasibleError: the chip has something that no chip description allows.
    """
    if kind is not None and kind not in MODELS:
        raise ConfigError(f"--format {kind}: no chips of that kind are read; use one of {', '.join(MODELS)}")
    kind = model_kind(path) if kind is None else kind
    for option, given in (("config", config), ("potential_bits", potential_bits)):
        if given is not None and option not in MODELS[kind].options:
            raise ConfigError(f"--{option.replace('_', '-')}: a chip of kind {kind} has none; leave it out")
    _check_import_folder(out)
    image, spikes = MODELS[kind].read(path, config, potential_bits)
    source = _source_sha256(path, MODELS[kind].parts(path))
    try:
        verify(image, image_arch(image))
    except VerificationError as error:
        raise ArtifactError(f"{path}: is no chip that can be run: {error}") from error

    try:
        (out / INPUT).unlink(missing_ok=True)
    except OSError as error:
        raise ArtifactError(f"{out / INPUT}: cannot be removed: {error.strerror}; choose another --out") from error
    if len(spikes.tick):
        columns = input_columns(spikes)
        with table_writer(out / INPUT, tuple(columns)) as write:
            write(columns)
    write_stage(out / IMAGE, image)
    found = {
        "format": FORMAT,
        "tncompile": tncompile.__version__,
        "kind": kind,
        "source": path.resolve().name,
        "sha256": source,
        "image": digest(image),
        "input": _sha256(out / INPUT) if len(spikes.tick) else None,
        "cores": len(image.core_x),
        "neurons": int((image.neuron_type > 0).sum()),
        "synapses": int(np.bitwise_count(image.crossbars).sum(axis=(1, 2), dtype=np.int64)[image.core_crossbar].sum()),
        "output_pins": image.output_pins,
        "input_bits": image.input_bits,
        "input_spikes": len(spikes.tick),
        "notes": list(MODELS[kind].notes(image)),
    }
    atomic_write(out / IMPORTED, json.dumps(found, indent=2) + "\n")
    return found


def export_chip(path: Path, out: Path, *, kind: str, source: Path | None = None) -> dict[str, Any]:
    """Writes a chip image, and input spikes, in somebody else's format, and returns what was written.

    Args:
        path: as `open_chip`.
        out: the folder, made if need be.
        kind: `ibm` or `ranc`.
        source: file of input spikes; None: those of the import folder, if there are any.

    Raises:
        ArtifactError: a file cannot be read or written.
        ConfigError: there is no such kind.
        InfeasibleError: the format has no place for something in the image, or the spikes are of several streams.
        SimulationError: a spike is outside of the chip.
    """
    if kind not in MODELS:
        raise ConfigError(f"--format {kind}: nothing of that kind is written; use one of {', '.join(MODELS)}, model")
    chip = open_chip(path)
    _check_export_folder(out)
    entering = _entering(chip, source)
    spikes = None if entering is None else collected(entering)
    notes, files = MODELS[kind].write(chip.image, out, spikes)
    written = {str(file.relative_to(out)): file.stat().st_size for file in sorted(files)}
    return {
        "folder": str(out),
        "kind": kind,
        "image": digest(chip.image),
        "input_spikes": 0 if spikes is None else len(spikes.tick),
        "notes": list(notes),
        "files": [{"file": name, "bytes": size} for name, size in written.items()],
    }


def _check_export_folder(out: Path) -> None:
    """Refuses a folder that holds something else than an export.

    Raises:
        ArtifactError: it does.
    """
    if out.is_dir() and any(out.iterdir()) and not any(out.glob(f"*{SUFFIX}")):
        raise ArtifactError(f"{out}: holds something else than an exported chip; choose another --out")


def _check_import_folder(out: Path) -> None:
    """Refuses a folder of another kind.

    Raises:
        ArtifactError: it is one, or is no folder.
    """
    try:
        held = {item.name for item in out.iterdir()}
    except FileNotFoundError:
        return
    except OSError as error:
        raise ArtifactError(f"{out}: cannot be written: {error.strerror}; choose another --out") from error
    if held and IMPORTED not in held and not held <= {IMAGE, INPUT}:
        raise ArtifactError(f"{out}: holds something else than an imported chip; choose another --out")


def _source_sha256(path: Path, parts: Sequence[Path]) -> str:
    """Returns the SHA-256 of a file; of several, that of the lines that `sha256sum` prints of them in their folder."""
    if not parts:
        return _sha256(path)
    lines = [f"{_sha256(part)}  {part.name}\n" for part in parts]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _sha256(path: Path) -> str:
    return hashlib.sha256(read_bytes(path)).hexdigest()


# ---------------------------------------------------------------------------------------------------------------------
# Chips to be run.


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """A chip image, and what lies beside it.

    Attributes:
        path: its file.
        image: the image.
        own_input: input spikes that came with it, or None.
    """

    path: Path
    image: ChipImage
    own_input: Path | None


def open_chip(path: Path) -> Chip:
    """Returns the chip in an import folder, in a run folder, in a folder with just an image, or in an image file.

    Raises:
        ArtifactError: there is none, it is damaged, or it is not what import.json says.
    """
    if path.suffix.lower() == ".json" and path.is_file():
        raise ArtifactError(
            f"{path}: is no chip image; if it is a chip of another tool, 'tncompile import' makes one of it"
        )
    if not path.is_dir():
        return Chip(path=path, image=read_stage(path, expect=ChipImage), own_input=None)
    if (path / IMPORTED).exists():
        return _imported(path)
    for name in (COMPILED, IMAGE):
        if (path / name).exists():
            return Chip(path=path / name, image=read_stage(path / name, expect=ChipImage), own_input=None)
    raise ArtifactError(
        f"{path}: has no chip image, neither {COMPILED} nor {IMAGE}; name the folder of an earlier 'tncompile compile' "
        "or 'tncompile import'"
    )


def _entering(chip: Chip, path: Path | None) -> SpikeSource | None:
    """Returns the input spikes in a file, or else those that came with a chip; RANC's begin a tick before the first."""
    own = chip.own_input
    if path is not None and (own is None or path.resolve() != own.resolve()):
        return open_input(path, chip.image)
    return None if own is None else InputFile(own, chip.image, from_tick=-1)


_TOLD = {"kind", "source", "sha256", "image", "input", "input_spikes", "notes"}
"""What other commands read in import.json."""


def read_import(path: Path) -> dict[str, Any]:
    """Returns the content of an import folder's import.json.

    Raises:
        ArtifactError: it is damaged.
    """
    file = path / IMPORTED
    try:
        found = json.loads(read_bytes(file))
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{file}: is not JSON ({error}); import the chip again") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT or not found.keys() >= _TOLD:
        raise ArtifactError(f'{file}: is no object with "format": {FORMAT}; import the chip again')
    return found


def _imported(path: Path) -> Chip:
    found = read_import(path)
    image = read_stage(path / IMAGE, expect=ChipImage)
    own_input = None if found["input"] is None else path / INPUT
    wrong = [path / IMAGE] if digest(image) != found["image"] else []
    if own_input is not None and _sha256(own_input) != found["input"]:
        wrong.append(own_input)
    if wrong:
        raise ArtifactError(f"{wrong[0]}: is not what {path / IMPORTED} tells of; import the chip again")
    return Chip(path=path / IMAGE, image=image, own_input=own_input)


# ---------------------------------------------------------------------------------------------------------------------
# Runs.


@dataclass(frozen=True, slots=True, kw_only=True)
class SpikeRun:
    """What a run of spikes reads and writes.

    Attributes:
        input: spikes that enter; None: those that came with the chip, if there are any.
        ticks: how many to run; None: as many as what is expected tells of, or to its last spike, or until the input is
            through [tick].
        output: where the output spikes go.
        expect: output spikes to compare with.
        record: where the spikes of watched cores go.
        watch: those cores; empty: all.
        potentials: whether potentials are recorded too.
        state: what to go on from.
        save_state: where the state goes at the end.
        engine: name of the engine.
        streams: independent chips side by side; None: as many as input or state have.
        seed: of the first stream's random numbers.
        devices: how many share the work.
        split: what is dealt to them: "streams" or "cores".
        volts: supply voltage to estimate the chip's power and speed for, from the first stream; None: nothing is
            counted [V].
    """

    input: Path | None = None
    ticks: int | None = None
    output: Path | None = None
    expect: Path | None = None
    record: Path | None = None
    watch: tuple[int, ...] = ()
    potentials: bool = False
    state: Path | None = None
    save_state: Path | None = None
    engine: str = "auto"
    streams: int | None = None
    seed: int | None = None
    devices: int = 1
    split: str = "streams"
    volts: float | None = None


def run_spikes(path: Path, run: SpikeRun, reporter: Reporter, stop: Callable[[], bool] | None = None) -> dict[str, Any]:
    """Runs spikes through a chip, writes what comes out, and returns figures.

    Args:
        path: as `open_chip`.
        run: what to read and write.
        reporter: takes progress.
        stop: asked now and then whether to end the run; all files are then written up to there.

    Raises:
        ArtifactError: a file cannot be read or written.
        ConfigError: options contradict one another.
        InfeasibleError: the engine cannot run the chip.
        SimulationError: a spike is outside of the chip.
    """
    _check_run(run)
    chip = open_chip(path)
    _check_places(run, chip)
    image = chip.image
    state = None if run.state is None else read_state(run.state, image)
    first = 0 if state is None else state.chip.tick
    given = run.input or chip.own_input
    source = _entering(chip, run.input)
    source = SpikeList(no_spikes(), image) if source is None else source
    expected = None if run.expect is None else open_output(run.expect, image)
    found = survey(source, None if state is None else first)
    ticks, why = _ticks(run, image, found, expected, first)
    watch = (run.watch or tuple(range(len(image.core_x)))) if run.record or run.volts else ()
    counter = None if run.volts is None else _counter(image, source)
    check_watch(watch, len(image.core_x))
    streams = run.streams or (found.streams if state is None else len(state.chip.seeds))
    reporter.say(f"Running ticks {first:,} … {first + ticks - 1:,}{why}, {found.spikes:,} input spikes")
    with ExitStack() as files:
        sinks: list[WindowWriter] = [] if counter is None else [counter]
        if run.output is not None:
            write = output_kind(run.output).write_output
            assert write is not None
            sinks.append(files.enter_context(write(run.output, image, streams)))
        if run.record is not None:
            sinks.append(files.enter_context(_recorder(run.record, image, watch, run.potentials, streams)))
        comparison = None if expected is None else Comparison(expected, streams, image.output_pins)
        if comparison is not None:
            sinks.append(comparison)
        result = simulate_stream(
            image,
            source,
            ticks,
            engine=run.engine,
            sinks=sinks,
            state=state,
            streams=run.streams,
            seed=run.seed or 0,
            devices=run.devices,
            split=run.split,
            watch=watch,
            drivers=run.output is not None and output_kind(run.output).drivers,
            progress=lambda done, total: reporter.progress("simulate", done, total, {}),
            announce=lambda choice: reporter.say(f"Engine {choice.engine}: {choice.reason}"),
            stop=stop,
            found=found,
        )
    if run.save_state is not None:
        write_state(run.save_state, result.save())
    if comparison is not None and result.ticks == ticks:
        comparison.finish()
    figures = _figures(chip, run, given, result, comparison, ticks)
    if counter is not None and run.volts is not None:
        figures["estimate"] = _estimate(counter, image, run.volts)
    if comparison is not None and result.ticks == ticks:
        for doubt in _doubts(figures):
            reporter.say(f"warning: {doubt}")
    return figures


def _counter(image: ChipImage, source: SpikeSource) -> SpikeCounter:
    from tncompile.counting import SpikeCounter  # imports networkx, which other runs do without

    return SpikeCounter(image, source)


def _estimate(counter: SpikeCounter, image: ChipImage, volts: float) -> dict[str, Any]:
    from tncompile.analysis.estimate import estimate
    from tncompile.counting import one_layer

    return estimate(counter.events(), image, EnergyConfig(voltage=volts), one_layer(image), tick="most")


def parse_cores(text: str) -> tuple[int, ...]:
    """Returns the cores that a text names, in rising order.

    Raises:
        ConfigError: the text is of another form, or has numbers that no board's cores have.

    >>> parse_cores("0,5,7-9")
    (0, 5, 7, 8, 9)
    """
    cores: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,18})(?:-(\d{1,18}))?\s*", part, re.ASCII)
        low, high = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if low > high:
            raise ConfigError(f"--watch {text}: must be cores and ranges of cores, for example 0,5,7-9")
        if high >= MAX_CORES:
            raise ConfigError(f"--watch {text}: has core {high}, no board has more than {MAX_CORES} cores")
        cores.update(range(low, high + 1))
    return tuple(sorted(cores))


def advice(path: Path, run: SpikeRun, figures: dict[str, Any]) -> str:
    """Returns what to do after a run that was stopped and saved."""
    end = figures["first_tick"] + figures["ticks"]

    def later(file: Path | None) -> Path | None:
        return None if file in (None, STDOUT) else file.with_name(f"{file.stem}-{end}{file.suffix}")

    options = {
        "state": run.save_state,
        "save-state": run.save_state,
        "input": run.input,
        "ticks": figures["ticks_asked"] - figures["ticks"],
        "output": STDOUT if run.output == STDOUT else later(run.output),
        "expect": run.expect,
        "record": later(run.record),
        "watch": ",".join(map(str, run.watch)) or None,
        "engine": None if run.engine == "auto" else run.engine,
        "devices": None if run.devices == 1 else run.devices,
        "split": None if run.devices == 1 else run.split,
    }
    given = [part for name, value in options.items() if value is not None for part in (f"--{name}", str(value))]
    given += ["--potentials"] if run.potentials else []
    kept = f"the state at tick {end} is kept in {run.save_state}"
    if run.output not in (None, STDOUT):
        kept += f", the spikes before in {run.output}"
    return f"{kept}; go on with: {shlex.join(['tncompile', 'simulate', str(path), *given])}"


def summary(figures: dict[str, Any]) -> dict[str, Any]:
    """Returns what a summary for people says of the figures of `run_spikes`."""
    last = figures["first_tick"] + figures["ticks"] - 1
    streams = f", {figures['streams']} streams" if figures["streams"] > 1 else ""
    earlier = figures["earlier_input_spikes"]
    peak, compared = figures["peak_memory_bytes"], figures.get("expected")
    rows = {
        "ticks": f"{figures['ticks']:,} ({figures['first_tick']:,} … {last:,}){streams}",
        "input spikes": f"{figures['input_spikes']:,}" + (f" ({earlier:,} earlier ones left out)" if earlier else ""),
        "output spikes": f"{figures['output_spikes']:,}" + (f" in {figures['output']}" if figures["output"] else ""),
        "recorded in": figures["record"],
        "state in": figures["state"],
        "expected spikes": None
        if compared is None
        else f"{compared['spikes']:,}, {differing(figures):,} differ"
        + (f" ({compared['earlier']:,} earlier ones left out)" if compared["earlier"] else "")
        + (f" ({compared['beyond']:,} beyond the run)" if compared["beyond"] else ""),
        "engine": f"{figures['engine']}: {figures['reason']}",
        **_chip_rows(figures.get("estimate")),
        "speed": f"{figures['ticks_per_s']:,.0f} ticks/s",
        "peak memory": None if peak is None else f"{peak / 1e6:,.0f} MB",
    }
    return {name: text for name, text in rows.items() if text is not None}


def _chip_rows(estimated: dict[str, Any] | None) -> dict[str, str]:
    """Returns what a summary says of the chip itself, of which ticks are all that is known."""
    if estimated is None:
        return {}
    core = "core ({x}, {y})".format(**estimated["busiest_core"])
    limit = {"core": f"synaptic events, most of them in {core}", "link": "a link", "edge": "a chip's edge"}
    limit["floor"] = "the shortest tick"
    sure = f"with {100 * estimated['confidence']:.0f} % confidence"
    speed, power = interval(estimated["frames_per_s"], "ticks/s"), interval(estimated["power_mW"], "mW")
    nominal = "which is below the nominal one"
    if "power_at_nominal_mW" in estimated:
        nominal = f"{interval(estimated['power_at_nominal_mW'], 'mW')} at the nominal one"
    return {
        "a tick": ", ".join(
            f"{significant(estimated['per_frame'][name])} {name.replace('_', ' ')}"
            for name in ("spikes", "synaptic_events", "hops")
        ),
        "chip speed": f"{speed} {sure}, limited by {limit[estimated['limit']]}",
        "chip power": f"{power} at that speed and {estimated['voltage_V']:.4g} V, {nominal}",
    }


def import_summary(found: dict[str, Any], out: Path) -> dict[str, Any]:
    """Returns what a summary for people says of an imported chip, from import.json's content."""
    told = ("kind", "cores", "neurons", "synapses", "output_pins", "input_spikes")
    return {"folder": str(out), **{key: found[key] for key in told}, **_numbered(found["notes"])}


def export_summary(written: dict[str, Any]) -> dict[str, Any]:
    """Returns what a summary for people says of an exported chip, from what `export_chip` returned."""
    told = ("folder", "kind", "input_spikes")
    return {**{key: written[key] for key in told}, "files": len(written["files"]), **_numbered(written["notes"])}


def _numbered(notes: Sequence[str]) -> dict[str, str]:
    return {f"note {i}": note for i, note in enumerate(notes, 1)}


def differing(figures: dict[str, Any]) -> int:
    """Returns how many output spikes differ from what was expected, from the figures of `run_spikes`."""
    compared = figures.get("expected")
    return 0 if compared is None else compared["missing"] + compared["surplus"]


def describe_difference(figures: dict[str, Any]) -> str | None:
    """Returns what differs from what was expected, from the figures of `run_spikes`; None: nothing.

    If all that is expected is expected behind the run, that is said, too.
    """
    compared = figures.get("expected")
    if compared is None:
        return None
    if _all_beyond(compared):
        return f"{compared['file']}: nothing was compared: {_beyond(figures)}"
    if not differing(figures):
        return None
    tick, stream, pin = compared["first"]["tick"], compared["first"]["stream"], compared["first"]["pin"]
    what = "is expected and did not come" if compared["first"]["expected"] else "came and is not expected"
    where = f"tick {tick}, pin {pin}" + (f" of stream {stream}" if figures["streams"] > 1 else "")
    count = "1 output spike differs" if differing(figures) == 1 else f"{differing(figures)} output spikes differ"
    return (
        f"{compared['file']}: {count} ({compared['missing']} missing, {compared['surplus']} too many, of "
        f"{compared['spikes']} expected); the first: {where} {what}"
    )


def _all_beyond(compared: dict[str, Any]) -> bool:
    """Returns whether nothing is compared, as all that is expected is expected behind the run."""
    return bool(compared["beyond"]) and not any(compared[key] for key in ("spikes", "surplus", "earlier"))


def _beyond(figures: dict[str, Any]) -> str:
    """Returns what is expected behind the run, and how to compare it."""
    compared, first = figures["expected"], figures["first_tick"]
    count = "1 expected spike lies" if compared["beyond"] == 1 else f"{compared['beyond']} expected spikes lie"
    return (
        f"{count} beyond the run, whose last tick is {first + figures['ticks'] - 1}; "
        f"--ticks {compared['last'] + 1 - first} takes in all"
    )


def _doubts(figures: dict[str, Any]) -> Iterator[str]:
    """Yields what the figures of a whole run with `--expect` say of how little was compared."""
    compared = figures["expected"]
    file, stop = compared["file"], figures["first_tick"] + figures["ticks"]
    if compared["beyond"] and not _all_beyond(compared):
        yield f"{file}: {_beyond(figures)}"
    if not any(compared[key] for key in ("spikes", "earlier", "beyond")):
        yield f"{file}: expects no spike on any output pin of this chip"
    if compared["end"] is not None and compared["end"] < stop - 1:
        start = max(compared["end"], figures["first_tick"])
        yield f"{file}: says nothing of the ticks {start} … {stop - 1}, which are not compared"


def _check_run(run: SpikeRun) -> None:
    """Refuses options that contradict one another, before any work.

    Raises:
        ConfigError: they do.
    """
    check_name(run.engine, "--engine")
    if run.record is None and (run.watch or run.potentials):
        raise ConfigError(f"--{'watch' if run.watch else 'potentials'}: there is no --record FILE to write to")
    if run.ticks is not None and run.ticks >> 53:
        raise ConfigError(f"--ticks: must be below {1 << 53}, got {run.ticks}")
    if run.state is not None and run.seed is not None:
        raise ConfigError("--seed: the state of --state has its own seeds; leave it out")
    if run.seed is not None and run.seed >> 32:
        raise ConfigError(f"--seed: must be below {1 << 32}, got {run.seed}")
    if run.volts is not None:
        low, high = VOLTS
        if not low <= run.volts <= high:
            raise ConfigError(f"--volts: must be {low:.2f} … {high:.2f}, got {run.volts:g}")
        for option, given in (("state", run.state), ("save-state", run.save_state), ("watch", run.watch or None)):
            if given is not None:
                raise ConfigError(
                    f"--{option}: with --volts, all cores are counted from tick 0 on; leave one of them out"
                )
    if run.split not in ("streams", "cores"):
        raise ConfigError(f"--split {run.split}: must be streams or cores")
    for option, path in (("record", run.record), ("save-state", run.save_state)):
        if path == STDOUT:
            raise ConfigError(f"--{option}: only --output can go to standard output; name a file")
    if run.output is not None:
        output_kind(run.output)
    if run.record is not None:
        check_ending(run.record)


def _check_places(run: SpikeRun, chip: Chip) -> None:
    """Refuses to write to what cannot be a file of its own, before any work.

    Raises:
        ArtifactError: a folder stands there, or no file can be made.
        ConfigError: there is no name, or two files are the same; a state may take the place of the one before.
    """
    written = {"output": run.output, "record": run.record, "save-state": run.save_state}
    read = {"--input": run.input, "--expect": run.expect, "the chip": chip.path, "the chip's input": chip.own_input}
    read["the chip's import.json"] = chip.path.with_name(IMPORTED)
    taken = {path.resolve(): what for what, path in read.items() if path is not None}
    for option, path in written.items():
        if path is None or path == STDOUT:
            continue
        if not path.name:
            raise ConfigError(f"--{option}: needs the name of a file")
        if path.is_dir():
            raise ArtifactError(f"--{option} {path}: is a folder; name a file")
        place = path.resolve()
        if place in taken:
            raise ConfigError(f"--{option} {path}: is the same file as {taken[place]}; name another one")
        taken[place] = f"--{option}"
        check_writable(path)


def _ticks(
    run: SpikeRun, image: ChipImage, found: Survey, expected: ExpectedSpikes | None, first: int
) -> tuple[int, str]:
    """Returns how many ticks to run, and why if it was not said."""
    if run.ticks is not None:
        return run.ticks, ""
    ticks, why = _ticks_in_files(image, found, expected, first)
    if ticks > MAX_TICKS:
        raise ConfigError(f"--ticks: the files ask for {ticks} ticks{why}; say how many to run, if that is meant")
    return ticks, why


def _ticks_in_files(image: ChipImage, found: Survey, expected: ExpectedSpikes | None, first: int) -> tuple[int, str]:
    """Returns how many ticks the input and what is expected ask for, and why."""
    if expected is not None and expected.end is not None and expected.end >= first:
        return expected.end + 1 - first, " (as many as are told of in what is expected)"
    compared = -1 if expected is None else max((int(c.tick.max(initial=-1)) for c in expected.chunks()), default=-1)
    if compared >= first:
        return compared + 1 - first, " (to the last expected spike)"
    latency = image.latency if image.latency >= 0 else image_arch(image).delay_max
    last = found.last + latency if found.last >= 0 else -1
    why = f" ({latency} behind the last input spike)"
    if last < first:
        what = (
            f"the input ends in tick {found.last}, the state is of tick {first}"
            if first
            else "there is no input (--input FILE)"
        )
        raise ConfigError(f"--ticks: {what}; say how many ticks to run")
    return last + 1 - first, why


@contextmanager
def _recorder(
    path: Path, image: ChipImage, watch: tuple[int, ...], potentials: bool, streams: int
) -> Iterator[WindowWriter]:
    """Gives a function that records the watched cores in the windows of a run."""
    values = ("spike", "potential") if potentials else ()
    names = ("tick", "core", "neuron", *values, *(("stream",) if streams > 1 else ()))
    used = image.neuron_type[np.array(watch, np.int64)] > 0
    at_once = max(1, _RECORD_ROWS // max(1, streams * int(used.sum())))
    with table_writer(path, names) as write:

        def record(window: Window) -> None:
            for part in pieces(window, at_once if potentials else window.ticks):
                write(potential_columns(part, used) if potentials else raster_columns(part))

        yield record


def _figures(
    chip: Chip, run: SpikeRun, given: Path | None, result: StreamResult, comparison: Comparison | None, asked: int
) -> dict[str, Any]:
    figures: dict[str, Any] = {
        "chip": str(chip.path),
        "engine": result.choice.engine,
        "reason": result.choice.reason,
        "streams": result.streams,
        "first_tick": result.first,
        "ticks": result.ticks,
        "ticks_asked": asked,
        "input": None if given is None else str(given),
        "input_spikes": result.input_spikes,
        "earlier_input_spikes": result.earlier_spikes,
        "output": None if run.output is None else str(run.output),
        "output_spikes": result.output_spikes,
        "record": None if run.record is None else str(run.record),
        "state": None if run.save_state is None else str(run.save_state),
        "seconds": result.seconds,
        "ticks_per_s": result.streams * result.ticks / result.seconds,
        "peak_memory_bytes": peak_memory(),
    }
    if comparison is not None:
        figures["expected"] = {
            "file": str(run.expect),
            "spikes": comparison.expected,
            "missing": comparison.missing,
            "surplus": comparison.surplus,
            "earlier": comparison.earlier,
            "beyond": comparison.beyond,
            "last": comparison.last,
            "end": comparison.end,
            "first": None
            if comparison.first is None
            else dict(zip(("tick", "stream", "pin", "expected"), comparison.first, strict=True)),
        }
    return figures


def peak_memory() -> int | None:
    """Returns the most memory that this process has held so far [byte]; None where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
