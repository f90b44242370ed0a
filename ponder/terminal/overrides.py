"""What is wrong with a command line, in one sentence with the nearest name that is right.

Hydra tells a mistake in six to fifty lines and exits with 1. The scripts let it raise instead
(HYDRA_FULL_ERROR) and ask here.
"""

import re
from argparse import Namespace
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import yaml
from hydra import compose, initialize_config_dir
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import GrammarParseError, OmegaConfBaseException

from ponder.config import nearest
from ponder.errors import UserError

CONF = Path(__file__).resolve().parents[2] / "conf"
# What a Study reads where it is given, and not every config has; tests/test_terminal.py compares.
OPTIONAL = (
    "budget.tries",
    "decontamination.instructions",
    "hardware.decode_compute",
    *(
        f"{model}.{key}"
        for model in ("model", "teacher.model")
        for key in ("file", "folder", "sha256")
    ),
    *(
        f"{model}.delimiters.{key}"
        for model in ("model", "teacher.model")
        for key in ("assistant", "bos", "system", "user")
    ),
    "questions.fields.answer_after",
    "questions.left_out",
    "questions.wrong_in",
    "rows",
    "subject.instruction",
    "teacher.complete",
    "teacher.instruction",
)


def arguments() -> Namespace:
    """Return what Hydra's own parser reads in sys.argv; raises UserError where it would exit."""
    parser = get_args_parser()
    parser.allow_abbrev = False  # --experiment is no --experimental-rerun

    def refuse(message: str) -> NoReturn:
        raise UserError(f"{message}; --hydra-help lists the flags")

    parser.error = refuse  # type: ignore[method-assign]
    known, unknown = parser.parse_known_args()
    if known.experimental_rerun:
        raise UserError(
            "--experimental-rerun opens a pickle, which may run anything; give its settings instead"
        )
    for flag in ("config_dir", "config_path"):
        folder = getattr(known, flag)
        if folder and "://" not in folder and not (CONF.parent / folder).is_dir():
            name = flag.replace("_", "-")
            raise UserError(f"--{name} {folder} is no folder; name the one that holds your configs")
    if not unknown:
        return known
    word = unknown[0]
    flags = [flag for flag in parser._option_string_actions if flag.startswith("--")]
    is_group = word.lstrip("-").partition("=")[0] in Tree("").groups()
    near = None if is_group else nearest(word, flags)
    if word.startswith("-") and near:
        raise UserError(f"{word} is no flag; did you mean {near}?")
    raise UserError(
        f"{word} is out of place; flags such as -m come first, then settings without dashes, e.g. "
        "-m experiment=cpu seed=0,1"
    )


@dataclass(frozen=True)
class Tree:
    """What a command composes from: its first config, and the folders that configs lie in."""

    name: str
    folders: tuple[Path, ...] = (CONF,)

    def groups(self) -> list[str]:
        """Return the names of the groups."""
        folders = [folder for folder in self.folders if folder.is_dir()]
        return sorted(
            {path.name for folder in folders for path in folder.iterdir() if path.is_dir()}
        )

    def options(self, group: str) -> list[str]:
        """Return the names of the options of a group; one that begins with _ is a part of others.

        With "" the group is that of the first config itself.
        """
        names = {path.stem for folder in self.folders for path in (folder / group).glob("*.yaml")}
        return sorted(name for name in names if not name.startswith("_"))

    def compose(self, words: Iterable[str]) -> DictConfig:
        """Return what overrides compose; raises as Hydra does."""
        first, *others = self.folders
        places = ",".join(f"'file://{folder}'" for folder in others)
        with initialize_config_dir(str(first), version_base="1.3"):
            return compose(self.name, [*words, f"hydra.searchpath=[{places}]"])

    def no_option(self, setting: str, name: str, group: str) -> str:
        """Return the sentence that `setting` names no option: with the nearest one, or with all."""
        options = self.options(group)
        near = nearest(name, options)
        known = f"did you mean {near}?" if near else f"known options: {', '.join(options)}"
        return f"{setting} names no option of {group}; {known}"


