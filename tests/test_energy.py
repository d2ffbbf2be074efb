"""Energy by counters that a test winds on."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from crossrec import energy
from crossrec.energy import Meter


@pytest.fixture
def powercap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two packages, the memory of one, a part of a package, and the whole machine."""
    zones = {
        "intel-rapl:0": "package-0",
        "intel-rapl:0:0": "core",
        "intel-rapl:0:1": "dram",
        "intel-rapl:1": "package-1",
        "intel-rapl:2": "psys",
    }
    for zone, name in zones.items():
        (tmp_path / zone).mkdir()
        (tmp_path / zone / "name").write_text(f"{name}\n")
        (tmp_path / zone / "max_energy_range_uj").write_text("1000000000\n")
        (tmp_path / zone / "energy_uj").write_text("5000000\n")
    monkeypatch.setattr(energy, "POWERCAP", tmp_path)
    monkeypatch.setitem(sys.modules, "pynvml", None)
    return tmp_path


def test_packages_and_memory_are_added_and_parts_are_not_counted_twice(powercap: Path) -> None:
    with Meter() as meter:
        for zone in powercap.iterdir():
            (zone / "energy_uj").write_text("7000000\n")
        assert meter.joules == pytest.approx(3 * 2)
        (powercap / "intel-rapl:1" / "energy_uj").write_text("7500000\n")
        assert meter.joules == pytest.approx(6.5)


def test_a_counter_that_starts_over_goes_on(powercap: Path) -> None:
    (powercap / "intel-rapl:0" / "energy_uj").write_text("999000000\n")
    with Meter() as meter:
        (powercap / "intel-rapl:0" / "energy_uj").write_text("2000000\n")
        assert meter.joules == pytest.approx(3)


def test_readings_in_between_see_every_turn(
    powercap: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(energy, "PERIOD", 0.001)
    file = powercap / "intel-rapl:0" / "energy_uj"
    with Meter() as meter:
        for micro in (900_000_000, 100_000_000, 4_000_000):  # twice around
            draft = file.with_suffix(".new")
            draft.write_text(str(micro))
            draft.rename(file)
            while meter._counters[0].last != micro / 1e6:
                pass
        assert meter.joules == pytest.approx(895 + 200 + 904)


def test_what_may_not_be_read_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monkeypatch.setattr(energy, "POWERCAP", tmp_path / "absent")
    with Meter() as meter:
        assert meter.joules is None


@pytest.mark.parametrize(("visible", "joules"), [(None, 3.0), ("1", 2.0), ("0", 1.0)])
def test_gpus_count_what_is_visible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, visible: str | None, joules: float
) -> None:
    spent = {0: 10_000, 1: 20_000}  # millijoules, as NVML has them
    nvml = SimpleNamespace(
        NVMLError=RuntimeError,
        nvmlInit=lambda: None,
        nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex=lambda number: number,
        nvmlDeviceGetTotalEnergyConsumption=lambda handle: spent[handle],
    )
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    monkeypatch.setattr(energy, "POWERCAP", tmp_path / "absent")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with Meter() as meter:
        spent.update({0: 11_000, 1: 22_000})
        assert meter.joules == pytest.approx(joules)


def test_who_stops_the_command_while_nvml_loads_stops_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pynvml.py").write_text("raise KeyboardInterrupt")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "pynvml", raising=False)
    with pytest.raises(KeyboardInterrupt):
        Meter()


def test_a_driver_that_is_missing_counts_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class NVMLError(Exception):
        pass

    def absent() -> None:
        raise NVMLError("driver not loaded")

    monkeypatch.setitem(
        sys.modules, "pynvml", SimpleNamespace(NVMLError=NVMLError, nvmlInit=absent)
    )
    monkeypatch.setattr(energy, "POWERCAP", tmp_path / "absent")
    assert Meter().joules is None
