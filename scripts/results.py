"""The tables of the pages, rendered from data: `docs/results/NAME.json` holds the values of every seed.

python scripts/results.py                   # put the tables of today into docs/results.md and README.md
python scripts/results.py --check           # say which pages are out of date, and end with 1 if any is
python scripts/results.py --run NAME ...    # first compute these tables (all without a name), in the folder outputs/ of here

A table stands below a line `<!-- table: WORDS -->`, with the words of its `xlearn table`; tables without data stay as they are.
"""

import argparse
import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
DATA = ROOT / "docs" / "results"
PAGES = (ROOT / "docs" / "results.md", ROOT / "README.md")
# The mark, an empty line, then the lines of the table, and in the README the sentences below it.
TABLE = re.compile(r"(<!-- table: (?P<words>[^\n]+) -->\n\n)(?P<table>(?:\|[^\n]*\n)*)(?P<notes>\n(?:- [^\n]*\n)+)?")


def data(words: str) -> Path:
    """The file of the table that these words make: `digits_da --columns selections` is `digits_da-columns-selections.json`."""
    return DATA / f"{re.sub(r'[^A-Za-z0-9_.]+', '-', words).strip('-')}.json"


def marked(page: str) -> list[str]:
    """The words of every table of a page."""
    return [found["words"] for found in TABLE.finditer(page)]


def rendered(page: str) -> str:
    """The page with every table that has data."""
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
    """Run what is missing of a table, and keep its data. Returns the status of the command."""
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
