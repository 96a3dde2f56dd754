"""The printed blocks of the pages: every block of a page that begins with `$ xlearn` is what its commands print.

python scripts/printed.py [PAGE ...]           # run the commands of these pages (all without a name), and write what they print
python scripts/printed.py --quick [PAGE ...]   # the quick ones only
python scripts/printed.py --check [PAGE ...]   # run the quick ones, and say which print something else than numbers

A block is quick where the line above it is `<!-- quick -->`. The blocks of a page run in their order, in one folder, which has
the files of the page's blocks with `file=NAME`. A line that ends with `# ...` prints nothing into the page.
"""

import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(
    r"(?P<quick><!-- quick -->\n)?^```(?P<kind>\w+)(?: file=(?P<file>\S+))?\n(?P<content>.*?)^```$", re.MULTILINE | re.DOTALL
)


def pages() -> list[Path]:
    """Every page that may have such blocks."""
    found = [ROOT / "README.md", ROOT / "README.zh.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [page for page in found if page.is_file() and page.name not in ("adding-a-method.md", "results.md", "migration.md")]


def commands(content: str) -> list[str]:
    """The commands of a block; none where it is no such block."""
    return [line[2:] for line in content.splitlines() if line.startswith("$ xlearn ")]


def printed(lines: list[str], folder: Path) -> str:
    """The block anew: each command, and what it prints."""
    parts = []
    for line in lines:
        words = shlex.split(line, comments=True)
        # A cache of the page's own, so that it does not depend on what was computed before.
        paths = {
            "PYTHONPATH": f"{folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
            "XLEARN_CACHE": str(folder / ".cache"),
        }
        variables = {**os.environ, **paths}
        command = [sys.executable, "-m", *words]
        done = subprocess.run(
            command, cwd=folder, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        parts.append(f"$ {line}\n{'' if line.rstrip().endswith('# ...') else done.stdout}")
    return "".join(parts)


def renewed(text: str, only_quick: bool) -> str:
    """The page with its blocks run again."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for found in BLOCK.finditer(text):
            if found["file"]:
                (folder / found["file"]).parent.mkdir(parents=True, exist_ok=True)
                (folder / found["file"]).write_text(found["content"], encoding="utf-8")

        def block(found: re.Match[str]) -> str:
            lines = commands(found["content"])
            if found["kind"] != "console" or not lines or (only_quick and not found["quick"]):
                return found[0]
            return f"{found['quick'] or ''}```console\n{printed(lines, folder)}```"

        return BLOCK.sub(block, text)


def masked(text: str) -> str:
    """Without what depends on the machine: numbers (but for digests), widths of columns, marks, notes on the sign of a gain."""
    text = re.sub(r"^ *negative transfer: .*\n", "", text, flags=re.MULTILINE)
    text = re.sub(r" \(cached\)|\*\*|\*[↑↓]|\bneg\.\??", "", text)
    return re.sub(r"[ -]+", " ", re.sub(r"(?<![0-9a-f])[+-]?\d+(\.\d+)?(?![0-9a-f]{8})", "#", text))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("pages", nargs="*", type=Path)
    parser.add_argument("--check", action="store_true", help="the quick blocks only; write nothing")
    parser.add_argument("--quick", action="store_true", help="write the quick blocks only")
    given = parser.parse_args()
    old = []
    for page in [each.resolve() for each in given.pages] or pages():
        text = page.read_text(encoding="utf-8")
        if not any(commands(found["content"]) for found in BLOCK.finditer(text)):
            continue
        now = renewed(text, only_quick=given.check or given.quick)
        if given.check and masked(now) != masked(text):
            old.append(page)
            for before, after in zip(text.splitlines(), now.splitlines(), strict=False):
                if masked(before) != masked(after):
                    print(f"{page.relative_to(ROOT)}: {before!r} is printed as {after!r} now")
                    break
        if not given.check:
            page.write_text(now, encoding="utf-8")
            print(f"{page.relative_to(ROOT)} written", flush=True)
    return 1 if old else 0


if __name__ == "__main__":
    sys.exit(main())
