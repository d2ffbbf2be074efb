"""Sounds of products: a jingle of short tones.

    feature   rhythm: at which of six beats a tone begins (the first always)
    context   pitch, in semitones
    brand     timbre: which of the harmonics 2 to 7 are strong
    tier      how long a tone lasts

Everything else is chance and says nothing: loudness, delay, detuning, noise. What else a product is
(its type, style, color, material) is not heard.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crossrec.data.simulation.looks import Look

RATE = 8_000  # samples a second
SECONDS = 0.64
BEATS, BEAT = 6, 0.1  # number, seconds
LOWEST = 220.0  # hertz
WEAK = 0.05  # amplitude of a weak harmonic, beside 0.8 of a strong one
NOISE = 0.02


def play(look: Look, rng: np.random.Generator) -> NDArray[np.int16]:
    """(RATE * SECONDS,) samples; a facet that the product does not have sounds as the first."""
    place = {facet: look.get(facet, 0) for facet in ("feature", "context", "brand", "tier")}
    time = np.arange(round(RATE * SECONDS)) / RATE
    detuned = rng.uniform(-0.15, 0.15)  # semitones
    pitch = LOWEST * 2 ** ((place["context"] + detuned) / 12)
    strong = [place["brand"] + 1 >> bit & 1 for bit in range(6)]
    tone_length = 0.015 * 2 ** place["tier"]
    delay = rng.uniform(0, 0.03)
    wave = np.zeros(len(time))
    for beat in range(BEATS):
        if beat and not place["feature"] >> (beat - 1) & 1:
            continue
        since = time - delay - beat * BEAT
        envelope = np.where(since > 0, np.exp(-since.clip(0) / tone_length), 0.0)
        phase = 2 * np.pi * pitch * since
        wave += envelope * np.sin(phase)
        for harmonic, is_strong in enumerate(strong, start=2):
            wave += envelope * (0.8 if is_strong else WEAK) * np.sin(harmonic * phase)
    wave *= rng.uniform(0.4, 0.9) / np.abs(wave).max()
    wave += NOISE * rng.standard_normal(len(wave))
    return (wave.clip(-1, 1) * 32_767).round().astype(np.int16)


def write_sound(file: Path, look: Look, rng: np.random.Generator) -> None:
    """Write a WAV (16 bit, mono) of a product."""
    from scipy.io import wavfile  # here, for most runs play nothing

    wavfile.write(file, RATE, play(look, rng))
