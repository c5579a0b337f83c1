"""The consumer of this checkout, without installing the package: tests/replay.py runs it, and gives it another `handle`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "consumers/python/src"))

from hookgate_consumer import Event, State, consumer  # noqa: E402 (after its path)


def handle(event: Event, state: State) -> None:
    state.keep_latest(event)


handler = consumer(lambda event, state: handle(event, state))
