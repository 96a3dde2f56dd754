"""The pictures of the pages, drawn from data: `python scripts/figures.py` writes docs/figures/digits.png and protocol.svg."""

import sys
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "docs" / "figures"
SHOWN = {"scratch": "#444444", "linear_probe": "#d95f02", "finetune": "#1b7db8", "l2_sp": "#7570b3"}


def digits(file: Path) -> None:
    """Accuracy against labels per class, with the 95 % confidence intervals of `docs/results/digits.json`."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    from xlearn.table.data import read_table

    table = read_table(ROOT / "docs" / "results" / "digits.json")
    figure, axes = pyplot.subplots(figsize=(6.4, 3.4), dpi=160)
    for number, (row, color) in enumerate(SHOWN.items()):
        cells = [table.cells[row, column] for column in table.columns]
        places = [position + 0.06 * (number - 1.5) for position in range(len(cells))]
        means = [each.mean or 0.0 for each in cells]
        axes.errorbar(
            places, means, yerr=[each.half_width or 0.0 for each in cells], color=color, marker="o", markersize=4, capsize=3,
            linewidth=1.5, label=row,
        )  # fmt: skip
    axes.set_xticks(range(len(table.columns)), table.columns)
    axes.set_xlabel("target labels per class (optdigits)")
    axes.set_ylabel("test accuracy")
    axes.grid(axis="y", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    axes.set_title("MNIST to optdigits: mean and 95 % confidence interval, 3 seeds", fontsize=10)
    figure.tight_layout()
    figure.savefig(file, metadata={"Software": None})


def protocol(file: Path) -> None:
    """The protocol of a run: source, copied weights, target, baseline, and the use of each split."""
    parts: list[str] = []

    def box(x: int, y: int, width: int, lines: list[str], fill: str, bold: bool = True) -> None:
        height = 22 + 18 * len(lines)
        parts.append(f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="6" fill="{fill}" stroke="#555"/>')
        for number, line in enumerate(lines):
            weight = ' font-weight="600"' if bold and number == 0 else ""
            parts.append(
                f'<text x="{x + width // 2}" y="{y + 26 + 18 * number}" text-anchor="middle"{weight}>{escape(line)}</text>'
            )

    def arrow(points: str, label: str, x: int, y: int, dashed: bool = False) -> None:
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="#333" stroke-width="1.5" marker-end="url(#head)"{dash}/>'
        )
        parts.append(f'<text x="{x}" y="{y}" text-anchor="middle" fill="#333">{escape(label)}</text>')

    box(20, 30, 190, ["source", "training split: all labels"], "#e8f1fa")
    box(300, 30, 190, ["source network", "pretraining"], "#ffffff")
    box(300, 140, 190, ["target network", "transfer, N steps"], "#ffffff")
    box(20, 140, 190, ["target", "k training labels per class"], "#fdf0e3")
    box(300, 250, 190, ["baseline network", "from scratch, N steps"], "#ffffff")
    box(590, 140, 200, ["target test split", "opened once, at the end"], "#f7e4e4")
    box(590, 250, 200, ["gain", "result minus baseline"], "#e6f4e6")
    box(590, 30, 200, ["target validation split", "only for selection (keep=)"], "#fdf0e3")
    arrow("210,60 296,60", "train", 253, 52)
    arrow("395,88 395,136", "copied weights", 340, 117)
    arrow("210,170 296,170", "train", 253, 162)
    arrow("115,198 115,280 296,280", "same labels, split, seed", 206, 272)
    arrow("490,170 586,170", "measure", 538, 162)
    arrow("490,280 540,280 540,186 586,186", "measure", 538, 300)
    arrow("690,198 690,246", "", 690, 220)
    arrow("590,60 540,60 540,112 450,112 450,136", "", 540, 100, dashed=True)
    file.write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 810 330" font-family="Arial, sans-serif" font-size="13">\n'
        '<rect width="810" height="330" fill="#fff"/>\n'
        '<defs><marker id="head" markerWidth="9" markerHeight="7" refX="8" refY="3.5" orient="auto">'
        '<path d="M0 0 L9 3.5 L0 7 z" fill="#333"/></marker></defs>\n' + "\n".join(parts) + "\n</svg>\n",
        encoding="utf-8",
    )


def main() -> int:
    FIGURES.mkdir(exist_ok=True)
    digits(FIGURES / "digits.png")
    protocol(FIGURES / "protocol.svg")
    return 0


if __name__ == "__main__":
    sys.exit(main())
