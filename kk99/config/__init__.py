"""What an operator sets: sections of settings, and reading them from a file and the environment."""

from kk99.config.reading import load, load_engine, section
from kk99.config.sections import SECTIONS, EngineSettings, MetricsSettings, Settings

__all__ = [
    "SECTIONS",
    "EngineSettings",
    "MetricsSettings",
    "Settings",
    "load",
    "load_engine",
    "section",
]
