"""The families of drawn questions: one module each, which its file name names.

Nothing else lists them. Which of them an experiment draws, with which parameters, its configuration
says (conf/questions).
"""

import importlib
import pkgutil

from ponder.errors import UserError
from ponder.questions.family import Family, faults_told


def family(name: str) -> Family:
    """Return the FAMILY of a module of this package.

    Raises UserError for a module without one, and as faults_told does for one with a fault.
    """
    with faults_told(name):
        module = importlib.import_module(f"{__name__}.{name}")
    value = getattr(module, "FAMILY", None)
    if not isinstance(value, Family):
        raise UserError(
            f"ponder/questions/families/{name}.py has no FAMILY = Family(...); end the module with "
            "one, or move it elsewhere: every module there is a family"
        )
    return value


FAMILIES = {
    name: family(name) for name in sorted(module.name for module in pkgutil.iter_modules(__path__))
}
