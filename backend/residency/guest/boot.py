"""First file of a guest's process: ``python boot.py SOCKET PARENT``.

It makes its own folder a package under one name, so that nothing of it lies on the program's path.
"""

import sys

if sys.path and __file__.startswith(sys.path[0]):
    del sys.path[0]  # the folder of this file, where the program must not find its modules

import importlib.util
from pathlib import Path
from types import ModuleType

PACKAGE = "meshkiln_guest"


def load_package(folder: Path) -> ModuleType:
    """Load the files of a folder as the package ``meshkiln_guest``."""
    spec = importlib.util.spec_from_file_location(
        PACKAGE, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(folder)
    package = importlib.util.module_from_spec(spec)
    sys.modules[PACKAGE] = package
    spec.loader.exec_module(package)
    return package


if __name__ == "__main__":
    load_package(Path(__file__).resolve().parent)
    from meshkiln_guest.serve import main  # type: ignore[import-not-found]

    main(int(sys.argv[1]), int(sys.argv[2]))