def tree_of(arguments: Namespace, stage: str) -> Tree:
    """Return the Tree of a command line: --config-name, --config-path, --config-dir."""
    # Relative to the folder of the scripts.
    folders = [arguments.config_path or CONF, arguments.config_dir]
    places = [(CONF.parent / folder).resolve() for folder in folders if folder]
    return Tree(arguments.config_name or stage, tuple(places))


def running_tree(stage: str) -> Tree:
    """Return the Tree of the job that runs; of a main that was called with a config the usual."""
    if not HydraConfig.initialized():
        return Tree(stage)
    job = HydraConfig.get()
    places = [place.path for place in job.runtime.config_sources if place.schema == "file"]
    return Tree(job.job.config_name or stage, tuple(map(Path, places)))


def composed(stage: str, words: Sequence[str]) -> DictConfig:
    """Return what conf/<stage>.yaml and overrides compose; raises UserError for a mistake."""
    tree = Tree(stage)
    try:
        return tree.compose(words)
    except Exception as error:
        raise UserError(mistake(error, tree, words)) from None


def mistake(error: Exception, tree: Tree, words: Sequence[str], multirun: bool = False) -> str:
    """Return what is wrong with the overrides that Hydra did not compose, in one sentence.

    `error` is what Hydra raised.
    """
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OverrideParseException):
        return _unread(error)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _missing(error, tree)
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        mark = error.problem_mark
        return f"{mark.name} line {mark.line + 1} is no YAML: {error.problem}; mend that line"
    if isinstance(error, OmegaConfBaseException) and error.full_key:
        return unresolved(error, _composed(tree, []))
    return _refused(words, tree, multirun) or _not_set(error, words) or _first_line(error)


def _refused(words: Sequence[str], tree: Tree, multirun: bool) -> str | None:
    """Return what is wrong with the first override that sets nothing, or None."""
    parsed = OverridesParser.create().parse_overrides(list(words))
    paths = {*tree.groups(), *_paths(_composed(tree, parsed))}
    for override in parsed:
        if override.is_hydra_override():
            continue
        if sentence := _wrong(override, paths, tree, multirun):
            return sentence
    return None


def _not_set(error: Exception, words: Sequence[str]) -> str | None:
    """Return the sentence for the override whose value Hydra could not set, or None."""
    for word in words:
        if str(error) == f"Error merging override {word}":
            return f"{word} cannot be set: {_reason(error.__cause__ or error)}"
    return None


def _missing(error: MissingConfigException, tree: Tree) -> str:
    """Return the sentence for a config that no folder has."""
    path = str(error.missing_cfg_file)
    group, _, name = path.partition("/")
    if group in tree.groups():
        return tree.no_option(f"{group}={name}", name, group)
    if name:
        return f"{path} names no config of Hydra's; leave it out"
    near = nearest(path, tree.options(""))
    hint = f"did you mean {near}?" if near else f"known: {', '.join(tree.options(''))}"
    return f"there is no config {path} in {' or '.join(map(str, tree.folders))}; {hint}"


def _unread(error: OverrideParseException) -> str:
    """Return the sentence for a word of the command line that is no key=value."""
    word = str(error.override)
    if "=" not in word:
        if option := nearest(word, Tree("").options("experiment")):
            return f"{word} is no key=value; did you mean experiment={option}?"
        return f"{word} is no key=value; give it a value: {word}=..."
    return (
        f"{word} cannot be read; put a setting with spaces, commas, braces or brackets between "
        'quotes and close them all, as in "sweep=[free,cap16]" or \'name="a,b"\''
    )


