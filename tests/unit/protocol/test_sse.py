"""Server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html."""

import time

import pytest
from hypothesis import given, strategies as st

from tunesmith.protocol.sse import ServerSentEvent, SSEDecoder, encode_event


def decoded(*chunks):
    decoder = SSEDecoder()
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    return events + decoder.finish()


def data_of(*chunks):
    return [event.data for event in decoded(*chunks)]


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_each_line_end_of_the_standard_ends_a_line(end):
    body = end.join([b"data: one", b"", b"data: two", b"", b""])
    assert data_of(body) == [b"one", b"two"]


def test_a_crlf_that_is_cut_in_two_is_one_line_end():
    assert data_of(b"data: a\r", b"\ndata: b\r", b"\n\r", b"\n") == [b"a\nb"]


def test_an_event_that_ends_in_cr_does_not_wait_for_the_next_chunk():
    assert SSEDecoder().feed(b"data: a\r\r") == [ServerSentEvent(b"a")]


def test_an_empty_chunk_between_cr_and_lf_changes_nothing():
    assert data_of(b"data: a\r", b"", b"\ndata: b\r\n\r\n") == [b"a\nb"]


def test_one_byte_order_mark_at_the_beginning_is_dropped():
    assert data_of(b"\xef\xbb\xbfdata: a\n\n") == [b"a"]
    assert data_of(b"\xef", b"\xbb", b"\xbfdata: a\n\n") == [b"a"]
    assert data_of(b"\xef\xbb\xbfdata: a") == [b"a"]


