"""Render the tables of the pages from their data: `docs/results/NAME.json` holds the values of every seed.

python scripts/results.py                   # render the tables in docs/results.md and README.md
python scripts/results.py --check           # list the pages that are out of date; status 1 if any is
python scripts/results.py --run NAME ...    # first compute these tables (default: all), in ./outputs

A table follows a line `<!-- table: WORDS -->`: the arguments of its `xlearn table`. Tables without data are not changed.
"""

import argparse
import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
DATA = ROOT / "docs" / "results"
PAGES = (ROOT / "docs" / "results.md", ROOT / "README.md", ROOT / "README.zh.md")
# The mark, an empty line, the lines of the table, and in the README its notes.
TABLE = re.compile(r"(<!-- table: (?P<words>[^\n]+) -->\n\n)(?P<table>(?:\|[^\n]*\n)*)(?P<notes>\n(?:- [^\n]*\n)+)?")


def data(words: str) -> Path:
    """The data file of the table: `digits_da --columns selections` is `digits_da-columns-selections.json`."""
    return DATA / f"{re.sub(r'[^A-Za-z0-9_.]+', '-', words).strip('-')}.json"


def marked(page: str) -> list[str]:
    """The arguments of every table of a page."""
    return [found["words"] for found in TABLE.finditer(page)]


def rendered(page: str) -> str:
    """The page with every table rendered that has data."""
    from xlearn.table.data import read_table
    from xlearn.table.render import pipes
    from xlearn.table.wording import sentences

    def table(found: re.Match[str]) -> str:
        file = data(found["words"])
        if not file.is_file():
            return found[0]
        made = read_table(file)
        notes = "".join(f"- {sentence}\n" for sentence in sentences(made))
        return f"{found[1]}{pipes(made)}\n{f'{chr(10)}{notes}' if found['notes'] else ''}"

    return TABLE.sub(table, page)


def compute(words: str) -> int:
    """Compute the missing runs of a table, and write its data. Returns the status of the command."""
    name, *more = shlex.split(words)
    DATA.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "xlearn", "table", name, "--run", *more, "--out", str(data(words))]
    print(shlex.join(["xlearn", *command[3:]]), flush=True)
    return subprocess.run(command, check=False).returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", help="with --run: only the tables of these names")
    parser.add_argument("--run", action="store_true", help="compute what is missing first")
    parser.add_argument("--check", action="store_true", help="write nothing")
    given = parser.parse_args()
    texts = {page: page.read_text(encoding="utf-8") for page in PAGES}
    every = list(dict.fromkeys(words for text in texts.values() for words in marked(text)))
    if unknown := {*given.names} - {words.split()[0] for words in every}:
        print(f"{', '.join(sorted(unknown))}: no page has such a table.", file=sys.stderr)
        return 1
    status = 0
    for words in every if given.run else ():
        if not given.names or words.split()[0] in given.names:
            status = max(status, compute(words))
            if status >= 128:  # interrupted
                return status
    old = [page for page, text in texts.items() if rendered(text) != text]
    for page in old:
        if not given.check:
            page.write_text(rendered(texts[page]), encoding="utf-8")
        print(f"{page.relative_to(ROOT)} {'is out of date: run python scripts/results.py' if given.check else 'written'}")
    without = [words for words in every if not data(words).is_file()]
    print(f"{len(every) - len(without)} of {len(every)} tables have data; without: {', '.join(without) or 'none'}")
    return 1 if given.check and old else status


if __name__ == "__main__":
    sys.exit(main())
