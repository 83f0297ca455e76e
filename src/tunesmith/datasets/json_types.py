"""Type guards for JSON values."""

from tunesmith._json_types import is_list, is_object, json_type_name

__all__ = ["is_list", "is_object", "json_type_name"]
