"""The types of cached keys and values."""

from __future__ import annotations

from dataclasses import dataclass

from ggmlkit.errors import ArgumentError

KV_TYPES = ("f16", "q8_0", "q4_0")


@dataclass(frozen=True)
class KvTypes:
    """One of :data:`KV_TYPES` each."""

    keys: str
    values: str

    @classmethod
    def named(cls, name: object) -> KvTypes:
        """Those of a ``kv_type``: ``"q8_0"`` is both's, ``"q8_0/q4_0"`` the keys' and the values'.

        Raises:
            ArgumentError: it names no such types.
        """
        words = name.split("/") if isinstance(name, str) else []
        if len(words) not in (1, 2) or any(word not in KV_TYPES for word in words):
            raise ArgumentError(
                f"kv_type is {name!r}, not one of {', '.join(KV_TYPES)}, or two of them for keys "
                "and values, such as q8_0/q4_0"
            )
        return cls(words[0], words[-1])

    def __str__(self) -> str:
        return self.keys if self.keys == self.values else f"{self.keys}/{self.values}"
