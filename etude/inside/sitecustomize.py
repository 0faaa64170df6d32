"""Python imports this as it starts, since its directory stands first on PYTHONPATH of a script's trial.

It runs the `sitecustomize` that it hides and does nothing further until the script imports torch: then, and only then,
`etude/script` is loaded by its path and begins. Needs no more than Python 3.8, and nothing of Étude on the path.
"""

from __future__ import annotations

import importlib.machinery
import os
import sys

TYPE_CHECKING = False  # the name is enough for a type checker; typing takes its time to import
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from typing import Any

HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGE = os.path.join(os.path.dirname(HERE), "script")
NAME = "_etude_script"


class TorchFinder:
    """Stands before the other finders until torch has been imported, and has the script's part begin right after."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Find torch as the other finders do, with a loader that says when it is done; leave the rest to them."""
        if name != "torch":
            return None
        spec = next(filter(None, (one.find_spec(name, path, target) for one in sys.meta_path if one is not self)), None)
        if spec is not None and spec.loader is not None:
            self._follow(spec.loader)
        return spec

    def _follow(self, loader: Any) -> None:
        execute = loader.exec_module

        def execute_and_begin(module: Any) -> None:
            del loader.exec_module  # the loader is as it was before anybody else looks at it
            execute(module)
            if self in sys.meta_path:
                begin(module)
                sys.meta_path.remove(self)  # only now: an import that failed may be tried again

        loader.exec_module = execute_and_begin


def begin(torch: Any) -> None:
    """Load `etude/script` by its path and begin in this process."""
    import importlib.util

    spec = importlib.util.spec_from_file_location(
        NAME,
        os.path.join(PACKAGE, "__init__.py"),
        submodule_search_locations=[PACKAGE],
    )
    assert spec is not None
    assert spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules[NAME] = package
    spec.loader.exec_module(package)
    importlib.import_module(NAME + ".begin").begin(torch)


def run_the_hidden_one() -> None:
    """Run the `sitecustomize` that would have been imported without us, in our place."""
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", sys.path)
    if spec is None or spec.loader is None:
        return
    module = type(sys)("sitecustomize")
    module.__spec__, module.__file__, module.__loader__ = spec, spec.origin, spec.loader
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


sys.path[:] = [place for place in sys.path if os.path.abspath(place) != HERE]
if os.environ.get("ETUDE_TRIAL"):
    sys.meta_path.insert(0, TorchFinder())
run_the_hidden_one()
