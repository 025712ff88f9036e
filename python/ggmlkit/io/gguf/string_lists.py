"""Metadata whose long lists of strings become Python objects on first use."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, Mapping, ValuesView
from types import MappingProxyType
from typing import Any

from ggmlkit import _core


class StoredValues(dict[str, Any]):
    """A dict that replaces a ``StoredStrings`` value by its list when the value is read.

    Making the 10⁵ strings of a vocabulary takes longer than a small model takes to answer, and most
    code that opens a model never reads them.

    Attributes:
        value_types: GGUF types of the keys, as in :class:`ggmlkit.io.ModelFile`: a writer keeps
            these unless it is given others.
    """

    value_types: Mapping[str, int] = MappingProxyType({})

    def stored(self, key: str) -> _core.StoredStrings | None:
        """The strings of ``key`` as in the file; ``None`` if the list has already been made."""
        value = super().get(key)
        return value if isinstance(value, _core.StoredStrings) else None

    def copy(self) -> StoredValues:
        """A copy; lists that are not made yet stay so."""
        other = StoredValues()
        other.value_types = self.value_types
        for key in self:
            dict.__setitem__(other, key, dict.__getitem__(self, key))
        return other

    def __getitem__(self, key: str) -> Any:
        value = super().__getitem__(key)
        if isinstance(value, _core.StoredStrings):
            value = value.list()
            self[key] = value
        return value

    # Defined so that dict() and others, which bypass the methods of an exact dict, call these.

    def __iter__(self) -> Iterator[str]:
        return super().__iter__()

    def get(self, key: str, default: Any = None) -> Any:
        """As in a dict."""
        if key not in self:
            return default
        return self[key]

    def pop(self, key: str, *default: Any) -> Any:
        """As in a dict."""
        if key in self:
            self[key]
        return super().pop(key, *default)

    def popitem(self) -> tuple[str, Any]:
        """As in a dict."""
        self._make_all()
        return super().popitem()

    def setdefault(self, key: str, default: Any = None) -> Any:
        """As in a dict."""
        return self[key] if key in self else super().setdefault(key, default)

    def items(self) -> ItemsView[str, Any]:  # type: ignore[override]
        """As in a dict."""
        self._make_all()
        return super().items()

    def values(self) -> ValuesView[Any]:  # type: ignore[override]
        """As in a dict."""
        self._make_all()
        return super().values()

    def __eq__(self, other: object) -> bool:
        self._make_all()
        return super().__eq__(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None

    def __or__(self, other: Any) -> Any:
        self._make_all()
        merged = super().__or__(other)
        if merged is NotImplemented:
            return merged
        result = StoredValues(merged)
        result.value_types = self.value_types
        return result

    def __ror__(self, other: Any) -> Any:
        self._make_all()
        return super().__ror__(other)

    def __repr__(self) -> str:
        self._make_all()
        return super().__repr__()

    def _make_all(self) -> None:
        for key in list(self):
            self[key]
