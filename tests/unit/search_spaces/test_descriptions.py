"""What a field means, as OpenAPI tells it."""

from __future__ import annotations

from search_spaces.model import Message, Model


class Parent(Model):
    """A model whose first field is described below it."""

    described: int
    """So many
    of them."""
    bare: int = 0


class Child(Parent):
    """Its own field, and its parent's."""

    own: int = 0
    """Its own."""
    bare: int = 1


class Answer(Message):
    """A message that holds a model."""

    child: Child
    """The one it is about."""


def test_fields_are_described_by_the_text_below_them() -> None:
    """A field's description is the literal below it, also where it is inherited; none where there is no text."""
    fields = Child.model_json_schema()["properties"]

    assert fields["described"]["description"] == "So many\nof them."
    assert fields["own"]["description"] == "Its own."
    assert "description" not in fields["bare"]


def test_a_message_describes_what_it_holds() -> None:
    """A reference keeps its description, and what it refers to has its own."""
    schema = Answer.model_json_schema()

    assert schema["properties"]["child"]["description"] == "The one it is about."
    assert schema["$defs"]["Child"]["properties"]["own"]["description"] == "Its own."
