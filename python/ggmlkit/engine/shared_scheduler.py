"""The scheduler that all callers of one model share, made when the first of them comes."""

from __future__ import annotations

import threading

from ggmlkit.closing import Closing
from ggmlkit.engine.model import Model
from ggmlkit.engine.scheduler import Scheduler
from ggmlkit.engine.speculation.choice import Speculation


class SharedScheduler(Closing):
    """Makes the scheduler of a model, and another where its thread is gone, as in a fork."""

    def __init__(self, model: Model, speculation: Speculation = None) -> None:
        self._model = model
        self._speculation = speculation
        self._scheduler: Scheduler | None = None
        self._lock = threading.Lock()

    def get(self) -> Scheduler:
        """The scheduler.

        Raises:
            ClosedError: the model is closed.
        """
        with self._lock:
            self._model.check_open()
            if self._scheduler is None or not self._scheduler.is_working:
                self._scheduler = Scheduler(self._model, speculation=self._speculation)
            return self._scheduler

    def close(self) -> None:
        """End the streams and the thread. Twice is no error."""
        with self._lock:
            scheduler, self._scheduler = self._scheduler, None
        if scheduler is not None and scheduler.is_working:
            scheduler.close()
