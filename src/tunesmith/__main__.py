"""`python -m tunesmith`: the command line, where the script `tunesmith` is not in the path."""

from tunesmith.cli import main

if __name__ == "__main__":
    main()
