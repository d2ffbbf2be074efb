"""Learning curves stay with what was trained: a run that reuses it shows them, too."""

import shutil
from pathlib import Path

FOLDER, FILE = "curves", "metrics.csv"  # RUN/curves/STAGE/metrics.csv, as the CSV logger writes


def keep_curve(run: Path, stage: str, artifact: Path) -> None:
    """Copy a stage's curve from the run folder to what it trained, if the run wrote any."""
    curve = run / FOLDER / stage / FILE
    if curve.is_file():
        shutil.copyfile(curve, artifact / FILE)


def show_curve(artifact: Path, run: Path, stage: str) -> None:
    """Copy the curve of a reused artifact into the run folder, if the artifact has any."""
    curve = run / FOLDER / stage / FILE
    if (artifact / FILE).is_file() and not curve.exists():
        curve.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(artifact / FILE, curve)
