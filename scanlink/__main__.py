"""``python -m scanlink``: the command line, where a script of that name is not on the path."""

from scanlink.cli import main

if __name__ == "__main__":
    main()
