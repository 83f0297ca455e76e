"""Webhooks: which are believed, and how they are read."""

import base64
import json
import traceback

import httpx
import pytest
import starlette.datastructures
from hypothesis import given, strategies as st

from tunesmith import ConfigurationError, InvalidRequestError
from tunesmith.webhooks import InvalidWebhookSignatureError, sign, unwrap, verify

SECRET = "whsec_" + base64.b64encode(b"a secret of a service").decode()
NOW = 1_700_000_000
BODY = (
    '{"object":"event","id":"evt_1","type":"batch.completed","created_at":1700000000,'
    '"data":{"id":"batch_1"}}'
)


def read(body=BODY, headers=None, now=NOW, **options):
    headers = sign(BODY, "wh_1", secret=SECRET, now=NOW) if headers is None else headers
    return unwrap(body, headers, secret=SECRET, now=now, **options)


def test_an_event_is_read():
    event = read()
    assert (event.type, event.data.id) == ("batch.completed", "batch_1")
    assert event.is_about_a_batch
    assert not event.is_about_a_job
    assert event.created_datetime.year == 2023


def test_the_signature_is_that_of_standard_webhooks():
    """The example of the specification."""
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    verify('{"test": 2432232314}', headers, secret=secret, now=1614265330)


@pytest.mark.parametrize("kind", ["fine_tuning.job.succeeded", "something.new"])
def test_events_of_other_kinds_are_read_too(kind):
    body = BODY.replace("batch.completed", kind)
    event = read(body, sign(body, "wh_1", secret=SECRET, now=NOW))
    assert event.type == kind
    assert event.is_about_a_job == kind.startswith("fine_tuning")


def test_names_of_headers_may_be_in_any_case():
    headers = {name.title(): v for name, v in sign(BODY, "w", secret=SECRET, now=NOW).items()}
    assert read(headers=headers).id == "evt_1"


@pytest.mark.parametrize(
    "convert",
    [
        httpx.Headers,
        starlette.datastructures.Headers,
        lambda headers: list(headers.items()),
        lambda headers: [(name.encode(), value.encode()) for name, value in headers.items()],
        lambda headers: headers.items(),
    ],
    ids=["httpx", "starlette", "pairs", "asgi", "items"],
)
def test_headers_may_be_those_of_a_web_framework(convert):
    assert read(headers=convert(sign(BODY, "wh_1", secret=SECRET, now=NOW))).id == "evt_1"


@pytest.mark.parametrize("headers", [["webhook-id", "wh_1"], 7, [("webhook-id",)]])
def test_headers_of_another_type_are_an_error(headers):
    with pytest.raises(InvalidRequestError, match="headers must be a mapping, or pairs of names"):
        read(headers=headers)


def test_one_right_signature_among_several_is_enough():
    headers = sign(BODY, "wh_1", secret=SECRET, now=NOW)
    headers["webhook-signature"] = f"v2,new v1,b2xk {headers['webhook-signature']}"
    assert read(headers=headers).id == "evt_1"


@given(at=st.integers(0, len(BODY) - 1))
def test_whatever_is_changed_in_the_body_is_noticed(at):
    changed = BODY[:at] + chr(ord(BODY[at]) ^ 1) + BODY[at + 1 :]
    with pytest.raises(InvalidWebhookSignatureError, match="signature is wrong"):
        read(changed)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("webhook-id", "wh_2"),
        ("webhook-timestamp", str(NOW + 1)),
        ("webhook-signature", "v1,"),
        ("webhook-signature", "größe"),
    ],
)
def test_a_header_of_another_webhook_is_noticed(name, value):
    headers = sign(BODY, "wh_1", secret=SECRET, now=NOW) | {name: value}
    with pytest.raises(InvalidWebhookSignatureError, match="signature is wrong"):
        read(headers=headers)


def test_a_secret_of_another_endpoint_is_noticed_and_not_told():
    other = "whsec_" + base64.b64encode(b"another secret").decode()
    with pytest.raises(InvalidWebhookSignatureError) as error:
        unwrap(BODY, sign(BODY, "wh_1", secret=other, now=NOW), secret=SECRET, now=NOW)
    assert SECRET not in "".join(traceback.format_exception(error.value))


@pytest.mark.parametrize("age", [301, -301])
def test_a_webhook_that_was_kept_back_is_refused(age):
    with pytest.raises(
        InvalidWebhookSignatureError, match=r"301 s (old|early), and 300 s are allowed"
    ):
        read(now=NOW + age)
    assert read(now=NOW + age, tolerance=400).id == "evt_1"


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_what_is_not_signed_is_refused_with_the_header_that_is_missing(name):
    headers = sign(BODY, "wh_1", secret=SECRET, now=NOW)
    del headers[name]
    with pytest.raises(InvalidWebhookSignatureError, match=name):
        read(headers=headers)


@pytest.mark.parametrize("body", ["", "[]", "{", '{"id":"evt_1"}'])
def test_what_is_signed_and_no_event_is_refused_with_the_reason(body):
    with pytest.raises(InvalidWebhookSignatureError, match="is not an event"):
        read(body, sign(body, "wh_1", secret=SECRET, now=NOW))


@pytest.mark.parametrize("data", [None, [], {"call_id": "rtc_1"}])
def test_an_event_about_an_object_of_another_kind_is_accepted(data):
    body = json.dumps({"id": "evt_1", "type": "realtime.call.incoming", "data": data})
    event = read(body, sign(body, "wh_1", secret=SECRET, now=NOW))
    assert (event.type, event.data.id) == ("realtime.call.incoming", "")
    assert event.data.model_extra == (data or {})


def test_an_event_without_data_is_accepted():
    body = '{"type": "some.new.kind"}'
    assert read(body, sign(body, "wh_1", secret=SECRET, now=NOW)).data.id == ""


@pytest.mark.parametrize("secret", [None, "", "whsec_", "whsec_not base64!", "größe"])
def test_a_secret_that_is_none_is_an_error_of_ones_own(secret):
    with pytest.raises(ConfigurationError, match="webhook secret") as error:
        verify(BODY, sign(BODY, "wh_1", secret=SECRET, now=NOW), secret=secret, now=NOW)
    assert not secret or secret not in str(error.value) or secret == "whsec_"
