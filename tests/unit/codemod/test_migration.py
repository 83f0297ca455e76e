"""Code of the official SDK becomes code of tunesmith; what cannot be translated is listed."""

import textwrap
from pathlib import Path

import pytest

from tunesmith._sdk_names import ABSENT, INSTEAD
from tunesmith.codemod.migration import migrate_source

OFFICIAL = Path(__file__).with_name("official.py")
MIGRATED = Path(__file__).parents[2] / "typing" / "migrated.py"


def migrate(code):
    migration = migrate_source(textwrap.dedent(code).encode())
    compile(migration.new, "app.py", "exec")
    return migration


def body_of(code):
    """Migrate statements of an asynchronous function; return those after the client."""
    lines = textwrap.indent(textwrap.dedent(code).strip(), "    ")
    before = "from openai import AsyncOpenAI\n\n\nasync def main(client: AsyncOpenAI):\n"
    migration = migrate(f"{before}{lines}\n")
    new = migration.new.partition("async def main(client: AsyncClient):\n")[2]
    return textwrap.dedent(new).strip(), [finding.hint for finding in migration.findings]


def test_an_application_is_translated_as_a_whole():
    """The result is checked by mypy and pyright; see tests/typing."""
    migration = migrate_source(OFFICIAL.read_bytes())
    assert migration.findings == ()
    assert migration.new == MIGRATED.read_text()
    assert migrate_source(migration.new.encode()).new == migration.new


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("from openai import AsyncOpenAI as A", "from tunesmith import AsyncClient as A"),
        ("from openai import APIError as E", "from tunesmith import APIError as E"),
        ("from openai import OpenAIError", "from tunesmith import TunesmithError as OpenAIError"),
        ("from openai.types import Batch", "from tunesmith.types import Batch"),
        ("from openai._exceptions import APIError", "from tunesmith import APIError"),
        ("import openai\ne = openai.APIError", "import tunesmith\ne = tunesmith.APIError"),
        ("import openai as ai\ne = ai.APIError", "import tunesmith\ne = tunesmith.APIError"),
        ("from openai import BaseModel\nBaseModel", "from pydantic import BaseModel\nBaseModel"),
        ("import openai\nopenai.types.Batch", "import tunesmith.types\ntunesmith.types.Batch"),
        (
            "from openai.types.chat import ChatCompletionMessageToolCall as Call\nc: Call",
            "from tunesmith.types import ChatCompletionMessageFunctionToolCall as Call\nc: Call",
        ),
        (
            """
            from httpx import AsyncClient
            from openai import AsyncOpenAI
            c = AsyncOpenAI()
            """,
            """
            from httpx import AsyncClient
            from tunesmith import AsyncClient as AsyncOpenAI
            c = AsyncOpenAI()
            """,
        ),
        ("from openai import NotGiven\nx: int | NotGiven = NotGiven()", "x: int | None = None"),
        (
            """
            import openai
            from openai import AsyncOpenAI as A, AsyncOpenAI
            def f(a: 'AsyncOpenAI | None', b: 'openai.APIError', c: 'str', d: 'A'):
                a.files.list(stream=False)
            """,
            """
            import tunesmith
            from tunesmith import AsyncClient, AsyncClient as A
            def f(a: 'AsyncClient | None', b: 'tunesmith.APIError', c: 'str', d: 'A'):
                a.files.list()
            """,
        ),
        ("if 1:\n    from openai import NotGiven\nx: NotGiven", "if 1:\n    pass\nx: None"),
    ],
)
def test_imports_and_references_are_renamed(old, new):
    migration = migrate(old)
    assert (migration.new, migration.findings) == (textwrap.dedent(new), ())


def test_names_that_stay_are_still_imported():
    migration = migrate("import openai\nprint(openai.APIError, openai.Audio)")
    assert migration.new == (
        "import tunesmith\nimport openai\nprint(tunesmith.APIError, openai.Audio)"
    )
    (finding,) = migration.findings
    assert (finding.line, finding.code) == (2, "openai.Audio")
    assert finding.hint == ABSENT["openai"]["Audio"]


