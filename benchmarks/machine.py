"""The machine and the versions, without a name that identifies the machine."""

from __future__ import annotations

import os
import platform
from datetime import date
from pathlib import Path

import pyro
import torch

import bayesreg


def describe(device: torch.device) -> dict[str, str]:
    """{"processor": ..., "cores": ..., "GPU": ..., ...}, as on the page."""
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else "not measured"
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "threads": f"{torch.get_num_threads()} at most",
        "busy cores at the start": load,
        "memory": _memory(),
        "GPU": gpu,
        "system": f"{platform.system()} {platform.machine()}",
        "Python": platform.python_version(),
        "PyTorch": torch.__version__,
        "Pyro": pyro.__version__,
        "bayesreg": bayesreg.__version__,
        "measured": date.today().isoformat(),
    }


def _processor() -> str:
    """The model; with what /proc/cpuinfo knows where the name alone says little."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    known = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    model = known.get("model name", platform.processor() or "unknown")
    vectors = [name for name in ("avx512f", "avx2") if name in known.get("flags", "").split()]
    return f"{model} ({vectors[0].upper()})" if vectors else model


def _memory() -> str:
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"
    except (AttributeError, ValueError, OSError):
        return "unknown"
