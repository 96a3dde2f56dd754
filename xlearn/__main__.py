"""`python -m xlearn` is the same command as `xlearn`."""

from xlearn.cli import main

if __name__ == "__main__":
    main()
