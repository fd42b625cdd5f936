"""What a page must not do while somebody uses it: fail, be refused, or ask another host."""

from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext

# Refused styles and scripts are told to the console by Chromium; eval and the like only here.
_TELL_REFUSALS = """document.addEventListener("securitypolicyviolation", (event) =>
    console.error(`refused by the policy: ${event.violatedDirective} ${event.blockedURI}`));"""


class Watched:
    """A visitor's browser context with one page, and what went wrong in it."""

    def __init__(self, context: BrowserContext, address: str) -> None:
        self.context = context
        self.faults: list[str] = []
        self.expected: list[str] = []  # parts of faults that a test provokes
        self._host = urlsplit(address).netloc
        context.set_default_timeout(10_000)
        context.add_init_script(_TELL_REFUSALS)
        context.on("console", self._heard)
        context.on("weberror", lambda error: self.faults.append(f"error: {error.error}"))
        context.on("request", self._asked)
        context.on("requestfailed", self._failed)
        context.on("response", self._answered)
        self.page = context.new_page()

    def check(self) -> None:
        """Fails if anything went wrong that the test did not provoke."""
        faults = [f for f in self.faults if not any(part in f for part in self.expected)]
        assert not faults, "\n".join(faults)

    def _heard(self, message) -> None:
        if message.type in ("error", "warning"):
            self.faults.append(f"console {message.type}: {message.text} ({message.page.url})")

    def _asked(self, request) -> None:
        parts = urlsplit(request.url)
        if parts.netloc != self._host:
            self.faults.append(f"asked another host: {request.url[:200]}")

    def _failed(self, request) -> None:
        # Leaving a page ends what it was asking for.
        if "ERR_ABORTED" not in (request.failure or ""):
            self.faults.append(f"no answer: {request.url} {request.failure}")

    def _answered(self, response) -> None:
        if response.status >= 400:
            self.faults.append(f"status {response.status}: {response.url}")
