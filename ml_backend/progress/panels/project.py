"""A project as the page sees it."""

from __future__ import annotations

from dataclasses import dataclass

from ...jobs import Jobs
from ...settings import Settings, SettingsError
from ...store import Store
from ..stores import store_of


@dataclass(frozen=True)
class Project:
    """A project's number, the queue, and the settings that all projects share."""

    project_id: int
    jobs: Jobs
    common: Settings

    @property
    def store(self) -> Store:
        """What is kept of it."""
        return store_of(self.common, self.project_id)

    @property
    def settings(self) -> Settings:
        """Its own settings among the common ones; the common ones if its own are not valid."""
        try:
            return self.common.of_project(self.store.overrides())
        except SettingsError:
            return self.common

    @property
    def address(self) -> str:
        """The project in Label Studio."""
        return f"{self.common.public_url}/projects/{self.project_id}/data"
