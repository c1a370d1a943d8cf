"""The private servers that the other tests rely on."""

from __future__ import annotations

from typing import Any

import pika
import psycopg
import redis


def test_rabbitmq_answers_and_survives_a_kill(rabbitmq: Any) -> None:
    """A killed private broker starts again and takes connections."""
    rabbitmq.kill()
    rabbitmq.start()
    pika.BlockingConnection(pika.URLParameters(rabbitmq.url)).close()


def test_each_fresh_database_is_empty(postgres: Any) -> None:
    """Two fresh databases are two databases, both without tables."""
    first, second = postgres.fresh_database(), postgres.fresh_database()
    assert first != second
    with psycopg.connect(first.replace("+psycopg", "")) as connection:
        assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)


def test_redis_starts_empty(redis_server: Any) -> None:
    """A private Redis holds no keys."""
    client = redis.Redis.from_url(redis_server.url)
    assert client.dbsize() == 0
    client.close()
