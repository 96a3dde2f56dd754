"""The pages of `docs/` that are made from the code: the tree in `architecture.md`, `migration.md` and `options.md`.

python scripts/pages.py            # write them
python scripts/pages.py --check    # say which are out of date, and end with 1 if any is
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "xlearn"
BEGIN = "<!-- made by scripts/pages.py -->"


def docstring(file: Path) -> str:
    return ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""


def first_line(file: Path) -> str:
    return docstring(file).partition("\n")[0]


def room(folder: Path) -> str:
    """The first two sentences of a room's docstring."""
    return " ".join(re.split(r"(?<=[.]) (?=[A-Z`])", " ".join(docstring(folder / "__init__.py").split()))[:2])


def rooms(folder: Path = PACKAGE) -> Iterator[Path]:
    """Every package, each above those inside it."""
    for each in sorted(folder.iterdir()):
        if (each / "__init__.py").is_file():
            yield each
            yield from rooms(each)


def tree() -> str:
    """A line for each room, then its files, each with the first line of its docstring."""
    lines = ["| room | what lives there |", "|---|---|"]
    lines += [f"| [`{_name(each)}/`](#{_anchor(each)}) | {room(each)} |" for each in rooms()]
    for folder in (PACKAGE, *rooms()):
        files = [file for file in sorted(folder.glob("*.py")) if file.name != "__init__.py"]
        lines += ["", f"### `{_name(folder) or 'xlearn'}/`", ""]
        lines += [f"* `{file.name}`: {first_line(file)}" for file in files] or ["Rooms only."]
    return "\n".join(lines)


def _name(folder: Path) -> str:
    return folder.relative_to(PACKAGE).as_posix().removeprefix(".")


def _anchor(folder: Path) -> str:
    return _name(folder).replace("/", "")