def _wrong(override: Override, paths: Iterable[str], tree: Tree, multirun: bool) -> str | None:
    """Return what is wrong with one override, given every key there is, or None."""
    key, text = override.key_or_group, str(override.input_line)
    there = key in paths
    if override.is_force_add():
        is_group = key in tree.groups()
        return f"{text} adds a group that is there; leave out the ++" if is_group else None
    if override.is_add():
        return f"{text} adds a key that is there; leave out the +" if there else None
    parent = key.rpartition(".")[0]
    if not there and key in OPTIONAL and parent in ("", *paths) and not override.is_delete():
        return f"{text} sets a key that this config has not yet; put a + before it: +{text}"
    if not there:
        return f"{text} sets nothing, for there is no {key}; {_known(key, override, paths, tree)}"
    if override.is_delete():
        return None
    if override.is_sweep_override():
        several = f"{text} gives several values; put -m first to run each of them"
        return None if multirun else f"{several}, or brackets around them for a list"
    value = override.value()
    no_name = value is None or isinstance(value, int | float) or "${" in str(value)
    if key in tree.groups() and no_name:
        return tree.no_option(text, "", key)
    return None


def _known(key: str, override: Override, paths: Iterable[str], tree: Tree) -> str:
    """Return the nearest key that there is, with the value where it is an option there; or all."""
    parent, _, name = key.rpartition(".")
    siblings = [path for path in paths if path.rpartition(".")[0] == parent]
    by_name = {path.rpartition(".")[2]: path for path in siblings}
    same = [path for path in paths if path.rpartition(".")[2] == name]
    near = ""
    if word := nearest(name, by_name):
        near = by_name[word]
    elif same:
        near = nearest(key, same) or same[0]
    elif not by_name:
        near = nearest(key, paths) or ""
    if near in tree.groups() and not override.is_delete():
        value, options = str(override.value()), tree.options(near)
        option = value if value in options else nearest(value, options)
        return f"did you mean {near}={option or options[0]}?"
    if near:
        return f"did you mean {near}?"
    level = by_name or [path for path in paths if "." not in path]
    return f"known keys: {', '.join(sorted(level))}"


def _composed(tree: Tree, overrides: Iterable[Override]) -> DictConfig:
    """Return what those of the overrides compose that choose an option; {} where that fails."""
    choices = []
    for override in overrides:
        group, value = override.key_or_group, override.value()
        if group in tree.groups() and value in tree.options(group):
            choices.append(f"{group}={value}")
    try:
        return tree.compose(choices)
    except Exception:  # the config is broken without an override, and so is the sentence less exact
        return OmegaConf.create()


def _paths(cfg: DictConfig) -> Iterator[str]:
    """Yield every key of a config, dotted: groups, mappings and single values."""
    values: Any = OmegaConf.to_container(cfg, resolve=False)
    waiting = [("", values)]
    while waiting:
        where, mapping = waiting.pop(0)
        for name, value in mapping.items():
            yield where + str(name)
            if isinstance(value, dict):
                waiting.append((f"{where}{name}.", value))


def unresolved(error: OmegaConfBaseException, cfg: DictConfig) -> str:
    """Return the sentence for a ${...} that names nothing, with the nearest key."""
    key, paths = str(error.full_key), list(_paths(cfg))
    values: Any = OmegaConf.to_container(cfg, resolve=False)
    for part in key.split("."):
        values = values.get(part) if isinstance(values, dict) else None
    for name in re.findall(r"\$\{([\w.]+)\}", str(values)):
        if name not in paths:
            near = nearest(name, paths)
            hint = f"did you mean ${{{near}}}?" if near else "name a key of the config"
            return f"{key}={values} refers to {name}, which is not there; {hint}"
    text = key if values is None else f"{key}={values}"
    return f"{text} cannot be resolved: {_reason(error)}"


def _reason(error: BaseException) -> str:
    """Return why a value cannot be set or resolved, without a parser's names and tokens."""
    if isinstance(error, GrammarParseError) or "GrammarParseError" in str(error):
        return "it is not whole; close every ${, bracket and quote"
    return re.sub(r"^\w+ raised while resolving interpolation: ", "", _first_line(error))


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), repr(error))
