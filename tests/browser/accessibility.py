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


def undecided_contrasts(page: Page) -> list[str]:
    """Texts whose contrast axe leaves open; within an SVG it always does, for that is an image.

    What is scrolled out of a box is left open too: look at a window that is wide enough.
    """
    options = {"runOnly": ["color-contrast"], "resultTypes": ["incomplete"]}
    found = _axe.run(page, options=options).response["incomplete"]
    nodes = [node for finding in found for node in finding["nodes"]]
    return [node["html"] for node in nodes if not node["html"].startswith(("<text", "<tspan"))]


def pale_chart_texts(page: Page) -> list[str]:
    """Texts of charts whose contrast to the panel behind them is below 4.5, by WCAG 2's formula."""
    found: list[str] = page.evaluate(
        """() => {
            const colour = (text) => text.match(/[0-9.]+/g).map(Number);
            const linear = (c) => c <= 10.31475 ? c / 3294.6 : ((c / 255 + 0.055) / 1.055) ** 2.4;
            const luminance = ([red, green, blue]) =>
                0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
            const behind = (node) => {
                for (let up = node; up; up = up.parentElement) {
                    const found = colour(getComputedStyle(up).backgroundColor);
                    if (found.length === 3 || found[3] === 1) return found;
                }
                return [255, 255, 255];
            };
            return [...document.querySelectorAll("svg text, svg tspan")].flatMap((text) => {
                const pair = [colour(getComputedStyle(text).fill), behind(text)].map(luminance);
                const contrast = (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
                return contrast < 4.5 ? [`${text.textContent}: ${contrast.toFixed(2)}`] : [];
            });
        }"""
    )
    return found
