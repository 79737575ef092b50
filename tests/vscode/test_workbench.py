"""The extension in a real workbench with the real model. What each scenario does stands in ``scenarios.mjs``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.vscode, pytest.mark.model]

_SCRIPT = Path(__file__).with_name("scenarios.mjs").read_text()
SCENARIOS = re.findall(r"^  (\w+),$", _SCRIPT.partition("export const SCENARIOS = [")[2], re.MULTILINE)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_in_the_workbench(scenario: str, results: dict[str, Any]) -> None:
    start = results.get("start", {"ok": False, "error": results["log"]})
    assert start["ok"], start["error"]
    assert scenario in results, f"the run broke off before this: {results['log']}"
    assert results[scenario]["ok"], results[scenario]["error"]