def test_the_azure_client_becomes_a_backend():
    migration = migrate(
        """
        from openai import AsyncAzureOpenAI
        a = AsyncAzureOpenAI(azure_endpoint="https://a", api_version="1", api_key="k", timeout=5)
        b = AsyncAzureOpenAI()
        """
    )
    backend = 'AzureBackend(endpoint="https://a", api_version="1", api_key="k")'
    assert migration.new.splitlines()[1:] == [
        "from tunesmith import AsyncClient, AzureBackend",
        f"a = AsyncClient(backend={backend}, timeout=5)",
        "b = AsyncClient(backend=AzureBackend())",
    ]
    assert [finding.line for finding in migration.findings] == [4]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            "s = await client.responses.create(model='m', stream=True)\nasync for e in s:\n    e",
            "async with client.responses.stream(model='m') as s:\n    async for e in s:\n        e",
        ),
        (
            "async for e in await client.completions.create(stream=True):\n    e",
            """
            async with client.completions.stream() as stream:
                async for e in stream:
                    e
            """,
        ),
        (
            "s = await client.responses.create(stream=True)\nreturn [e async for e in s]",
            "async with client.responses.stream() as s:\n    return [e async for e in s]",
        ),
        (
            "async with await client.responses.retrieve('r', stream=True) as s:\n    s",
            "async with client.responses.follow('r') as s:\n    s",
        ),
        (
            "await client.beta.chat.completions.parse(model='m')",
            "await client.chat.completions.parse(model='m')",
        ),
        ("await client.responses.create(stream=False)", "await client.responses.create()"),
        ("await client.files.retrieve_content('f')", "await client.files.content('f').text()"),
        ("(await client.files.content('f')).content", "await client.files.content('f').read()"),
        (
            "c = await client.files.content('f')\nprint(c.read(), c.text)",
            "c = client.files.content('f')\nprint(await c.read(), await c.text())",
        ),
        (
            "await client.responses.create(model='m', messages=[], max_tokens=4)",
            "await client.responses.create(model='m', input=[], max_output_tokens=4)",
        ),
        (
            "client.models.with_raw_response.list(timeout=__import__('httpx').Timeout(5))",
            "client.models.with_raw_response.list(timeout=__import__('httpx').Timeout(5))",
        ),
    ],
)
def test_calls_are_rewritten(old, new):
    assert body_of(old) == (textwrap.dedent(new).strip(), [])


def test_members_that_streams_do_not_have_are_listed():
    new, hints = body_of(
        """
        s = await client.responses.create(model="m", stream=True)
        async for event in s:
            await s.close()
        """
    )
    assert new.startswith("async with client.responses.stream(")
    assert hints == [f"write {INSTEAD['stream']['close']}"]


def test_attributes_of_errors_are_renamed_or_listed():
    new, hints = body_of(
        """
        try:
            await client.models.list()
        except __import__("openai").APIError as e:
            print(e.http_status)
        """
    )
    assert "e.http_status" in new
    migration = migrate(
        """
        import openai
        try:
            ...
        except openai.APIStatusError as e:
            print(e.http_status, e.response.status_code, e.response.json(), other.http_status)
        """
    )
    assert "print(e.status, e.status_code, e.response.json(), other.http_status)" in migration.new
    (finding,) = migration.findings
    assert finding.hint == f"write {INSTEAD['error']['response']}"
    assert hints == []


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("return await client.responses.create(model='m', stream=True)", "around all uses"),
        ("s = await client.responses.create(stream=True)\nreturn s", "around all uses"),
        (
            """
            s = await client.responses.create(stream=True)
            async def f():
                async for e in s:
                    yield e
            return f()
            """,
            "write async with client.responses.stream(…) as stream around all uses of the stream",
        ),
        ("await client.responses.create(stream=flag)", "or async with stream(…) for a stream"),
        ("client.images.generate(prompt='x')", "tunesmith does not cover this part of the API"),
        ("client.beta.threads.create()", "tunesmith does not cover this part of the API"),
        ("client.beta.foo()", "without beta"),
        ("print(client.base_url)", "write client.backend.base_url"),
        ("client.chat.completions.with_streaming_response.create()", "write ….stream(…)"),
        ("client.chat.completions.stream(model='m')", "write chunk.choices[0].delta"),
        ("await client.chat.completions.create(zzz=1)", "write extra_body={'zzz': …}"),
        ("await client.responses.create(text_format=C)", "write client.responses.parse(…)"),
        ("c = await client.files.content('f')\nreturn c", "without awaiting the content"),
        ("while page.has_next_page(): ...", "write page.has_more"),
        ("page = await page.get_next_page()", "write page.next_page()"),
        ("client.files.list().iter_pages()", "write page.next_page() in a loop"),
        ("print('openai.AsyncOpenAI')", "names of the official SDK in texts"),
        ("client.fine_tuning.jobs.nothing()", "the client has no fine_tuning.jobs.nothing"),
    ],
)
def test_what_cannot_be_translated_is_listed_with_what_to_write(code, hint):
    new, hints = body_of(code)
    assert [hint in found for found in hints] == [True]
    assert new == textwrap.dedent(code).strip()


