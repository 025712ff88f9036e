"""What ``with`` needs of things that are closed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self  # in typing from Python 3.11 on


class Closing(ABC):
    """A context manager that closes itself at the end of the block."""

    __slots__ = ()

    @abstractmethod
    def close(self) -> None:
        """Give back what it holds. Twice is no error."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
