"""Wordings that a reader of the field stumbles over stay out of docstrings, comments, messages and pages."""

import io
import re
import tokenize
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Never right here: metaphors of people, and relative clauses in the place of a noun.
RIDDLES = re.compile(
    r"\b(whoever|nobody|somebody|untold|may do without|tells nothing|meets? the same|as always|what is (?:left|told|shown)|"
    r"who (?:is taught|adapts|asks|has few)|knows? the shares)\b",
    re.IGNORECASE,
)


def texts(file):
    """(line number, text) of comments and strings of Python, and of every line of Markdown and comment of YAML."""
    content = file.read_text(encoding="utf-8")
    if file.suffix != ".py":
        content = re.sub(r"\]\([^)]*\)", "]", content)  # the anchors of links are titles of other pages
        yield from (
            (number, line) for number, line in enumerate(content.splitlines(), 1) if file.suffix == ".md" or "#" in line
        )
        return
    for token in tokenize.generate_tokens(io.StringIO(content).readline):
        if token.type in (tokenize.COMMENT, tokenize.STRING) or tokenize.tok_name[token.type] == "FSTRING_MIDDLE":
            yield from ((token.start[0] + offset, line) for offset, line in enumerate(token.string.splitlines()))


def test_no_page_and_no_message_speaks_in_riddles():
    files = [*(ROOT / "xlearn").rglob("*.py"), *(ROOT / "conf").rglob("*.yaml"), *(ROOT / "docs").rglob("*.md")]
    files = [file for file in files if "decisions" not in file.parts and file.name != "results.md"]
    files += [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    found = [
        f"{file.relative_to(ROOT)}:{number}: {line.strip()}"
        for file in files
        for number, line in texts(file)
        if RIDDLES.search(line)
    ]
    assert not found, "\n".join(found)
