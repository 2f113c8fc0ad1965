"""One YAML file describes one audit. Unknown keys are refused; paths are relative to the file."""

from camaudit.config.audit import AuditConfig, AuditSettings, InterventionConfig, parse_target
from camaudit.config.data import ColumnsConfig, DataConfig, LegendConfig, RolesConfig
from camaudit.config.files import (
    dump_config,
    load_config,
    load_sections,
    parse_config,
    parse_section,
    resolve_paths,
)
from camaudit.config.model import ModelConfig, PreprocessingConfig

__all__ = [
    "AuditConfig",
    "AuditSettings",
    "ColumnsConfig",
    "DataConfig",
    "InterventionConfig",
    "LegendConfig",
    "ModelConfig",
    "PreprocessingConfig",
    "RolesConfig",
    "dump_config",
    "load_config",
    "load_sections",
    "parse_config",
    "parse_section",
    "parse_target",
    "resolve_paths",
]
