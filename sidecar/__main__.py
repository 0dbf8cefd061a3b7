"""``sidecar``, and ``python -m sidecar``: every command, with a way of its own for ``wrap``, which must start at once."""

import sys


def main() -> int:
    """Run the command line; returns its exit code."""
    if sys.argv[1:2] == ["wrap"]:
        from sidecar.wrap import command

        return command.main(sys.argv[2:])
    from sidecar import cli

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
