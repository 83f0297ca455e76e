"""From the body of an error answer to the error, however the server puts it."""

import json
import pickle

import pytest
from hypothesis import given, strategies as st

from tunesmith import errors
from tunesmith.protocol.error_body import (
    error_body,
    find_error,
    find_reason,
    find_stream_error,
    make_excerpt,
    parse_error,
)
from tunesmith.types.response import ResponseInfo


def error_of(body, status=400, headers=None, **options):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return parse_error(status, headers or {}, content, **options)


def test_openais_own_error_is_read_whole():
    inner = {
        "message": "Could not find fine tune: ftjob-1",
        "type": "invalid_request_error",
        "param": "fine_tune_id",
        "code": "fine_tune_not_found",
    }
    error = error_of({"error": inner}, 404, {"x-request-id": "req_1", "retry-after": "7"})
    assert isinstance(error, errors.NotFoundError)
    assert (error.message, error.type) == (inner["message"], inner["type"])
    assert (error.param, error.code) == (inner["param"], inner["code"])
    assert (error.status, error.request_id, error.retry_after) == (404, "req_1", 7)
    assert json.loads(error.text) == {"error": inner}
    assert error.headers["x-request-id"] == "req_1"
    assert error.body == inner


def test_an_error_is_written_as_it_is_read():
    body = error_body("no", type="server_error", param="n", code="c")
    error = error_of(body)
    assert body == {"error": error.body}
    assert vars(error).items() >= {"type": "server_error", "param": "n", "code": "c"}.items()


@pytest.mark.parametrize("body", [b' {"message": "no"}', b' [{"message": "no"}]'])
def test_the_body_of_an_error_has_the_fields_of_the_official_sdk(body):
    assert error_of(body).body == {"message": "no", "type": None, "param": None, "code": None}


def test_the_body_of_an_error_that_is_not_json_is_its_text():
    assert error_of(b"no route").body == "no route"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.BadRequestError),
        (401, errors.AuthenticationError),
        (403, errors.PermissionDeniedError),
        (404, errors.NotFoundError),
        (409, errors.ConflictError),
        (413, errors.RequestTooLargeError),
        (422, errors.UnprocessableEntityError),
        (429, errors.RateLimitError),
        (500, errors.InternalServerError),
        (529, errors.InternalServerError),
        (402, errors.APIStatusError),
        (418, errors.APIStatusError),
    ],
)
def test_each_status_has_its_class(status, kind):
    assert type(error_of(b"", status)) is kind


@pytest.mark.parametrize("name", ["code", "type"])
def test_an_exhausted_quota_is_no_rate_limit(name):
    """Some proxies pass on the type alone; the code is what the retry decision goes by."""
    error = error_of({"error": {"message": "No money.", name: "insufficient_quota"}}, 429)
    assert type(error) is errors.InsufficientQuotaError
    assert error.code == "insufficient_quota"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": "model not loaded"}, "model not loaded"),
        ({"detail": "Not Found"}, "Not Found"),
        ({"message": "no route"}, "no route"),
        ({"error": None, "message": "no route"}, "no route"),
        ({"error": "Unauthorized", "message": "The token expired"}, "The token expired"),
        ({"detail": {"message": "deep"}}, "deep"),
        ({"detail": {"error": {"message": "deeper"}}}, "deeper"),
        ([{"error": {"message": "in a list"}}], "in a list"),
        ([{"message": "first of a list"}, {"message": "second"}], "first of a list"),
        ({"errors": [{"message": "one"}, "two"]}, "one; two"),
        (
            {"detail": [{"loc": ["body", "messages", 0], "msg": "Field required", "type": "m"}]},
            "body.messages.0: Field required",
        ),
        ({"detail": [{"loc": None, "msg": "no place"}, {"loc": "body"}]}, "no place; body: "),
        ({"status": "failed", "reason": "tired"}, '{"status": "failed", "reason": "tired"}'),
        ("quoted", "quoted"),
        (b"\xef\xbb\xbf" + b'{"message": "after a mark"}', "after a mark"),
        (b"upstream  connect\n error", "upstream connect error"),
        (b"value must be < 5 and > 3", "value must be < 5 and > 3"),
        (b"\xff\xfe", "\N{REPLACEMENT CHARACTER}" * 2),
        (
            b"<html><head><title>502 Bad &amp; Gateway</title></head><body>x</body></html>",
            "502 Bad & Gateway",
        ),
        (b"<style>p {}</style><p>No <b>way</b></p>", "No way"),
    ],
)
def test_the_message_is_found_wherever_servers_put_it(body, message):
    assert error_of(body).message == message


@pytest.mark.parametrize("body", [b"", b" \n", b"null", b"{}", {"error": {"message": ""}}])
def test_a_server_that_says_nothing_is_spoken_for(body):
    assert error_of(body, 500).message == "the service gives no reason"
    assert "OPENAI_API_KEY" in error_of(body, 401).message
    assert "base_url" in error_of(body, 404).message


def test_values_that_are_no_text_become_text():
    error = error_of({"error": {"message": ["a"], "code": 400, "param": None, "type": ""}})
    assert (error.message, error.code, error.param, error.type) == ("['a']", "400", None, None)


def test_a_redirect_names_the_place_but_not_its_query():
    headers = {"location": "https://elsewhere.example/v1?signature=abc"}
    error = error_of(b"<title>Moved</title>", 307, headers)
    assert "https://elsewhere.example/v1" in error.message
    assert "base_url" in error.message
    assert "signature" not in error.message


@pytest.mark.parametrize("status", [300, 307, 399])
def test_each_status_of_a_redirect_with_a_place_is_one(status):
    elsewhere = {"location": "https://elsewhere.example/v1"}
    assert "redirects" in error_of(b"", status, elsewhere).message
    assert "redirects" not in error_of(b"", status).message


