"""Fixtures for pytest, which finds them by itself once the package is installed."""

from collections.abc import Callable
from typing import Any

import pytest

from . import Event, State, testing


@pytest.fixture
def hookgate_messages() -> dict[str, Any]:
    """One real message for each of Hookgate's samples, in the form in which Lambda passes them."""
    return testing.messages()


@pytest.fixture
def hookgate_batch() -> Callable[..., dict[str, Any]]:
    """`hookgate_batch("commerce.order.paid", …)`: a batch of the first real message of each type. See `testing.batch`."""
    return testing.batch


@pytest.fixture
def hookgate_table() -> testing.Table:
    """A table in memory. `hookgate_table.items` are by `pk`."""
    return testing.Table()


@pytest.fixture
def hookgate_consume(hookgate_table: testing.Table) -> Callable[[Callable[[Event, State], None]], testing.Run]:
    """`consume = hookgate_consume(handle)`: `consume(batch)` names the messages that failed, `consume.errors` are what `handle` raised."""
    return lambda handle: testing.Run(handle, hookgate_table)
