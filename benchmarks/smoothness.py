"""What does the smoothness prior cost, how exact is its estimate, and is the result of training the same?"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import tyro
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from tqdm import tqdm

import bayesreg as br
from bayesreg import guides
from bayesreg.curvature import curvature, double_backward, outputs_and_curvature
from bayesreg.device import choose_device
from bayesreg.files import write_atomically
from bayesreg.step import Step
from bayesreg.threads import surroundings
from benchmarks import machine, measure, memory
from benchmarks.cases import CASES, Problem
from benchmarks.contestants import BAYESREG, LR, STEPS, Key, synchronise
from benchmarks.pages.smoothness import FIT, write
from benchmarks.settings import DEFAULT, DOUBLE_BACKWARD, EXACT, NO_PRIOR, SETTINGS, WHOLE, Setting, text

WINDOW = 8  # steps over which a gradient is averaged: about as many as Adam remembers
FITS = {"synthetic": (0.01, 0.1), "diabetes": (0.1, 1.0), "digits": (0.1, 1.0)}
STRENGTHS, EPOCHS = (1e-4, 1e-2, 1e-1, 1.0, 10.0), 1500  # for the picture


@dataclass(frozen=True)
class SmoothnessCost:
    """Measure the cost of the smoothness prior against the variance of its estimate, and write reports/smoothness/."""

    cases: list[str] = field(default_factory=lambda: ["mlp", "resnet18", "lstm", "transformer"])
    """Which networks."""
    widths: list[int] = field(default_factory=lambda: [1, 4])
    """Multiples of the usual width; beyond 1 only ResNet18, at the default setting and with the whole batch."""
    seconds: float = 1.0
    """About how many seconds each setting is measured."""
    draws: int = 40
    """Draws of each estimate, for its variance."""
    seeds: int = 3
    """Seeds of the fits that compare the default with the exact prior; 0: no fits."""
    memory: bool = True
    """Measure peak memory, in one process each."""
    device: str | None = None
    """cpu, cuda, cuda:1, …; None: a GPU where there is one."""
    output: Path = Path("reports/smoothness")
    """Where the tables, the figures and the page go."""


def cost(case: str, width: int, options: SmoothnessCost, device: torch.device) -> list[dict[str, Any]]:
    """One row per setting: time per step and peak memory over those without a prior, and the estimate's deviation."""
    problem = Problem(CASES[case], width, CASES[case].batches[0], device)
    settings = SETTINGS if width == 1 else [DEFAULT, WHOLE]
    with surroundings(device, 0, problem.threads):
        plain = _steps(problem, br.Flat())
        turns: dict[Any, Callable[[], object]] = {None: plain} | {s: _steps(problem, _prior(s)) for s in settings}
        if width == 1:
            turns[DOUBLE_BACKWARD] = partial(_by_reverse_mode, problem)
        times = measure.interleave(turns, options.seconds, wait=lambda: synchronise(device))
        rows = []
        for setting in turns:
            each = [time / (1 if setting == DOUBLE_BACKWARD else WINDOW) for time in times[setting]]
            ratios = [a / b * WINDOW for a, b in zip(each, times[None], strict=True)]
            ratio, low, high = measure.spread(ratios)
            found = {"case": case, "width": width, "batch": problem.batch, "setting": setting or NO_PRIOR}
            if isinstance(setting, tuple):
                found |= {"setting": text(setting)} | dict(
                    zip(("fraction", "every", "coordinates"), setting, strict=True)
                )
                found["deviation"] = _deviation(problem, setting, options.draws)
            found |= {"ms": measure.spread(each).median * 1e3, "ratio": ratio, "q25": low, "q75": high}
            rows.append(found)
    if options.memory:
        key = Key(case, problem.batch, width, "none", "delta", BAYESREG)
        peaks = [memory.measure(key._replace(prior=prior), device) for prior in ("none", "smoothness")]
        none, default = (peak["before"] + max(peak["preparing"], peak["training"]) for peak in peaks)
        rows[1] |= {"memory": default / none, "memory above": _above(peaks[1]) / _above(peaks[0])}
    return rows


def _above(peak: dict[str, float]) -> float:
    return max(peak["preparing"], peak["training"])


def _prior(setting: Setting, strength: float = 1e-2) -> br.Smoothness:
    return br.Smoothness(strength, *setting)


def _steps(problem: Problem, prior: br.Prior) -> Callable[[], object]:
    """`WINDOW` steps of training, with every k-th among them."""
    model = br.Model(problem.network(), prior, problem.case.likelihood, problem.case.size).train()
    step = Step(model, guides.create("delta", model), LR, STEPS)
    step.prepare(problem.x, problem.y, STEPS, problem.work, "never")
    return lambda: [step(problem.x, problem.y) for _ in range(WINDOW)]


def _at_start(problem: Problem) -> tuple[br.Model, Callable[[Tensor], Tensor], Tensor]:
    model = problem.model("none")
    parameters = {name: p.detach().requires_grad_() for name, p in model.unpack(model.initial()).items()}
    return model, lambda x: model.outputs(parameters, x), br.model.to_unit(problem.x)