@pytest.mark.parametrize("status", [299, 400])
def test_a_place_beside_another_status_is_no_redirect(status):
    error = error_of({"message": "no"}, status, {"location": "https://elsewhere.example/v1"})
    assert error.message == "no"


@pytest.mark.parametrize("name", ["x-request-id", "apim-request-id", "x-ms-request-id"])
def test_the_request_id_is_found_under_the_names_that_services_use(name):
    assert error_of(b"", 500, {name: "req_1"}).request_id == "req_1"


def test_a_date_to_wait_for_is_counted_from_now():
    headers = {"retry-after": "Thu, 01 Jan 1970 00:02:00 GMT"}
    assert error_of(b"", 429, headers, now=40.0).retry_after == 80
    assert error_of(b"", 429, headers).retry_after == 0


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("Incorrect API key provided: sk-abc***xyz.", "Incorrect API key provided: [key]"),
        ("Incorrect API key provided: my-se***cret", "Incorrect API key provided: [key]"),
        ("Wrong: sk-proj-Ab_9-cdEF!", "Wrong: [key]!"),
        ("Authorization: Bearer eyJhbGci.eyJz.c2ln", "Authorization: Bearer [key]"),
        ('{"api_key": "0123456789abcdef"}', '{"api_key": "[key]"}'),
        ("api-key=0123456789abcdef&x=1", "api-key=[key]&x=1"),
        ("you need Bearer auth with a token", "you need Bearer auth with a token"),
        ("a risk-averse task-1234 of **bold** words", "a risk-averse task-1234 of **bold** words"),
    ],
)
def test_what_looks_like_a_key_is_taken_out(text, clean):
    assert make_excerpt(text.encode()) == clean


def everything_in(error):
    return f"{error!s} {error!r} {vars(error)} {pickle.dumps(error)!r}"


@pytest.mark.parametrize(
    "shape",
    [
        '{{"error": {{"message": "no {0}", "param": "{0}", "code": "{0}", "type": "{0}"}}}}',
        '{{"error": "{0}"}}',
        '{{"detail": [{{"loc": ["{0}"], "msg": "{0}"}}]}}',
        '{{"unknown": "{0}"}}',
        "<title>{0}</title>",
        "{0}",
    ],
)
def test_no_part_of_an_error_holds_a_key(shape):
    body = shape.format("sk-proj-0123456789SECRET").encode()
    for error in (parse_error(401, {}, body), find_stream_error(body, "error")):
        assert "[key]" in str(error)
        assert "SECRET" not in everything_in(error)


def test_a_long_body_is_cut():
    error = error_of({"error": {"message": "x" * 100_000}})
    assert len(error.message) == 2000
    assert len(error.text) == 500
    assert len(error_of(b"word " * 100_000).message) == 500


def test_a_key_at_the_cut_is_no_half_key():
    body = b"x" * 490 + b" sk-0123456789SECRET"
    assert make_excerpt(body) == "x" * 490 + " [key]"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "detail", "errors", "message", "code", "loc", "msg", "x"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@pytest.mark.slow
@given(st.integers(300, 599), JSON.map(lambda value: json.dumps(value).encode()) | st.binary())
def test_every_body_becomes_an_error_with_a_message(status, body):
    error = parse_error(status, {}, body)
    assert error.status == status
    assert isinstance(error.message, str)
    assert error.message
    assert len(error.text) <= 500


@pytest.mark.parametrize(
    ("data", "message", "code"),
    [
        (b'{"error": {"message": "Overloaded", "code": "busy"}}', "Overloaded", "busy"),
        (b'{"message": "Overloaded", "code": 503}', "Overloaded", "503"),
        (b'{"error": "Overloaded"}', "Overloaded", None),
        (b"Overloaded", "Overloaded", None),
        (b"", "the service reported an error in the stream", None),
    ],
)
def test_an_error_inside_a_stream_is_read_in_the_same_way(data, message, code):
    error = find_stream_error(data, "error")
    assert (type(error), error.message, error.code) == (errors.StreamError, message, code)


def test_an_event_without_a_name_is_an_error_if_it_reports_one():
    data = b'{"error": {"message": "no", "type": "server_error", "param": "n", "code": "c"}}'
    error = find_stream_error(data, "")
    assert (error.message, error.type, error.param, error.code) == ("no", "server_error", "n", "c")


@pytest.mark.parametrize(
    "data", [b'{"choices": []}', b'{"note": "error"}', b'["error"]', b'"error']
)
def test_an_event_that_only_mentions_errors_is_none(data):
    assert find_stream_error(data, "") is None


def found_error(operation, body):
    return find_error(operation, ResponseInfo(200, {}), json.dumps(body).encode())


def test_an_error_beside_200_is_found_by_what_the_operation_returns():
    body = {"id": "x-1", "error": {"message": "no", "code": 429}}
    error = found_error("chat.completions.create", body)
    assert (type(error), error.message) == (errors.RateLimitError, "no")
    assert found_error("batches.retrieve", body) is None  # the error is a field of the batch


def test_an_answer_of_an_unexpected_shape_is_left_to_its_decoder():
    assert found_error("chat.completions.create", {"note": "error"}) is None


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"detail": "no such model"}', "no such model"),
        (b'{"errors": ["one", "two"]}', "one; two"),
        (b'{"data": 1}', None),
        (b"[1]", None),
        (b"no such model", None),
    ],
)
def test_the_reason_in_a_body_of_another_shape_is_what_the_service_says(body, reason):
    assert find_reason(body) == reason
