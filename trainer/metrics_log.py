"""What a run measures on its way: JSON lines, TensorBoard events, and a picture at the end."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from petdata.workspace import write_whole

METRICS: Final = "metrics.jsonl"
EVENTS: Final = "tensorboard"
CURVES: Final = "curves.png"


class MetricsLog:
    """Appends one object a line: {"step": 120, "loss": 0.31, ...}, without what is not finite.

    Opened at a step, it forgets what an earlier process logged beyond it, so that a resumed run
    reads as if it had never stopped.
    """

    def __init__(self, folder: Path, *, step: int) -> None:
        from tensorboardX import SummaryWriter

        self._path = folder / METRICS
        kept = [line for line in read_metrics(folder) if line["step"] <= step]
        write_whole(self._path, "".join(json.dumps(line) + "\n" for line in kept).encode())
        self._file = self._path.open("a", encoding="utf-8")
        self._events = SummaryWriter(str(folder / EVENTS), purge_step=step + 1, max_queue=100)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        finite = {name: value for name, value in values.items() if math.isfinite(value)}
        self._file.write(json.dumps({"step": step, **finite}) + "\n")
        self._file.flush()
        for name, value in finite.items():
            if name != "epoch":
                self._events.add_scalar(name, value, step)

    def close(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._events.close()

    def __enter__(self) -> MetricsLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """Every whole line; a kill may have torn the last one."""
    path = folder / METRICS
    if not path.exists():
        return []
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict) and isinstance(line.get("step"), int):
            lines.append(line)
    return lines


def draw_curves(folder: Path, title: str) -> Path:
    """One panel for the loss, one for each validation metric that has values."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    lines = read_metrics(folder)
    names = [name for name in ("loss", *_validation_names(lines)) if _series(lines, name)]
    panels = names or ["loss"]
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(5 * columns, 3.2 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    for number, name in enumerate(panels):
        axes = figure.add_subplot(rows, columns, number + 1)
        points = _series(lines, name)
        style = "-" if name == "loss" else "o-"
        axes.plot([x for x, _ in points], [y for _, y in points], style, markersize=4)
        _shade_interval(axes, lines, name)
        axes.set_title(name.replace("_", " "))
        axes.set_xlabel("step")
        axes.grid(alpha=0.3)
    path = folder / CURVES
    figure.savefig(path.with_suffix(".tmp.png"), dpi=110)
    path.with_suffix(".tmp.png").replace(path)
    return path


def _validation_names(lines: list[dict[str, Any]]) -> list[str]:
    found: dict[str, None] = {}
    for line in lines:
        if "loss" not in line:
            found.update(dict.fromkeys(name for name in line if name not in ("step", "epoch")))
    ends = ("_low", "_high")
    return [name for name in found if not name.endswith(ends) and _is_metric(name)][:8]


def _is_metric(name: str) -> bool:
    return any(part in name for part in ("accuracy", "precision", "auc", "error", "map"))


def _series(lines: list[dict[str, Any]], name: str) -> list[tuple[int, float]]:
    return [(line["step"], line[name]) for line in lines if isinstance(line.get(name), float | int)]


def _shade_interval(axes: Any, lines: list[dict[str, Any]], name: str) -> None:
    low, high = _series(lines, f"{name}_low"), _series(lines, f"{name}_high")
    if low and len(low) == len(high):
        axes.fill_between([x for x, _ in low], [y for _, y in low], [y for _, y in high], alpha=0.2)