def _by_reverse_mode(problem: Problem) -> None:
    """The paper's method at its cheapest: one coordinate per example, one output at a time; no likelihood, no Adam."""
    model, network, x = _at_start(problem)
    x = x.clone().requires_grad_()
    model.eval()  # reverse mode three times through batch statistics is not possible
    v = torch.zeros_like(x).flatten(1).scatter(1, torch.zeros(len(x), 1, dtype=torch.long, device=x.device), 1.0)
    with sdpa_kernel(SDPBackend.MATH), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about switching off oneDNN, whose LSTM has no second derivative
        with torch.backends.mkldnn.flags(enabled=problem.case.name != "lstm"):
            double_backward(network(x), x, v.reshape(1, *x.shape)).mean().backward()


def _deviation(problem: Problem, setting: Setting, draws: int) -> float:
    """The relative standard deviation of the mean of the estimates of `WINDOW` steps, at one batch and θ."""
    model, network, x = _at_start(problem)
    share, every = _prior(setting).share, setting[1]
    with torch.no_grad(), model.buffers_kept():
        values = pd.Series([outputs_and_curvature(network, x, share)[1].mean().item() for _ in range(draws)])
    return float(values.std() / values.mean() * (every / WINDOW) ** 0.5)


def final(seeds: int) -> list[dict[str, Any]]:
    """One row per fit: validation nll and curvature at the default, and with the exact prior on every step."""
    rows = []
    todo = [
        (name, strength, seed) for name, strengths in FITS.items() for strength in strengths for seed in range(seeds)
    ]
    for name, strength, seed in tqdm(todo, desc="fits", disable=None):
        data = br.datasets.load(name)
        for what, setting in {"default": DEFAULT, "exact": EXACT}.items():
            torch.manual_seed(seed)
            net = br.nets.mlp(data.features[0] if len(data.features) == 1 else 64, data.classes or 1)
            likelihood: br.Likelihood = br.Categorical() if data.classes else br.Gaussian()
            model = br.Model(net, _prior(setting, strength), likelihood, size=len(data.train))
            start = time.perf_counter()
            posterior = br.fit(model, data.train, epochs=30, batch_size=32, seed=seed, progress=False)
            seconds = time.perf_counter() - start
            with torch.no_grad():
                d = curvature(posterior.network(), data.validation.x[:200]).mean().item()
            row = {"dataset": name, "strength": strength, "seed": seed, "setting": what, "seconds": seconds, "d": d}
            rows.append(row | {"nll": posterior.evaluate(data.validation)["nll"]})
    return rows


def curves() -> pd.DataFrame:
    """MAP fits of one noisy curve: x, the mean, the strength, and the mean of d over the data."""
    generator = torch.Generator().manual_seed(0)
    x = torch.sort(torch.rand(60, 1, generator=generator) * 2 - 1, 0).values
    y = torch.sin(6 * x[:, 0]) + 0.25 * torch.randn(60, generator=generator)
    grid = torch.linspace(-1, 1, 200)[:, None]
    found = [pd.DataFrame({"x": x[:, 0], "y": y, "strength": float("nan"), "d": float("nan")})]
    for strength in STRENGTHS:
        torch.manual_seed(0)
        model = br.Model(br.nets.mlp(1, 1, 64), br.Smoothness(strength), br.Gaussian(scale=0.25), size=60)
        posterior = br.fit(model, br.Dataset(x, y), epochs=EPOCHS, batch_size=60, lr=0.01, progress=False)
        with torch.no_grad():
            net = posterior.network()
            mean, d = net(grid)[:, 0], curvature(net, x).mean().item()
        found.append(pd.DataFrame({"x": grid[:, 0], "y": mean, "strength": strength, "d": d}))
    return pd.concat(found, ignore_index=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and write the tables and the page."""
    options = tyro.cli(SmoothnessCost, prog="python -m benchmarks.smoothness", args=arguments)
    unknown = [name for name in options.cases if name not in CASES]
    if unknown:
        sys.exit(f"error: unknown case {unknown[0]!r}; there are {', '.join(CASES)}")
    device = choose_device(options.device)
    rows: list[dict[str, Any]] = []
    for width in options.widths:
        for case in options.cases:
            if width == 1 or case == "resnet18":
                print(f"{case}, {width}× as wide", file=sys.stderr)
                rows += cost(case, width, options, device)
                _write(options.output / "cost.csv", pd.DataFrame(rows).to_csv(index=False))
    _write(options.output / "final.csv", pd.DataFrame(final(options.seeds), columns=FIT).to_csv(index=False))
    _write(options.output / "line.csv", curves().to_csv(index=False))
    _write(options.output / "machine.json", json.dumps(machine.describe(device), indent=2, ensure_ascii=False) + "\n")
    print(write(options.output))


def _write(path: Path, content: str) -> None:
    write_atomically(path, partial(Path.write_bytes, data=content.encode()))


if __name__ == "__main__":
    main()
