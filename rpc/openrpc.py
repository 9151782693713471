"""The OpenRPC document, from the same table and models that answer the calls."""

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any, Final

from pydantic import BaseModel, TypeAdapter

from rpc import models
from rpc.errors import ERROR_KINDS, MESSAGES, ErrorKind
from rpc.field_docs import describe_fields
from rpc.method import Method

OPENRPC_VERSION: Final = "1.3.2"
API_VERSION: Final = "1.0.0"
COMMON_REASONS: Final = ("INVALID_PARAMS", "INTERNAL_ERROR", "LIMIT_EXCEEDED")
_REF: Final = "#/components/schemas/{model}"


def build_openrpc(methods: Mapping[str, Method]) -> dict[str, Any]:
    """The whole document."""
    schemas: dict[str, Any] = {}
    described = [_describe_method(method, schemas) for method in methods.values()]
    topics = {topic: _build_schema(model, "serialization", schemas) for topic, model in models.TOPIC_MESSAGES.items()}
    return {
        "openrpc": OPENRPC_VERSION,
        "info": {"title": "CarLive Chain", "version": API_VERSION, "license": {"name": "Apache-2.0"}},
        "methods": described,
        "components": {"schemas": dict(sorted(schemas.items()))},
        "x-errors": [_describe_kind(kind) for kind in ERROR_KINDS.values()],
        "x-topics": topics,
    }


def list_error_kinds(reasons: Iterable[str]) -> list[ErrorKind]:
    """The kinds behind the reasons, sorted by code."""
    return sorted([ERROR_KINDS[reason] for reason in dict.fromkeys(reasons)], key=lambda kind: int(kind.code))


def _describe_method(method: Method, schemas: dict[str, Any]) -> dict[str, Any]:
    object_schema = _build_schema(method.params, "validation", schemas, inline=True)
    properties = object_schema.get("properties", {})
    required = set(object_schema.get("required", ()))
    result_schema = _build_schema(method.result, "serialization", schemas)
    return {
        "name": method.name,
        "summary": method.doc,
        "paramStructure": "either",
        "params": [
            {"name": name, "required": name in required, "schema": properties[name]} for name in method.list_params()
        ],
        "result": {"name": "result", "schema": result_schema},
        "errors": _describe_errors((*COMMON_REASONS, *method.reasons)),
    }


def _describe_errors(reasons: Iterable[str]) -> list[dict[str, Any]]:
    """One entry per code, as OpenRPC wants; its reasons stand in the data."""
    return [
        {
            "code": int(code),
            "message": MESSAGES[code],
            "data": {"reasons": [{"reason": kind.reason, "retryable": kind.is_retryable} for kind in kinds]},
        }
        for code, kinds in groupby(list_error_kinds(reasons), key=lambda kind: kind.code)
    ]


def _describe_kind(kind: ErrorKind) -> dict[str, Any]:
    return {"code": int(kind.code), "reason": kind.reason, "retryable": kind.is_retryable, "description": kind.doc}


def _build_schema(kind: Any, mode: Any, schemas: dict[str, Any], *, inline: bool = False) -> dict[str, Any]:
    """A JSON schema whose parts go to the components; a model itself goes there too unless it is wanted inline."""
    schema = TypeAdapter(kind).json_schema(mode=mode, by_alias=True, ref_template=_REF)
    parts = schema.pop("$defs", {})
    for name, part in parts.items():
        if "properties" in part:
            describe_fields(part, getattr(models, name))
    schemas.update(parts)
    if "properties" in schema:
        describe_fields(schema, kind)
    if inline or not (isinstance(kind, type) and issubclass(kind, BaseModel)) or "$ref" in schema:
        return schema
    schemas[kind.__name__] = schema
    return {"$ref": _REF.format(model=kind.__name__)}
