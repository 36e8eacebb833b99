"""Tables in Markdown."""

from cpm_plugin.apps.tables import table_row


def test_what_would_break_a_row_is_escaped():
    assert table_row(['a | b\nc', 'd']) == r'| a \| b c | d |'
