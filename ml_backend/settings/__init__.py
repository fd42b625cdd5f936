"""The settings of this deployment; the only module that reads the environment."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, get_type_hints

from .bounds import SettingsError, refuse_out_of_bounds
from .declarations import PROJECT_SETTINGS, TRAINING_SETTINGS, SettingsFields, variable_of

__all__ = [
    "PROJECT_SETTINGS",
    "TRAINING_SETTINGS",
    "Settings",
    "SettingsError",
    "is_own_network",
    "parse_setting",
    "variable_of",
]


@dataclass(frozen=True)
class Settings(SettingsFields):
    """Settings within their bounds. Raises SettingsError for one that is not."""

    def __post_init__(self) -> None:
        refuse_out_of_bounds(self)

    @property
    def due_after(self) -> int:
        """New training labels after which a round is due."""
        return self.labels_per_round or self.k

    @property
    def public_url(self) -> str:
        """Label Studio's address in people's browsers, without a slash at its end."""
        return (self.label_studio_public_url or self.label_studio_url).rstrip("/")

    @property
    def store_root(self) -> str | Path:
        """Folder or URL of the published versions."""
        return self.store_url or self.data_dir / "store"

    def of_project(self, overrides: Mapping[str, Any]) -> Settings:
        """These settings with what a project has set for itself.

        Raises SettingsError for a setting that is not a project's own, or out of its bounds.
        """
        for name in overrides:
            if name not in PROJECT_SETTINGS:
                raise SettingsError(
                    f"{name} cannot be set for one project: {', '.join(PROJECT_SETTINGS)} can"
                )
        network = overrides.get("network")
        if is_own_network(network) and network != self.network:
            raise SettingsError(
                "a network of your own is code, which only the deployment may name: set "
                "QUORUM_NETWORK"
            )
        return replace(self, **overrides)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Read the settings from environment variables.

        Raises SettingsError naming the variable that cannot be read.
        """
        source = os.environ if environment is None else environment
        types = get_type_hints(cls)
        values: dict[str, Any] = {}
        for setting in fields(cls):
            text = source.get(setting.metadata["variable"], "")
            if text == "":
                continue
            try:
                values[setting.name] = _converter(types[setting.name])(text)
            except ValueError:
                kind = types[setting.name].__name__
                raise SettingsError(
                    f"{setting.metadata['variable']} must be of type {kind}"
                ) from None
        return cls(**values)


def _yes_or_no(text: str) -> bool:
    try:
        return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}[
            text.strip().lower()
        ]
    except KeyError:
        raise ValueError from None


def is_own_network(name: object) -> bool:
    """Whether it is package.module:Class, which is imported, rather than one that comes along."""
    return isinstance(name, str) and ":" in name and not name.startswith("monai:")


def parse_setting(name: str, text: str) -> Any:
    """A project's setting from text. Raises SettingsError naming what is wrong with it."""
    if name not in PROJECT_SETTINGS:
        raise SettingsError(f"{name} cannot be set for one project: {', '.join(PROJECT_SETTINGS)}")
    try:
        return _converter(get_type_hints(Settings)[name])(text)
    except ValueError:
        kind = get_type_hints(Settings)[name].__name__
        raise SettingsError(f"{name} must be of type {kind}: it is {text!r}") from None


def _converter(kind: Any) -> Callable[[str], Any]:
    convert: Callable[[str], Any] = _yes_or_no if kind is bool else kind
    return convert
