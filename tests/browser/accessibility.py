"""What axe-core finds on a page: https://github.com/dequelabs/axe-core, rules of WCAG 2.2 AA."""

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

_GRAVE = ("serious", "critical")
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_axe = Axe()


def grave_findings(page: Page) -> list[str]:
    """Serious and critical findings, each with the elements that it is about."""
    options = {"runOnly": {"type": "tag", "values": _RULES}, "resultTypes": ["violations"]}
    found = _axe.run(page, options=options).response["violations"]
    return [
        f"{finding['impact']} {finding['id']}: {finding['help']}: {node['target']} "
        f"{node.get('failureSummary', '')}"
        for finding in found
        if finding["impact"] in _GRAVE
        for node in finding["nodes"]
    ]