@pytest.mark.parametrize(
    ("imports", "use", "hint"),
    [
        ("from openai import OpenAI", "OpenAI", INSTEAD["openai"]["OpenAI"]),
        ("import openai", "openai.api_key", INSTEAD["openai"]["api_key"]),
        ("import openai", "openai.ChatCompletion", INSTEAD["openai"]["ChatCompletion"]),
        ("import openai", "openai.chat", INSTEAD["openai"]["chat"]),
        ("from openai.types.evals import X", "X", "tunesmith.types has no such type"),
        ("from openai import helpers", "helpers", "modules of the official SDK are not translated"),
        ("from openai import Novelty", "Novelty", "tunesmith has no such name"),
        ("import openai", "openai.DEFAULT_TIMEOUT", INSTEAD["openai"]["DEFAULT_TIMEOUT"]),
    ],
)
def test_names_without_an_equal_are_listed_and_stay(imports, use, hint):
    code = f"{imports}\nx = {use}"
    migration = migrate(code)
    (finding,) = migration.findings
    assert (finding.line, finding.code) == (2, use)
    assert hint in finding.hint
    assert migration.new == code


@pytest.mark.parametrize(
    ("code", "path"),
    [
        ("import openai.lib.streaming as s", "openai.lib.streaming"),
        ("from openai.lib import streaming", "openai.lib.streaming"),
        ("from openai import AssistantEventHandler as A", "openai.AssistantEventHandler"),
        ("from openai.helpers import LocalAudioPlayer", "openai.helpers.LocalAudioPlayer"),
    ],
)
def test_unused_imports_without_an_equal_are_listed(code, path):
    (finding,) = migrate(code).findings
    assert (finding.line, finding.code) == (1, path)


def test_methods_of_pages_of_others_are_not_listed():
    assert migrate("import notion\npage.has_next_page()").findings == ()


SYNCHRONOUS = """
from openai import OpenAI, RateLimitError

client = OpenAI()


def ask():
    try:
        client.chat.completions.create(model="m", messages=[])
    except RateLimitError:
        for event in client.responses.create(model="m", stream=True):
            print(event)
    client.with_options(timeout=3).images.generate()
    client.webhooks.unwrap(b"", {})
"""


def test_a_synchronous_module_is_unchanged_and_each_call_is_listed():
    """Its functions would have to become asynchronous, and with them all that call them."""
    migration = migrate(SYNCHRONOUS)
    assert migration.new == SYNCHRONOUS
    assert [(finding.line, finding.hint) for finding in migration.findings] == [
        (4, f"write {INSTEAD['openai']['OpenAI']}"),
        (9, "write await client.chat.completions.create(…), in an async function"),
        (11, "write async with client.responses.stream(…) as stream, in an async function"),
        (13, ABSENT["client"]["images"]),
    ]


def test_a_module_with_both_clients_is_translated_where_it_is_asynchronous():
    migration = migrate(
        """
        from openai import AsyncOpenAI, OpenAI, RateLimitError
        a, s = AsyncOpenAI(), OpenAI()
        client = AsyncOpenAI()
        async def ask():
            try:
                await client.beta.chat.completions.parse()
            except RateLimitError:
                pass
        """
    )
    lines = migration.new.splitlines()
    assert lines[1:3] == [
        "from tunesmith import AsyncClient",
        "from openai import OpenAI, RateLimitError",
    ]
    assert "        await client.chat.completions.parse()" in lines
    assert [finding.hint for finding in migration.findings][1:] == [
        "both clients are used; for this one, write tunesmith.RateLimitError"
    ]


def test_other_modules_and_formatting_are_unchanged():
    code = "import os\r\nfrom  openai import APIError  # client\r\nx = {'openai' :1}\r\n"
    new = migrate_source(code.encode()).new
    assert new == code.replace("from  openai", "from tunesmith")
    other = (
        "import httpx\nclient = httpx.AsyncClient()\nclient.chat.completions.create(stream=True)\n"
    )
    assert migrate_source(other.encode()).new == other
