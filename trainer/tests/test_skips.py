"""A test that cannot run fails, unless somebody said that it may be left out."""

import pytest
from conftest import refusal


@pytest.mark.parametrize("allowed", ["shared", "full, shared"])
def test_what_is_named_may_be_left_out(monkeypatch, allowed):
    monkeypatch.setenv("GRAFT_ALLOW_SKIP", allowed)
    assert refusal("Skipped: shared: no ../shared") is None


@pytest.mark.parametrize("allowed", ["", "full", "share", "shared2"])
def test_what_is_not_named_fails(monkeypatch, allowed):
    monkeypatch.setenv("GRAFT_ALLOW_SKIP", allowed)
    assert "GRAFT_ALLOW_SKIP=shared" in refusal("Skipped: shared: no ../shared")


def test_a_reason_without_a_name_fails(monkeypatch):
    monkeypatch.setenv("GRAFT_ALLOW_SKIP", "could not import 'x'")
    assert "name: why" in refusal("could not import 'x'")
