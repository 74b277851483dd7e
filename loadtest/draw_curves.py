"""Draw curves: what curves.py measured, as PNG beside its JSON. Needs matplotlib and nothing else.

loadtest/.venv/bin/python loadtest/draw_curves.py docs/curves.json
"""

import argparse
import json
import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.ticker import FuncFormatter, NullFormatter

# Curve → axis of x, and its panels: metric, title, whether y is logarithmic.
_ROWS, _CPU = "landed_rows_per_s", "cpu_us_per_row.all"
CURVES = {
    "body_sizes": ("rows of a body", ((_ROWS, "rows landed a second", True), (_CPU, "CPU µs of a row, all but the generator", True))),
    "connections": ("connections, one-row bodies", (("requests_per_s", "requests a second", False), ("p99_ms", "p99 of the answer, ms", False))),
    "sources": ("data sources in use, 100-row bodies", ((_ROWS, "rows landed a second", False), (_CPU, "CPU µs of a row, all but the generator", False))),
}  # fmt: skip
_COLOURS = {"sluice": "#0b6e99", "engine directly": "#c0662b"}
_STYLE = {
    "font.size": 10, "axes.titlesize": 11, "axes.titlelocation": "left", "axes.spines.top": False,
    "axes.spines.right": False, "axes.grid": True, "grid.color": "#dddddd", "axes.axisbelow": True, "figure.dpi": 110,
}  # fmt: skip


def draw(name: str, points: list[dict], data: dict, path: Path) -> None:
    label, panels = CURVES[name]
    figure, axes = plt.subplots(1, len(panels), figsize=(10, 4), layout="constrained")
    for axis, (metric, title, is_log) in zip(axes, panels, strict=True):
        for number, side in enumerate(dict.fromkeys(point["side"] for point in points)):
            line = [(point["x"], point[metric]) for point in points if point["side"] == side and metric in point]
            axis.plot(*zip(*line, strict=True), marker="o", color=_COLOURS.get(side), label=side)
            for x, y in line:
                axis.annotate(
                    _short(y), (x, y), (0, -14 if number else 7), textcoords="offset points", ha="center", fontsize=8
                )
        axis.set_title(title)
        axis.set_xlabel(label)
        axis.set_xscale("log")
        axis.set_xticks(sorted({point["x"] for point in points}))
        axis.set_yscale("log" if is_log else "linear")
        if not is_log:
            axis.set_ylim(bottom=0)
        axis.margins(y=0.12)
        for each in (axis.xaxis, axis.yaxis):
            each.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
            each.set_minor_formatter(NullFormatter())
    if len({point["side"] for point in points}) > 1:
        axes[0].legend(frameon=False)
    here, settings = data["machine"], data["settings"]
    said = f"{here['cpu']}; {settings['workers']} workers, {settings['seconds']:g} s each; {here['commit']}, {here['date']}"
    figure.supxlabel(said, fontsize=7, color="#777777")
    figure.savefig(path)
    plt.close(figure)


def _short(value: float) -> str:
    """Return a number as it is said: 1.2M, 470k, 85, 0.93."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("measured", type=Path, help="curves.json")
    given = arguments.parse_args()
    data = json.loads(given.measured.read_text())
    plt.rcParams.update(_STYLE)
    for name, points in data["curves"].items():
        if points:
            path = given.measured.parent / f"curve-{name.replace('_', '-')}.png"
            draw(name, points, data, path)
            print(f"Written to {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
