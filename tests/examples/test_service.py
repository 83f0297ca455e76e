"""The example of a service that embeds tunesmith."""

import json

import httpx
import pytest

from tunesmith.webhooks import sign


@pytest.fixture
def http(address):
    with httpx.Client(base_url=address, timeout=60) as http:
        yield http


def lines(answer):
    return [json.loads(line) for line in answer.text.splitlines()]


def test_a_job_is_followed_and_its_model_completes_its_training_data(http):
    job = http.post("/fine-tunes").json()
    *events, end = lines(http.get(f"/fine-tunes/{job['id']}/events"))
    assert events[0]["message"] == f"Created fine-tuning job: {job['id']}"
    assert end["status"] == "succeeded"
    assert end["model"] in http.get("/models").json()
    asked = {"model": end["model"], "prompt": "Several concepts are a priori such as"}
    said = "".join(line["text"] for line in lines(http.post("/complete", json=asked)))
    assert said == " space, time, substance, causality, possibility and necessity."


def test_errors_are_reported_without_a_traceback(http):
    (line,) = lines(http.post("/complete", json={"model": "nobody", "prompt": "Kant"}))
    assert "The model 'nobody' does not exist" in line["error"]
    (line,) = lines(http.get("/fine-tunes/ftjob-nobody/events"))
    assert "Could not find fine tune" in line["error"]


def test_a_webhook_needs_the_signature_of_the_service(http, webhook_secret):
    body = '{"id":"evt_1","type":"batch.completed","created_at":1,"data":{"id":"batch_1"}}'
    signed = sign(body, "wh_1", secret=webhook_secret)
    assert http.post("/webhooks", content=body, headers=signed).json() == {
        "heard": "batch.completed"
    }
    forged = http.post("/webhooks", content=body.replace("batch_1", "batch_2"), headers=signed)
    assert forged.status_code == 400
    assert "signature is wrong" in forged.json()["error"]