def architecture() -> str:
    """The page with the present tree below its mark."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    return f"{text.partition(BEGIN)[0]}{BEGIN}\n\n{tree()}\n"


# Classes of one's own, by an example, and the flags that they had.
BASES = {
    "MyObjective": "xlearn.objectives.Objective", "MyBalance": "xlearn.balance.Balance",
    "MySharing": "xlearn.sharing.Structure", "MySolver": "xlearn.solvers.Solver",
    "MyLearner": "xlearn.base_learners.BaseLearner",
}  # fmt: skip
FLAGS = {
    "unlabeled = True": "Needs(unlabeled=True)", "labels = False": "Needs(labels=False, trains_head=False)",
    "heads = False": "Needs(trains_head=False)", "views = True": "Needs(views=True)", "pairs = True": "Needs(pairs=True)",
    "changes_inputs = True": "Needs(raw_inputs=True)", "reads_inputs = True": "Needs(raw_inputs=True)",
    "looks_inside = True": "Needs(runs_encoders=True)", "smallest_batch()": "Needs(batch=2)",
    'lessons = ("logits",)': 'Needs(teacher=frozenset({"logits"}))',
    "runs_teacher = True": 'Needs(teacher=frozenset({"network"}))',
}  # fmt: skip


def migration() -> str:
    """Old names beside the new ones, from the table that the messages come from."""
    sys.path.insert(0, str(ROOT))
    from xlearn.config.renamed import CHAIN_KEYS, KEYS, METHODS, READS, addresses

    def rows(names: dict[str, str]) -> list[str]:
        return ["| before | now |", "|---|---|", *(f"| `{old}` | `{new}` |" for old, new in sorted(names.items())), ""]

    return "\n".join(
        [
            "# From earlier versions",
            "",
            "After this page you know what a configuration, a component or a script of your own has to say now.",
            "An old name is answered by a sentence with the new one.",
            "",
            "Results of earlier versions stay readable: `xlearn table`, `xlearn search` and `pretrain=checkpoint` take folders",
            "of both (`result.json` says `format: 5` now). Addresses are a part of a run's digest, so the same command",
            "computes its run again, in another folder; a table then shows the newer result and says so.",
            "",
            "## Keys of a phase",
            "",
            *rows({f"transfer.phases.NAME.{old}": f"transfer.phases.NAME.{new}" for old, new in KEYS.items()}),
            "`teachers` is a list (`[source]`). `start_from` is `start`, or `previous` by default. Arguments of batches",
            "stand in the node `batches`: `batches: {batch_size: 32}` in a file; on the command line with a plus where the",
            "phase sets none yet (`+transfer.phases.finetune.batches.batch_size=32`). A phase of episodes names them in its",
            "defaults (`/batches@phases.meta.batches: episodes`); then `pretrain.phases.meta.batches.ways=10` changes one.",
            "",
            "## Keys of a chain",
            "",
            *rows({f"transfer.{old}": f"transfer.{new}" for old, new in CHAIN_KEYS.items()}),
            "`episodes: true` is `/measuring@measuring: episodes` in the defaults of the transfer.",
            "",
            "## What a phase reads",
            "",
            "A list of views of tasks, in the place of a word:",
            "",
            *rows({f"reads: {old}": f"reads: [{', '.join(new)}]" for old, new in READS.items()}),
            "## Methods of objectives and base learners",
            "",
            *rows({f"{old}()": f"{new}()" for old, new in METHODS.items()}),
            "An objective is built with a `PhaseContext` (before: `Start`); what it holds is the same.",
            "",
            "## Classes of your own",
            "",
            "A class inherits from that of its group, and declares what it needs (before: flags of the class). A class without",
            "a declaration is refused with a sentence. A function stays as it is; `@declares(Needs(...))` declares its needs.",
            "",
            *rows({f"class {name}:": f"class {name}({base}):" for name, base in BASES.items()}),
            *rows(FLAGS),
            "## Label spaces",
            "",
            "`LabelSpace` of classes is `xlearn.label_spaces.Classes` now; `LabelSpace` is what every label space is. A loader",
            "of numbers for episodes gave `Raw(..., values=y)`; it gives the function and y as labels now, `float [n, 2]`, and",
            "`predicts=xlearn.label_spaces.Functions`.",
            "",
            "## Addresses of components",
            "",
            "A `_target_` names the room and the component, not the file: `xlearn.objectives.adaptation.dann.Dann` (before it,",
            "`xlearn.objectives.dann.Dann`) is `xlearn.objectives.Dann`; `xlearn.schedules.cosine.cosine` is",
            "`xlearn.schedules.cosine`. A file of a function bears an underscore (`_cosine.py`), so that no module hides the",
            "function of its name; import functions by their public names.",
            "",
            "## Modules, classes and functions",
            "",
            "In imports; the content of a module moves with it.",
            "",
            *rows(addresses()),
        ]
    )


TITLES = {
    "source": "Tasks, as sources and targets", "encoder": "Encoders", "fusion": "Fusion of modalities", "trunk": "Trunks",
    "label_space": "Label spaces of tasks", "sharing": "Sharing of parameters", "pretrain": "Pretraining",
    "transfer": "Transfer", "objective": "Objectives", "regularizer": "Regularizers", "balance": "Balancing of tasks",
    "batches": "Batches", "measuring": "Measuring", "optimizer": "Optimizers", "schedule": "Learning rates",
    "augment": "Augmentations", "views": "Views", "robustness": "Robustness curves", "comparison": "Further baselines",
    "budget": "Budgets", "trainable": "Presets of what a phase trains", "table": "Tables of the documentation",
}  # fmt: skip


def options_page() -> str:
    """Every key and every option, from the comments of the YAML files and of the schema."""
    sys.path.insert(0, str(ROOT))
    from xlearn.commands.keys import keys
    from xlearn.commands.show import first_comment
    from xlearn.config.folders import conf_folder, groups, options, read_yaml

    lines = [
        "# Options",
        "",
        "After this page you know every key of the configuration and every option of its groups. `xlearn show KEY` and",
        "`xlearn show GROUP=OPTION` print the same with the documentation of the option.",
        "",
        "## Keys",
        "",
        "`NAME` is the name of a source or of a phase (`transfer.phases.finetune.keep`).",
        "",
        "| key | default | meaning |",
        "|---|---|---|",
    ]
    for key in keys():
        lines.append(f"| {', '.join(f'`{path}`' for path in key.paths)} | {_cell(key.default)} | {_text(key.meaning)} |")
    for group in sorted(groups([conf_folder()]), key=lambda name: [*TITLES].index(_top(name))):
        word = {"task": "source=`, `target"}.get(group, group)
        sign = ":" if group == "label_space" else "="  # named in the file of a task
        part = f" ({group.partition('/')[2]})" if "/" in group else ""
        lines += ["", f"## {TITLES[_top(group)]}: `{word}{sign}`{part}", ""]
        lines += ["| option | what it is | arguments |", "|---|---|---|"]
        for name, file in options(group, [conf_folder()]).items():
            lines.append(f"| `{name}` | {_text(first_comment(file))} | {_arguments(read_yaml(file))} |")
    return "\n".join([*lines, ""])


def _top(group: str) -> str:
    return {"task": "source"}.get(group, group.partition("/")[0])


def _text(text: str) -> str:
    return text.replace("|", r"\|")


def _cell(text: str) -> str:
    return f"`{_text(text)}`" if text else ""


def _arguments(node: dict) -> str:
    """The arguments of an option that is one component, or of a mapping that holds one."""
    if "_target_" not in node and len(node) == 1 and isinstance(inner := next(iter(node.values())), dict):
        node = inner
    if "label_space" in node:
        node = {"_target_": "", **_flat({key: value for key, value in node.items() if key not in ("label_space", "defaults")})}
    if "_target_" not in node:
        return ""
    left = ("_target_", "defaults")
    given = {name: value for name, value in node.items() if name not in left and not isinstance(value, dict)}
    return ", ".join(f"`{name}: {_text(_yaml(value))}`" for name, value in given.items())


def _flat(node: dict, above: str = "") -> dict:
    """Nested keys as paths."""
    found = {}
    for key, value in node.items():
        found |= _flat(value, f"{above}{key}.") if isinstance(value, dict) else {f"{above}{key}": value}
    return found


def _yaml(value: object) -> str:
    """A value as YAML has it: 1 is no `true`."""
    return {"None": "null", "True": "true", "False": "false"}.get(str(value), str(value))


def main() -> int:
    pages = {"architecture.md": architecture(), "migration.md": migration(), "options.md": options_page()}
    old = [name for name, text in pages.items() if not _same(ROOT / "docs" / name, text)]
    if "--check" in sys.argv[1:]:
        for name in old:
            print(f"docs/{name} is out of date. Run python scripts/pages.py.")
        return 1 if old else 0
    for name in old:
        (ROOT / "docs" / name).write_text(pages[name], encoding="utf-8")
        print(f"docs/{name} written")
    return 0


def _same(file: Path, text: str) -> bool:
    return file.is_file() and file.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main())
