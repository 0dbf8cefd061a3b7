"""How well the detectors tell credentials from what only looks like them, each measurement a command of its own.

``python benchmarks/detection.py secrets ROWS.jsonl`` scores labelled texts (``{"id", "kind", "label", "text"}``, one JSON
object a line; a label of 1 says that there is a secret), beside detect-secrets, on the same rows in the same run.
``python benchmarks/detection.py clean FOLDER…`` counts what is found in text that holds no credentials: the files below
the folders, and records made up here that are full of what looks like one.
"""

import argparse
import sys
from pathlib import Path

import clean
import labelled


def main() -> int:
    """Measure and print. Exit status 0 when the aims are met, 1 when not, 2 when it cannot run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    scoring = commands.add_parser("secrets", help="recall and false positives on labelled texts")
    scoring.add_argument("file", type=Path)
    scoring.add_argument("--mistakes", action="store_true", help="name the rows that came out wrong, by id only")
    counting = commands.add_parser("clean", help="findings in text without credentials")
    counting.add_argument("folders", type=Path, nargs="*")
    counting.add_argument("--mib", type=int, default=48, help="how much to read")
    counting.add_argument("--show", action="store_true", help="name the place of each finding, its value masked")
    counting.add_argument("--kinds", default="secrets.", help="those that begin so: secrets., injection.")
    options = parser.parse_args()
    if options.command == "secrets":
        if not options.file.is_file():
            print(f"{options.file}: there is no such file", file=sys.stderr)
            return 2
        return labelled.score(options.file, options.mistakes)
    return clean.count(options.folders, options.mib, options.show, options.kinds)


if __name__ == "__main__":
    sys.exit(main())
