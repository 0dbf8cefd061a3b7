"""What an installation weighs on disk: the program's dependencies by size, without and with the page.

``python benchmarks/weight.py`` adds up the files that each installed distribution records, without compiled Python files.
"""

import os
from importlib import metadata

from packaging.requirements import Requirement

PROJECT = "mcp-sidecar"


def closure(*extras: str) -> dict[str, metadata.Distribution]:
    """Everything the project needs, by name, with these extras."""
    found: dict[tuple[str, tuple[str, ...]], metadata.Distribution] = {}
    wanted = [(PROJECT, extras)]
    while wanted:
        name, asked = wanted.pop()
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        key = (distribution.metadata["Name"].lower(), asked)
        if key in found:
            continue
        found[key] = distribution
        for text in distribution.requires or ():
            each = Requirement(text)
            if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in asked or ("",)):
                wanted.append((each.name, tuple(each.extras)))
    return {each.metadata["Name"]: each for each in found.values()}


def size(distribution: metadata.Distribution) -> int:
    """Bytes of the files it installed."""
    files = [str(distribution.locate_file(file)) for file in distribution.files or () if file.suffix != ".pyc"]
    return sum(os.path.getsize(file) for file in files if os.path.exists(file))


def main() -> None:
    """Print both closures, largest first."""
    for title, extras in (("without the page", ()), ("with the page", ("page",))):
        sizes = {name: size(each) for name, each in closure(*extras).items()}
        print(f"{title}: {len(sizes)} packages, {sum(sizes.values()) / 1e6:,.0f} MB")
        for name, count in sorted(sizes.items(), key=lambda each: -each[1])[:8]:
            print(f"  {name:24} {count / 1e6:6.0f} MB")


if __name__ == "__main__":
    main()
