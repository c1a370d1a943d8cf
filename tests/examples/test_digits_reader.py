"""digits-reader as a stranger uses it: over HTTP, in a process of its own."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
import numpy as np
import pytest
from sklearn.datasets import load_digits

from tests.examples.conftest import ModelApi

BLANK = [[0] * 8] * 8


@pytest.fixture
def api(model_apis: dict[str, ModelApi]) -> ModelApi:
    return model_apis["digits-reader"]


@pytest.fixture(scope="module")
def scans() -> Any:
    return load_digits()


def images_of(scans: Any, number: int) -> list[dict[str, Any]]:
    return [{"pixels": pixels} for pixels in scans.images[:number].astype(int).tolist()]


def test_health_tells_an_honest_accuracy(api: ModelApi, client: httpx.Client) -> None:
    """On images it has not seen, the network is right in more than 95 of 100."""
    answer = client.get(f"{api.url}/health").json()
    assert answer["status"] == "ready"
    assert 0.95 < answer["accuracy"] < 1


def test_known_digits_are_read(api: ModelApi, client: httpx.Client, scans: Any) -> None:
    """Of 200 images in one batch, 95 in 100 are read as what they are, in order."""
    answers = client.post(f"{api.url}/predict/batch", json=images_of(scans, 200)).raise_for_status().json()
    assert np.mean(np.array([answer["digit"] for answer in answers]) == scans.target[:200]) > 0.95


def test_the_stream_gives_what_the_batch_gives(api: ModelApi, client: httpx.Client, scans: Any) -> None:
    """One JSON object per line, in order, equal to the answers of the batch."""
    images = images_of(scans, 5)
    streamed = client.post(f"{api.url}/predict/stream", json=images)
    assert streamed.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in streamed.text.splitlines()]
    batch = client.post(f"{api.url}/predict/batch", json=images).json()
    assert [line["digit"] for line in lines] == [answer["digit"] for answer in batch]
    assert [line["probability"] for line in lines] == pytest.approx([answer["probability"] for answer in batch])


def test_the_stream_does_not_wait_for_the_last_image(api: ModelApi, client: httpx.Client, scans: Any) -> None:
    """The first of 60 lines arrives in less than half the time of all."""
    started_s = time.perf_counter()
    with client.stream("POST", f"{api.url}/predict/stream", json=images_of(scans, 60)) as answer:
        times_s = [time.perf_counter() - started_s for _ in answer.iter_lines()]
    assert len(times_s) == 60
    assert times_s[0] < times_s[-1] / 2


def test_a_stored_scan_is_read(api: ModelApi, client: httpx.Client, scans: Any) -> None:
    """Scan 0 is a zero; one that is not there is not found."""
    assert client.get(f"{api.url}/scans/0/reading").json()["digit"] == scans.target[0]
    assert client.get(f"{api.url}/scans/1797/reading").status_code == 404


@pytest.mark.usefixtures("healthy_stores")
def test_a_slow_store_makes_the_reading_slow_until_it_is_over(api: ModelApi, client: httpx.Client) -> None:
    """With a store half a second away, so is the answer; when the time set is over, the store is healthy by itself."""
    client.put(f"{api.url}/demo/store", json={"delay_s": 0.5, "for_s": 1}).raise_for_status()
    started_s = time.perf_counter()
    client.get(f"{api.url}/scans/0/reading").raise_for_status()
    assert time.perf_counter() - started_s > 0.34
    while client.get(f"{api.url}/demo/store").json()["delay_s"]:
        assert time.perf_counter() - started_s < 3
    assert time.perf_counter() - started_s > 0.9


@pytest.mark.parametrize(
    "pixels",
    [BLANK[:7], [[0] * 9] * 8, [[17] * 8] * 8, [["ink"] * 8] * 8, None],
    ids=["seven rows", "nine columns", "too dark", "text", "nothing"],
)
def test_bad_input_is_refused(api: ModelApi, client: httpx.Client, pixels: Any) -> None:
    """An image that is not eight by eight pixels of 0 to 16 gets 422."""
    assert client.post(f"{api.url}/predict", json={"pixels": pixels}).status_code == 422


def test_a_blank_image_is_an_exception(api: ModelApi, client: httpx.Client) -> None:
    """Paper without ink fits the types, but its contrast cannot be stretched: 500, and the log says NaN."""
    assert client.post(f"{api.url}/predict", json={"pixels": BLANK}).status_code == 500
    api.wait_for_log("contains NaN")
