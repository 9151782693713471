"""Descriptions of fields come from the strings below them."""

from typing import Annotated

from pydantic import BaseModel, Field

from rpc.field_docs import describe_fields


class Plain(BaseModel):
    """A model with texts below its fields."""

    told: int
    """What is told,
    in two lines.
    """
    untold: int


class Extended(Plain):
    """One that extends it."""

    untold: int
    """Now it is told."""
    explicit: Annotated[int, Field(alias="given", description="Said where it is declared.")]
    """Not this."""


def _describe(model: type[BaseModel]) -> dict[str, str | None]:
    schema = model.model_json_schema()
    describe_fields(schema, model)
    return {name: each.get("description") for name, each in schema["properties"].items()}


def test_a_field_is_described_by_the_string_below_it() -> None:
    assert _describe(Plain) == {"told": "What is told,\nin two lines.", "untold": None}


def test_inherited_fields_keep_their_texts_and_explicit_ones_come_first() -> None:
    assert _describe(Extended) == {
        "told": "What is told,\nin two lines.",
        "untold": "Now it is told.",
        "given": "Said where it is declared.",
    }
