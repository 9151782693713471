"""The styles in which commands print."""

import click
import pytest
from click.testing import CliRunner

from node.cli.group import LazyGroup
from node.cli.main import cli
from node.cli.output import Output

RECORD = {"did": "did:iov:devnet:x", "height": 7, "recovery": None, "owners": ["a"]}


@pytest.mark.parametrize(
    ("name", "text"),
    [("did", "did:iov:devnet:x\n"), ("height", "7\n"), ("recovery", "null\n"), ("owners", '["a"]\n')],
)
def test_a_field_is_printed_alone(name: str, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    Output(f"field={name}").show_record(RECORD)
    Output(f"field={name}").show_line(RECORD, "for people")
    assert capsys.readouterr().out == text * 2


def test_a_field_of_each_of_a_list(capsys: pytest.CaptureFixture[str]) -> None:
    Output("field=height").show_list([RECORD, {"height": 8}], ["did"])
    Output("field=height").show_list([], ["did"], empty="there is nothing")
    assert capsys.readouterr() == ("7\n8\n", "")


@pytest.mark.parametrize(
    ("style", "advice"),
    [("field=size", "--output: there is no field 'size'; there are: did, height"), ("yaml", "table, json, field=NAME")],
)
def test_what_cannot_be_printed_is_told(style: str, advice: str) -> None:
    from node.cli.output import output_option

    @click.command()
    @output_option
    def show(output: Output) -> None:
        output.show_record(RECORD)

    group = LazyGroup({})
    group.get_command = lambda _context, _name: show  # type: ignore[method-assign]
    result = CliRunner().invoke(group, ["show", "--output", style])
    assert (result.exit_code, advice in result.stderr) == (2, True), result.stderr


def test_the_sender_may_stand_in_the_environment() -> None:
    words = ["tx", "transfer", "--to", "dev1", "--amount", "1", "--node", "http://127.0.0.1:9"]
    assert "'--from'" in CliRunner().invoke(cli, words).stderr
    assert "no node answers" in CliRunner().invoke(cli, words, env={"CARLIVE_FROM": "dev0"}).stderr
