"""Routes made up from paths, and how many there may be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.path_templates import PathTemplates, clean_path


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/predict", "/predict"),
        ("/v1/models/fraud-detector:predict", "/v1/models/{id}"),
        ("/users/42?token=secret", "/users/{id}"),
        ("/users/42/", "/users/{id}"),
        ("/a//b#part", "/a/b"),
        ("/files/0b7e6b52-31c5-4b57-9d3a-3c7b4a9b8a11/raw", "/files/{id}/raw"),
        ("/commits/deadbeefcafe", "/commits/{id}"),
        ("/mail/someone@example.com", "/mail/{id}"),
        ("/v2/model2/infer", "/v2/model2/infer"),
        ("/%2e%2e/etc", "/{id}/etc"),
        ("/a/b/c/d/e/f/g/h/i/j", "/a/b/c/d/e/f/g/*"),
        ("http://host:8000/items/7?x=1", "/items/{id}"),
        ("", "/"),
        ("/", "/"),
        ("/" + "x" * 5000, "/{id}"),
    ],
)
def test_values_are_taken_out_of_paths(path: str, template: str) -> None:
    """Numbers, ids, addresses and queries never become part of a name."""
    assert clean_path(path) == template


@given(st.text(max_size=200))
def test_whatever_the_path_the_template_is_short_and_clean(path: str) -> None:
    """Any text gives a template of at most eight segments, without a digit run, a query or a control character."""
    template = clean_path(path)
    assert template.startswith("/")
    assert template.count("/") <= 8
    assert template.isprintable()
    assert not any(mark in template for mark in "?#;%@")
    assert clean_path(template.replace("{id}", "42")) == template


def test_a_service_has_only_so_many_made_up_routes() -> None:
    """Beyond the limit a span has no route; other services and known routes are not affected."""
    paths = PathTemplates(max_per_service=2, max_services=10)
    given_out = [paths.template_of("a", path) for path in ("/x", "/y", "/z", "/x", "/w/1")]
    assert given_out == ["/x", "/y", "", "/x", ""]
    assert paths.template_of("b", "/z") == "/z"
