"""A test whose tool is missing is skipped on a learner's machine, and fails where the tool was promised."""

import pytest

from labs import tools


def test_a_missing_tool_skips_or_fails(require_tool, monkeypatch):
    monkeypatch.setattr(tools, "find", lambda name: None)
    monkeypatch.delenv("AURORA_REQUIRE", raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"qemu is not here .* sudo apt-get install"):
        require_tool("qemu")
    monkeypatch.setenv("AURORA_REQUIRE", "chromium,qemu")
    with pytest.raises(pytest.fail.Exception, match="qemu is not here"):
        require_tool("qemu")


def test_a_tool_that_is_there_is_returned(require_tool, monkeypatch, tmp_path):
    monkeypatch.setattr(tools, "find", lambda name: tmp_path)
    assert require_tool("qemu") == tmp_path