def test_a_second_byte_order_mark_belongs_to_the_field_name():
    assert data_of(b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\ndata: b\n\n") == [b"b"]


def test_a_byte_order_mark_after_the_beginning_belongs_to_the_field_name():
    assert data_of(b"data: a\n\n", b"\xef\xbb\xbfdata: b") == [b"a"]
    assert data_of(b"\n", b"\xef\xbb\xbfdata: a\n\ndata: b\n\n") == [b"b"]


def test_bytes_that_are_not_utf_8_are_replaced_in_names_and_ids():
    assert decoded(b"id: \xff1\nevent: \xffa\ndata: \xff\n\n") == [
        ServerSentEvent(b"\xff", "\ufffda", "\ufffd1")
    ]


def test_several_data_lines_are_joined_by_line_feeds():
    assert data_of(b"data: YHOO\ndata: +2\ndata: 10\n\n") == [b"YHOO\n+2\n10"]


def test_comments_are_passed_over():
    assert data_of(b": ping - 2026-11-24\n\n:\ndata: a\n: more\n\n") == [b"a"]


def test_one_leading_space_is_dropped_and_no_more():
    assert data_of(b"data:a\n\ndata: a\n\ndata:  a\n\n") == [b"a", b"a", b" a"]


def test_a_field_without_a_colon_has_an_empty_value():
    """The standard's own example: two events, and a third that is never ended."""
    assert SSEDecoder().feed(b"data\n\ndata\ndata\n\ndata:") == [
        ServerSentEvent(b""),
        ServerSentEvent(b"\n"),
    ]


def test_unknown_fields_and_events_without_data_are_passed_over():
    assert data_of(b"colour: red\n\nevent: ping\n\nDATA: x\n\n") == []


def test_the_event_type_counts_for_one_event():
    events = decoded(b"event: error\ndata: a\n\ndata: b\n\nevent: lost\n\ndata: c\n\n")
    assert [(event.event, event.data) for event in events] == [
        ("error", b"a"),
        ("", b"b"),
        ("", b"c"),
    ]


def test_the_id_stays_until_another_is_sent():
    events = decoded(b"id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n")
    assert [event.id for event in events] == ["1", "1", ""]


def test_an_id_with_a_nul_is_passed_over():
    assert decoded(b"id: 1\nid: 2\0\ndata: a\n\n")[0].id == "1"


@pytest.mark.parametrize(
    ("value", "retry_ms"),
    [
        (b"1500", 1500),
        (b"1.5", None),
        (b"-1", None),
        (b"", None),
        (b"9" * 18, 10**18 - 1),
        (b"9" * 19, None),
    ],
)
def test_retry_is_a_number_of_milliseconds_or_nothing(value, retry_ms):
    assert decoded(b"retry: " + value + b"\ndata: a\n\n")[0].retry_ms == retry_ms


def test_text_that_is_no_utf8_is_replaced_and_data_stays_bytes():
    (event,) = decoded(b"event: \xff\ndata: \xff\n\n")
    assert event == ServerSentEvent(b"\xff", "\N{REPLACEMENT CHARACTER}")


@pytest.mark.parametrize("rest", [b"data: b", b"data: b\n", b"data: b\r", b"data: b\r\n"])
def test_an_event_without_its_blank_line_is_given_at_the_end(rest):
    decoder = SSEDecoder()
    assert decoder.feed(b"data: a\n\n" + rest) == [ServerSentEvent(b"a")]
    assert decoder.finish() == [ServerSentEvent(b"b")]
    assert decoder.finish() == []


@pytest.mark.parametrize("body", [b"", b"\n", b"event: done\n", b": bye"])
def test_nothing_is_given_at_the_end_if_there_is_no_data(body):
    assert decoded(body) == []


PIECES = st.sampled_from(
    [
        *[b"data", b"event", b"id", b"retry", b":", b" ", b"\n", b"\r", b"\r\n", b"\n\n"],
        *[b"7", b"\0", b"\xef\xbb\xbf", b"\xce\xb1", b"\xff", b"data: x\n\n"],
    ]
)


@given(
    st.lists(PIECES, max_size=40).map(b"".join) | st.binary(max_size=80),
    st.lists(st.integers(min_value=0), max_size=12),
)
def test_it_does_not_matter_where_a_body_is_cut(cut, body, places):
    whole = decoded(body)
    assert decoded(*cut(body, places)) == whole
    assert decoded(*[bytes([byte]) for byte in body]) == whole


def by_the_letter(body):
    """The standard's algorithm in the plainest way, but for the end of the body."""
    text = body.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    found, data = [], []
    for line in text.split(b"\n")[:-1]:
        name, _, value = line.partition(b":")
        if not line and data:
            found.append(b"\n".join(data))
            data = []
        if name == b"data":
            data.append(value.removeprefix(b" "))
    return found


@given(st.lists(PIECES, max_size=40).map(b"".join))
def test_the_data_is_what_the_standard_says(body):
    assert [event.data for event in SSEDecoder().feed(body)] == by_the_letter(body)


@given(st.binary(), st.none() | st.text(min_size=1).filter(lambda text: len(text.split()) == 1))
def test_what_is_encoded_is_decoded(data, event):
    event = event and event.strip()
    lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    assert decoded(encode_event(data, event)) == [ServerSentEvent(lines, event or "")]


@pytest.mark.parametrize("event", ["a\nb", "a\rb", "a\n\ndata: forged"])
def test_an_event_type_cannot_begin_another_field(event):
    with pytest.raises(ValueError, match="one line"):
        encode_event(b"x", event)


def cpu_s(size_bytes):
    body = b"data: " + b"x" * size_bytes + b"\n\n"
    decoder, began = SSEDecoder(), time.process_time()
    events = [event for byte in body for event in decoder.feed(bytes([byte]))]
    assert [len(event.data) for event in events] == [size_bytes]
    return time.process_time() - began


@pytest.mark.slow
def test_a_huge_event_that_comes_byte_by_byte_takes_linear_time():
    """Eight times the bytes take 64 times the time if each byte is joined to all before it."""
    quickest = {size: min(cpu_s(size) for _ in range(3)) for size in (25_000, 200_000)}
    assert quickest[200_000] < 32 * quickest[25_000]
