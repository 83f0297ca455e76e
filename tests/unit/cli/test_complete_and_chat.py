"""`tunesmith complete` and `tunesmith chat`."""

import json

import pytest

from tunesmith import MemoryBackend


@pytest.fixture
def service(client_of):
    """A service in memory with stubbed responses."""
    return client_of(MemoryBackend()).service


@pytest.mark.slow
def test_a_tuned_model_completes_its_training_data(run, tuned):
    model = tuned["fine_tuned_model"]
    result = run(rf"complete -m {model} 'What is 7? ->' -t 0 --stop '\n'")
    assert result.stdout == " The number 7.\n"
    streamed = run(rf"complete -m {model} 'What is 7? ->' -t 0 --stop '\n' --stream")
    assert streamed.stdout == result.stdout


def test_the_prompt_may_come_from_a_pipe(run, service):
    service.stub_reply(lambda operation: f"<{operation.prompt}>")
    assert run("complete -m davinci-002 -", "a\nb").stdout == "<a\nb>\n"
    service.stub_reply(lambda operation: f"<{operation.messages[-1]['content']}>")
    assert run("chat -m gpt-4.1 -", "c").stdout == "<c>\n"


@pytest.mark.parametrize("prompt", ["-", "Kant\udcff"])
def test_a_prompt_that_is_not_utf8_is_a_usage_error(run, service, prompt):
    result = run(f"complete -m davinci-002 {prompt}", answers=b"Kant\xff")
    assert result.exit_code == 2
    assert "The prompt is not valid UTF-8." in result.stderr


def test_several_completions_have_headings(run, service):
    service.stub_reply("Yes.")
    shown = run("complete -m davinci-002 a -n 2").stdout
    assert shown == "===== Completion 1 =====\nYes.\n===== Completion 2 =====\nYes.\n"
    assert run("complete -m davinci-002 a -n 2 --stream").exit_code == 2


def test_options_reach_the_service(run, service):
    operations = []
    service.stub_reply(operations.append)
    run(
        r"complete -m davinci-002 a -M 3 -t 0.5 -P 0.9 --stop '\n' --stop '\\n' --seed 4 --echo "
        "--logprobs 2"
    )
    run("chat -m gpt-4.1 a --system b -M 3 -t 0.5")
    completion, chat = operations
    assert completion.stop == ["\n", r"\n"]
    assert (completion.max_tokens, completion.temperature, completion.top_p) == (3, 0.5, 0.9)
    assert (completion.seed, completion.echo, completion.logprobs) == (4, True, 2)
    assert [message["role"] for message in chat.messages] == ["system", "user"]
    assert (chat.max_completion_tokens, chat.temperature) == (3, 0.5)


def test_json_is_the_response_or_an_event_per_line(run, service):
    service.stub_reply("One two three.")
    answer = json.loads(run("complete -m davinci-002 a --json").stdout)
    assert answer["choices"][0]["text"] == "One two three."
    events = run("chat -m gpt-4.1 a --stream --json").stdout.splitlines()
    parts = [json.loads(event)["choices"][0]["delta"].get("content") for event in events]
    assert "".join(filter(None, parts)) == "One two three."


@pytest.mark.parametrize("stream", ["", "--stream"])
def test_a_conversation_ends_at_an_empty_line(run, service, stream):
    service.stub_reply(lambda operation: f"{len(operation.messages)} so far.")
    result = run(f"chat -m gpt-4.1 {stream}", "Hello\nAnd now?\n\nnever read\n")
    assert result.exit_code == 0, result.output
    assert result.stdout == "1 so far.\n3 so far.\n"


def test_a_conversation_ends_with_the_input(run, service):
    service.stub_reply("Yes.")
    assert run("chat -m gpt-4.1", "Hello\n").exit_code == 0


def test_a_conversation_has_no_json(run, service):
    assert run("chat -m gpt-4.1 --json").exit_code == 2


def test_a_fifth_stop_is_a_usage_error(run, service):
    assert run(f"complete -m davinci-002 a {'--stop a ' * 5}").exit_code == 2
