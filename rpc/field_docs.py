"""What the fields of models are, as written below them in the source: read when somebody asks, not at every start."""

import ast
import inspect
import sys
from collections.abc import Mapping
from functools import cache
from types import ModuleType
from typing import Any

from pydantic import BaseModel


@cache
def read_field_docs(module: ModuleType) -> Mapping[str, Mapping[str, str]]:
    """The strings below the fields of a module's classes: class, field, text."""
    classes = (each for each in ast.parse(inspect.getsource(module)).body if isinstance(each, ast.ClassDef))
    return {each.name: _read_class(each) for each in classes}


def describe_fields(schema: dict[str, Any], model: type[BaseModel]) -> None:
    """Write what stands below a model's fields, or those of a model that it extends, into its JSON schema."""
    docs = [read_field_docs(sys.modules[each.__module__])[each.__name__] for each in _list_written(model)]
    for name, field in model.model_fields.items():
        doc = next((each[name] for each in docs if name in each), None)
        if doc is not None and field.description is None:
            schema["properties"][field.alias or name]["description"] = doc


def _list_written(model: type[BaseModel]) -> list[type[BaseModel]]:
    """The model and those that it extends, but not pydantic's own."""
    return model.mro()[: model.mro().index(BaseModel)]


def _read_class(tree: ast.ClassDef) -> dict[str, str]:
    """Every annotated name and the string that follows it."""
    docs = {}
    for statement, below in zip(tree.body, tree.body[1:], strict=False):
        match statement, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                docs[name] = inspect.cleandoc(text)
    return docs
