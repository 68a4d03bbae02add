"""jsonargparse's messages, cut down to one line that says what to write instead."""

from __future__ import annotations

import re
from typing import Any

from rher_pl.suggest import did_you_mean

TYPES = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "text",
    "list": "a list",
    "dict": "options by name",
    "collections.abc.Iterable": "a list",
}
"""What to write for a Python type."""
PRECISION = "write 32-true, or bf16-mixed where the device computes in bfloat16"
CLASS = re.compile(r"class_path='(?P<name>[^']*)'")
PROBLEM = re.compile(r"Problem with given class_path '(?P<name>[^']*)': (?P<reason>.*?)(?: - |$)")
EXAMPLES = {"trainer.callbacks": "RichProgressBar", "trainer.logger": "CSVLogger, or false"}
MISSING_ARGUMENTS = re.compile(r"the following arguments are required: (?P<names>\w+(?:, \w+)*)")
UNKNOWN = (
    re.compile(r"unrecognized arguments: (?:--)?(?P<key>[^\s=]+)"),
    re.compile(r"does not accept option '(?P<key>[^']+)'"),
)
WRONG_TYPE = re.compile(r'Parser key "(?P<key>[^"]+)": .*?(?:Got|Given) value:(?P<value>.*)')
DESCRIBED = re.compile(
    r"Parser key \"(?P<key>[\w.]+)\".*GymnasiumTask'>.*? Errors: - (?P<inner>.*?) - Expected a "
)
LEARNER = re.compile(
    r'Parser key "model\.learner": .* Errors: - (?P<reason>.*?) - Expected '
    r".*Given value: (?P<value>.*)"
)
NOT_ACCEPTED = re.compile(r"Option '(?P<option>[^']+)' is not accepted")
EXPECTED = re.compile(
    r"Expected an? (?:<class '(?P<type>[\w.]+)'>|typing\.Literal\[(?P<names>.*?)\])"
    r"|Expected a member of <enum '\w+'>: {(?P<members>.*?)}"
)
MISSING_FILE = re.compile(r"File does not exist: '(?P<path>.*)'")
FOLLOWS = re.compile(r'Linked "(?P<key>[^"]+)" must be given via "(?P<source>[^"]+)"')
NO_CONFIG = re.compile(r"Unexpected config|Path is not a file|--config: expected one argument")
REMOVED = {
    "data.distance_threshold": "is epsilon here: write --data.epsilon 0.03, in metres",
    "model.compiled": "is now model.engine: write --model.engine eager, compile or native",
    "model.learned_threshold": "was removed: leave it out, the guide decides in each state",
}
"""Options of earlier versions or of other packages, and what to write instead."""
CONFIG_HINT = "write the path of a YAML file, or the name of a shipped config, such as push"


def known_options(parser: Any) -> list[str]:
    """Dotted names of all options of a parser and of its subcommands, sorted."""
    names: set[str] = set()
    for action in parser._actions:
        names |= {text.lstrip("-") for text in action.option_strings if text.startswith("--")}
        for subparser in getattr(action, "_name_parser_map", {}).values():
            names |= set(known_options(subparser))
    return sorted(names)


def explain(message: str, options: list[str]) -> str:
    """One line for a message of jsonargparse's ``parser.error``.

    Args:
        message: may have many lines.
        options: dotted names of the options that exist.
    """
    line = " ".join(message.split())
    for pattern in UNKNOWN:
        if found := pattern.search(line):
            return _unknown(found["key"], options)
    if found := MISSING_FILE.search(line):
        return f"config {found['path']} does not exist: {CONFIG_HINT}"
    if NO_CONFIG.search(line):
        return f"--config names no usable file: {CONFIG_HINT}"
    if found := FOLLOWS.search(line):
        return f"{found['key']} follows {found['source']}: set {found['source']} instead"
    if found := DESCRIBED.search(line):
        return _described(found["key"], found["inner"].partition(" - ")[0])
    if found := PROBLEM.search(line):
        return f"{found['name'].rpartition('.')[2]} cannot be made: {found['reason'][:200]}"
    if found := LEARNER.search(line):
        return f"model.learner cannot be {found['value']}: {_of_learner(found['reason'])}"
    if found := WRONG_TYPE.search(line):
        return _wrong_type(found["key"], found["value"].strip(), line)
    return line


def _described(key: str, inner: str) -> str:
    """A mistake in the description of a task; ``inner`` may have been explained before."""
    if found := NOT_ACCEPTED.search(inner):
        option, others = found["option"], "python -m pydoc rher_pl.GymnasiumTask lists them"
        return f"{key}: a GymnasiumTask has no option {option}: {others}"
    return f"{key}: {inner}"


def _of_learner(reason: str) -> str:
    reason = f"{reason}: " if not reason.startswith("Expected") else ""
    return f"{reason}write the path of a class derived from rher_pl.TD3, such as my_package.MyTD3"


def _unknown(key: str, options: list[str]) -> str:
    if key in REMOVED:
        return f"{key} {REMOVED[key]}"
    # If no known name is near: the same name in another section.
    last = key.rpartition(".")[2]
    elsewhere = next((name for name in options if name.rpartition(".")[2] == last), None)
    hint = (
        f"did you mean {elsewhere}?" if elsewhere else "python -m rher_pl.fit fit --help lists them"
    )
    return f"unknown option {key}: {did_you_mean(key, options, hint)}"


def _wrong_type(key: str, value: str, line: str) -> str:
    value = value or "empty"
    if key == "trainer.precision":
        return f"{key} cannot be {value}: {PRECISION}"
    if "lightning.pytorch." in line and key.startswith("trainer."):
        return _not_a_class(key, value, line)
    expected: list[str] = []
    for found in EXPECTED.finditer(line):
        names = [found["type"]] if found["type"] else _names(found["names"] or found["members"])
        words = [TYPES.get(name, name) for name in names if name != "NoneType"]
        expected += [word for word in words if word not in expected]
    if not expected:
        return line
    return f"{key} cannot be {value}: write {'one of ' * (len(expected) > 1)}{', '.join(expected)}"


def _not_a_class(key: str, value: str, line: str) -> str:
    """For an option that takes objects, such as callbacks or a logger."""
    named = CLASS.findall(value)
    name = named[-1].rpartition(".")[2] if named else value
    if found := MISSING_ARGUMENTS.search(line):
        first = found["names"].partition(",")[0]
        return f"{key}: {name} needs {found['names']}: add --{key}.{first} <value>"
    example = EXAMPLES.get(key, "my_package.MyClass")
    return f"{key} cannot be {value}: write the name of a class, such as {example}"


def _names(listed: str) -> list[str]:
    """The names in ``'a', 'b'`` or in ``a,b``."""
    return [name.strip(" '") for name in listed.split(",")]
