"""Mel-frequency cepstra and their changes in time."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Num
from pydantic import Field, model_validator

from tncompile.config.base import Config
from tncompile.errors import ArtifactError

PREEMPHASIS = 0.97
LOWEST_FREQUENCY = 20  # [Hz]; the highest is half the rate
LIFTER = 22
DELTA_REACH = 2  # frames on either side of a delta's regression


class FrontEnd(Config):
    """How sound becomes the numbers that a network sees."""

    rate: int = Field(ge=4000, le=48000, description="samples a second; sound of another rate is resampled [Hz]")
    frame_ms: int = Field(ge=5, le=100, description="length of a frame, under a Hamming window [ms]")
    hop_ms: int = Field(ge=1, le=50, description="step from frame to frame [ms]")
    bands: int = Field(ge=4, le=128, description="triangular mel bands from 20 Hz to half the rate")
    coefficients: int = Field(ge=1, le=128, description="cepstra a frame, the zeroth among them")
    centred: bool = Field(
        description="of each cepstrum its mean over the recording is taken away, and with it loudness and microphone"
    )
    deltas: int = Field(ge=0, le=2, description="highest order of change in time that goes with them")
    deviations: float = Field(gt=0, le=10, description="standard deviations between the mean and an end of the codes")

    @model_validator(mode="after")
    def _check(self) -> FrontEnd:
        if self.rate * self.hop_ms % 1000:
            raise ValueError(f"hop_ms: {self.hop_ms} ms are no whole number of samples at {self.rate} Hz")
        if self.coefficients > self.bands:
            raise ValueError(f"coefficients: at most {self.bands}, the number of bands, got {self.coefficients}")
        return self

    @property
    def hop(self) -> int:
        """Step from frame to frame [samples]."""
        return self.rate * self.hop_ms // 1000


def mfcc(samples: Num[np.ndarray, " n"], front: FrontEnd) -> Float32[np.ndarray, "frames orders coefficients"]:
    """Returns the cepstra of a sound as Kaldi computes them, without dither, and their deltas.

    A sound of n samples has ⌊n / hop + 1/2⌋ frames; frame k is centred at sample (k + 1/2) · hop, and where it reaches
    beyond an end, the sound is mirrored there. A frame's mean is taken away, then it is pre-emphasised by 0.97 and
    weighted by a Hamming window; the logarithms of the energies in the mel bands go through an orthonormal cosine
    transform and a lifter of 22. The zeroth cepstrum stands for the energy. A centred front end then takes
    away each cepstrum's mean over all frames (cepstral mean normalisation). A delta is the slope of the straight line
    through a frame and the two before and behind it; at the ends the outermost frame is repeated.

    Args:
        samples: the sound, in steps of 16-bit samples [LSB]; its rate is the front end's.
        front: the front end.

    Raises:
        ArtifactError: the library for it is not installed.

    References:
        S. Davis, P. Mermelstein 1980, IEEE Trans. ASSP 28(4); the Kaldi toolkit, compute-mfcc-feats; S. Young et al.,
        The HTK Book, section 5.9 (deltas).
    """
    try:
        import kaldi_native_fbank as knf
    except ImportError as error:
        raise ArtifactError("cepstra need kaldi-native-fbank: pip install 'tncompile[speech]'") from error
    options = knf.MfccOptions()
    frame, mel = options.frame_opts, options.mel_opts
    frame.samp_freq, frame.frame_length_ms, frame.frame_shift_ms = front.rate, front.frame_ms, front.hop_ms
    frame.dither, frame.preemph_coeff, frame.remove_dc_offset = 0.0, PREEMPHASIS, True
    frame.window_type, frame.round_to_power_of_two, frame.snip_edges = "hamming", True, False
    mel.num_bins, mel.low_freq, mel.high_freq = front.bands, LOWEST_FREQUENCY, 0.0
    options.num_ceps, options.cepstral_lifter = front.coefficients, LIFTER
    options.use_energy, options.htk_compat = False, False
    transform = knf.OnlineMfcc(options)
    transform.accept_waveform(front.rate, samples.astype(np.float32).tolist())
    transform.input_finished()
    frames = [np.asarray(transform.get_frame(i)) for i in range(transform.num_frames_ready)]
    static = np.array(frames, np.float32).reshape(-1, front.coefficients)
    if front.centred and len(static):
        static = static - static.mean(axis=0, dtype=np.float64).astype(np.float32)
    return _with_deltas(static, front.deltas)


def _with_deltas(
    static: Float32[np.ndarray, "frames coefficients"], orders: int
) -> Float32[np.ndarray, "frames {orders+1} coefficients"]:
    from scipy.signal import savgol_filter

    out = [static]
    for _ in range(orders if len(static) else 0):
        # A Savitzky-Golay filter of degree 1 is the regression that defines a delta.
        out.append(np.asarray(savgol_filter(out[-1], 2 * DELTA_REACH + 1, 1, deriv=1, axis=0, mode="nearest")))
    return np.stack(out, axis=1) if len(static) else np.zeros((0, orders + 1, static.shape[1]), np.float32)
