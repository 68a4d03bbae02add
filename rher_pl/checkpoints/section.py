"""Values of a checkpoint, each checked when it is read: a file may hold anything."""

from __future__ import annotations

from enum import Enum
from typing import Any, NoReturn, TypeVar

from torch import Tensor

from rher_pl.errors import ConfigError

MOST_CHARACTERS = 200
"""In a name or a version; those that rher_pl writes are shorter."""
MOST_ITEMS = 10_000
"""In a list of names or numbers."""
MOST_LEVELS, MOST_BRANCHES = 6, 1_000
"""Of a tree of plain values: its depth, and the entries of each list or dict in it."""
REQUIRED: Any = object()
Choice = TypeVar("Choice", bound=Enum)


class Section:
    """A dict inside a checkpoint.

    Every method that reads raises :class:`ConfigError`, one line that names the place, if the value
    is missing or not of the type it must be.

    Args:
        values: what the file holds there.
        place: where that is, such as ``rher_pl``; empty for the whole content.
        source: such as ``checkpoint last.ckpt``, for messages.
    """

    def __init__(self, values: object, place: str, source: str) -> None:
        self.place, self.source = place, source
        if not isinstance(values, dict):
            self._refuse_place(f"is {_kind(values)}, not a dict")
        self.values: dict[Any, Any] = values

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def refuse(self, key: str, expected: str) -> NoReturn:
        """Raise :class:`ConfigError` for a value that is not what is ``expected``."""
        self._raise(f"its {self._name(key)} is {_kind(self.values[key])}, not {expected}")

    def section(self, key: str, optional: bool = False) -> Section:
        """The dict below ``key``; an empty one if it is ``optional`` and missing."""
        return Section(self._get(key, {} if optional else REQUIRED), self._name(key), self.source)

    def text(self, key: str) -> str:
        """A printable name."""
        value = self._get(key)
        return value if _is_text(value) else self.refuse(key, "a name")

    def count(self, key: str) -> int:
        """A whole number of at least 0."""
        value = self._get(key)
        whole = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        return value if whole else self.refuse(key, "a whole number of at least 0")

    def share(self, key: str) -> float:
        """A number in [0, 1]."""
        value = self._get(key)
        fits = isinstance(value, (int, float)) and 0.0 <= value <= 1.0
        return float(value) if fits else self.refuse(key, "a number in [0, 1]")

    def one_of(self, key: str, choices: type[Choice]) -> Choice:
        """A member of an enum of names."""
        value, names = self._get(key), [choice.value for choice in choices]
        fits = isinstance(value, str) and value in names
        return choices(value) if fits else self.refuse(key, f"one of {', '.join(names)}")

    def texts(self, key: str) -> list[str]:
        """A list of names."""
        value = self._get(key)
        fits = isinstance(value, list) and len(value) <= MOST_ITEMS and all(map(_is_text, value))
        return list(value) if fits else self.refuse(key, "a list of names")

    def plain(self, key: str) -> Any:
        """A number, a name, a bool or None, or a flat list of them."""
        value = self._get(key)
        if _is_scalar(value):
            return value
        fits = isinstance(value, list) and len(value) <= MOST_ITEMS and all(map(_is_scalar, value))
        return list(value) if fits else self.refuse(key, "a number, a name or a list of them")

    def tree(self, key: str) -> dict[str, Any]:
        """A dict of plain values, of lists of them, and of such dicts, a few levels deep."""
        value = self._get(key)
        fits = isinstance(value, dict) and _is_tree(value, MOST_LEVELS)
        return value if fits else self.refuse(key, "a dict of plain values")

    def numbers(self, key: str) -> list[list[float]]:
        """A list of lists of numbers."""
        value = self._get(key)
        fits = isinstance(value, list) and all(
            isinstance(row, list) and all(isinstance(each, (int, float)) for each in row)
            for row in value
        )
        return [list(row) for row in value] if fits else self.refuse(key, "lists of numbers")

    def tensor(self, key: str) -> Tensor:
        value = self._get(key)
        return value if isinstance(value, Tensor) else self.refuse(key, "a tensor")

    def all_plain(self) -> dict[str, Any]:
        """Every value, each as :meth:`plain` reads it."""
        return {key: self.plain(key) for key in self._keys()}

    def all_texts(self) -> dict[str, str]:
        """Every value, each as :meth:`text` reads it."""
        return {key: self.text(key) for key in self._keys()}

    def all_tensors(self) -> dict[str, Tensor]:
        """Every value, all of them tensors."""
        return {key: self.tensor(key) for key in self._keys()}

    def _keys(self) -> list[str]:
        unusual = [key for key in self.values if not _is_text(key)]
        if unusual:
            self._refuse_place(f"has {_kind(unusual[0])} as a key")
        return list(self.values)

    def _get(self, key: str, default: Any = REQUIRED) -> Any:
        value = self.values.get(key, default)
        if value is REQUIRED:
            self._raise(f"it has no {self._name(key)}")
        return value

    def _name(self, key: str) -> str:
        return f"{self.place}.{key}" if self.place else key

    def _refuse_place(self, problem: str) -> NoReturn:
        self._raise(f"its {self.place or 'content'} {problem}")

    def _raise(self, problem: str) -> NoReturn:
        raise ConfigError(
            f"{self.source} was not written by rher_pl ({problem}): give one of its .ckpt files"
        )


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= MOST_CHARACTERS and value.isprintable()


def _is_tree(value: Any, levels: int) -> bool:
    if levels == 0 or _is_scalar(value):
        return _is_scalar(value)
    if isinstance(value, dict):
        if not all(map(_is_text, value)):
            return False
        value = list(value.values())
    few = isinstance(value, list) and len(value) <= MOST_BRANCHES
    return few and all(_is_tree(each, levels - 1) for each in value)


def _is_scalar(value: object) -> bool:
    return value is None or isinstance(value, (bool, int, float)) or _is_text(value)


def _kind(value: object) -> str:
    """Type of a value, or the value itself where that is short enough to read."""
    if isinstance(value, (bool, int, float)) or _is_text(value):
        return f"{value!r:.40}"
    return f"a {type(value).__name__}"
