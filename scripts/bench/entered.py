"""The code that one run enters: files, changes of file, and loaded modules.

python scripts/bench/entered.py [KEY=VALUE ...]     # default: transfer=dann target.shots=0 budget=quick
"""

import contextlib
import os
import sys
import tempfile
from pathlib import Path
from types import FrameType

WORDS = ["transfer=dann", "target.shots=0", "budget=quick"]


def main() -> None:
    from xlearn.cli import main as xlearn

    package = str(Path(sys.modules["xlearn"].__file__ or "").parent)
    entered: set[str] = set()
    changes, last, importing = 0, "", 0

    def called(frame: FrameType, event: str, _: object) -> None:
        nonlocal changes, last, importing
        file = frame.f_code.co_filename
        if not file.startswith(package):
            return
        if frame.f_code.co_name == "<module>":
            importing += (event == "call") - (event == "return")
        # Without code that runs at import: class bodies, decorators.
        elif event == "call" and not importing:
            entered.add(file)
            changes += file != last
            last = file

    with tempfile.TemporaryDirectory() as folder:
        os.environ["XLEARN_CACHE"] = str(Path(folder) / "cache")
        os.chdir(folder)
        sys.setprofile(called)
        with contextlib.suppress(SystemExit):
            xlearn(["train", *(sys.argv[1:] or WORDS), "threads=1"])
        sys.setprofile(None)
        os.chdir(package)
    loaded = [name for name in sys.modules if name.partition(".")[0] == "xlearn"]
    if os.environ.get("SHOW"):
        print("\n".join(sorted(each.removeprefix(package) for each in entered)))
    print(f"{len(entered)} files entered; {len(loaded)} modules loaded; {changes} changes of file")


if __name__ == "__main__":
    main()
