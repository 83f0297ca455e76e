"""The reference page of the command line matches the commands."""

from tests.docs import command_line_page


def test_the_page_matches_the_help_of_the_commands():
    assert command_line_page.PAGE.read_text() == command_line_page.rendered(), (
        "write it again: python tests/docs/command_line_page.py"
    )
