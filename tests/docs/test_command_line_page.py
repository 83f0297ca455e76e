"""The reference page of the command line says what the commands say."""

from tests.docs import command_line_page


def test_the_page_is_what_the_commands_say_of_themselves():
    assert command_line_page.PAGE.read_text() == command_line_page.rendered(), (
        "write it anew: python tests/docs/command_line_page.py"
    )
