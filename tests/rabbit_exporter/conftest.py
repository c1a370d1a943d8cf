from __future__ import annotations

from typing import Any

import pytest

from tests.support.rabbit import RabbitView


@pytest.fixture
def view(rabbitmq: Any) -> RabbitView:
    """A broker on which nothing of ModelWatch's is declared."""
    view = RabbitView(rabbitmq.url)
    view.clear()
    return view
