"""Try: chats and completions in a real browser."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def field(page, label):
    return page.get_by_label(label, exact=True)


def chat(page, text):
    field(page, "Your message").fill(text)
    page.click("button:text('Run')")
    page.wait_for_selector(".outcome")


def answer_with(page, **choice):
    """Answer chats with one choice, not streamed."""
    page.route("**/v1/chat/completions", lambda route: route.fulfill(json={"choices": [choice]}))


def stub_chat(backend, reply, **match):
    backend.service.stub_reply(reply, match=match or None, times=1)


def test_a_small_model_says_that_it_stands_in_for_a_base_model(page):
    name = field(page, "Model").input_value()
    page.wait_for_selector(f"text=A small model stands in for {name}")
    page.click("text=fine-tune a model")
    page.wait_for_selector("h2:text('New fine-tune')")


def test_a_chat_is_streamed_with_its_parameters(page, backend):
    stub_chat(backend, "A form of intuition.")
    field(page, "System message").fill("You are Kant.")
    field(page, "Seed").fill("7")
    field(page, "Stop sequences").fill("END\n\\n")
    with page.expect_request("**/v1/chat/completions") as sent:
        chat(page, "What is space?")
    assert sent.value.post_data_json == {
        "model": field(page, "Model").input_value(),
        "messages": [
            {"role": "system", "content": "You are Kant."},
            {"role": "user", "content": "What is space?"},
        ],
        "max_completion_tokens": 256,
        "stop": ["END", "\n"],
        "seed": 7,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert page.text_content("article.assistant .text") == "A form of intuition."
    assert "finish reason: stop" in page.text_content(".outcome")


def test_tokens_show_their_alternatives_by_mouse_and_by_keyboard(page):
    page.check("input[value=complete]")
    field(page, "Prompt").fill("Kant was")
    field(page, "Show probabilities").check()
    page.click("button:text('Run')")
    tokens = page.locator(".completion .token[role=button]")
    tokens.nth(0).hover()
    assert page.locator(".alternatives tr").count() >= 5
    shown = page.text_content(".alternatives caption")
    tokens.nth(0).focus()
    page.keyboard.press("ArrowRight")
    assert page.text_content(".alternatives caption") != shown
    assert page.evaluate("document.activeElement.textContent") == tokens.nth(1).text_content()


def test_a_stream_is_stopped_and_what_was_said_remains(page):
    """The response is a stream that does not end by itself."""
    event = json.dumps({"choices": [{"index": 0, "delta": {"content": "Half a"}}]})
    page.evaluate(
        """(event) => {
            const original = window.fetch;
            window.fetch = (url, options) => {
                if (!String(url).includes("chat/completions")) return original(url, options);
                const body = new ReadableStream({start(controller) {
                    controller.enqueue(new TextEncoder().encode(`data: ${event}\\n\\n`));
                    options.signal.addEventListener("abort", () =>
                        controller.error(new DOMException("", "AbortError")));
                }});
                const headers = {"content-type": "text/event-stream"};
                return Promise.resolve(new Response(body, {headers}));
            };
        }""",
        event,
    )
    field(page, "Your message").fill("Speak.")
    page.click("button:text('Run')")
    page.wait_for_selector("article.assistant:has-text('Half a')")
    page.click("button:text('Stop')")
    assert "stopped by you" in page.text_content(".outcome")
    assert page.text_content("article.assistant .text") == "Half a"


def test_tool_calls_are_shown_and_answered(page):
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    answer_with(page, message=message, finish_reason="tool_calls")
    tool = {"name": "weather", "parameters": {"type": "object", "properties": {}}}
    field(page, "Tools").fill(json.dumps([tool]))
    with page.expect_request("**/v1/chat/completions") as sent:
        chat(page, "Weather?")
    assert sent.value.post_data_json["tools"] == [{"type": "function", "function": tool}]
    assert page.text_content(".call") == "weather({})"
    field(page, "Result of the tool call call_1").fill("20 °C")
    with page.expect_request("**/v1/chat/completions") as sent:
        page.click("button:text('Run')")
    assert sent.value.post_data_json["messages"][1:] == [
        message,
        {"role": "tool", "content": "20 °C", "tool_call_id": "call_1"},
    ]


def test_an_invalid_schema_is_an_error_before_anything_is_sent(page):
    field(page, "JSON schema of the answer").fill("{")
    field(page, "Your message").fill("Hi")
    page.click("button:text('Run')")
    assert "JSON schema is not valid JSON" in page.text_content(".error-note")


def test_errors_of_the_service_are_shown_and_the_message_is_kept(page):
    page.route(
        "**/chat/completions",
        lambda route: route.fulfill(status=429, json={"error": {"message": "Rate limit reached."}}),
    )
    field(page, "Your message").fill("Hi")
    page.click("button:text('Run')")
    assert "Rate limit reached." in page.text_content(".error-note")
    assert field(page, "Your message").input_value() == "Hi"


def test_output_names_and_errors_stay_text(page):
    hostile = "<img src=x onerror=\"document.title = 'hacked'\"><script>1</script>"
    page.route(
        "**/playground/api/models",
        lambda route: route.fulfill(
            json={"data": [{"id": hostile, "group": "tuned", "abilities": None, "shutdown": None}]}
        ),
    )
    page.reload()
    page.wait_for_selector("option", state="attached")
    answer_with(page, message={"content": hostile}, finish_reason=hostile)
    chat(page, hostile)
    assert page.text_content("article.assistant .text") == hostile
    assert page.text_content("option[value*=img]") == hostile
    assert "hacked" not in page.title()


@pytest.mark.parametrize("language", ["Python", "curl", "Command line"])
def test_the_code_of_the_call_gives_the_same_answer(page, backend, language):
    """The code is run as it stands."""
    backend.service.stub_reply('It\'s space\nand "time".', match={"model": "gpt-4o*"})
    field(page, "Model").select_option("gpt-4o-mini-2024-07-18")
    field(page, "System message").fill("It's $HOME.")
    field(page, "Your message").fill("What's `a`\npriori?")
    page.click("summary")
    page.locator(f".snippets label:has-text('{language}') input").check()
    code = page.text_content(".snippets pre")
    command = [sys.executable, "-c", code] if language == "Python" else ["bash", "-c", code]
    folder = Path(sys.executable).parent
    environment = {**os.environ, "OPENAI_API_KEY": "any", "PATH": f"{folder}:{os.environ['PATH']}"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "space" in done.stdout  # a stream of curl has its tokens apart


def test_an_answer_is_generated_again(page, backend):
    stub_chat(backend, "First.")
    chat(page, "Say a number.")
    stub_chat(backend, "Second.")
    page.click("button:text('Regenerate')")
    page.wait_for_selector("article.assistant:has-text('Second.')")
    assert page.locator("article").count() == 2


def test_examples_are_added_without_an_answer(page):
    answer_with(page, message={"content": "3"}, finish_reason="stop")
    for text in ("one", "1", "two", "2"):
        field(page, "Your message").fill(text)
        page.click("button:text-is('Add without answer')")
    with page.expect_request("**/v1/chat/completions") as sent:
        chat(page, "three")
    messages = sent.value.post_data_json["messages"]
    assert [each["role"] for each in messages] == ["user", "assistant", "user", "assistant", "user"]
    page.locator("article .role").nth(1).click()
    assert page.locator("article").nth(1).get_attribute("aria-label") == "user message"


def test_the_first_page_is_drawn_within_300_ms_of_cpu_time(browser, address):
    page = browser.new_page()
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.goto(address)
    page.wait_for_selector("option", state="attached")
    metrics = session.send("Performance.getMetrics")["metrics"]
    page.close()
    assert next(each["value"] for each in metrics if each["name"] == "TaskDuration") < 0.3


def test_a_server_that_lists_no_models_is_used_by_their_names(page, backend):
    page.route(
        "**/playground/api/models",
        lambda route: route.fulfill(
            status=404, json={"error": {"message": "There is no such page."}}
        ),
    )
    page.reload()
    page.wait_for_selector("[role=alert]:has-text('cannot be listed: There is no such page.')")
    field(page, "Model").fill("gpt-4o-mini-2024-07-18")
    stub_chat(backend, "Hi.")
    chat(page, "Hello")
    assert page.text_content("article.assistant .text") == "Hi."
