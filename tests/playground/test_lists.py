"""Files, batches, and lists that are long."""

import json

import pytest

pytestmark = pytest.mark.slow


def upload(page, selector, name, rows):
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    file = {"name": name, "mimeType": "application/jsonl", "buffer": content}
    page.set_input_files(selector, file)


def test_files_are_uploaded_previewed_and_deleted(page, address):
    page.goto(f"{address}#/files")
    upload(page, "#upload", "a<b>.jsonl", [{"prompt": "a", "completion": "<b>"}] * 10)
    page.click("button.link:text('a<b>.jsonl')")
    page.wait_for_selector('pre:has-text(\'"completion": "<b>"\')')
    page.on("dialog", lambda dialog: dialog.accept())
    page.click("button:text('Delete')")
    page.wait_for_selector("button.link:text('a<b>.jsonl')", state="detached")


def test_a_batch_shows_its_progress_and_its_errors_by_cause(page, address, backend):
    backend.service.stub_reply("Hi.", match={"model": "gpt-4o*"})
    page.goto(f"{address}#/batches")
    rows = [
        {
            "custom_id": f"row-{i}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {
                "model": "gpt-4o-mini-2024-07-18",
                "messages": [{"role": "user", "content": "Hi"}],
                **({"temperature": 9} if i > 6 else {}),
            },
        }
        for i in range(10)
    ]
    upload(page, "#batch", "batch.jsonl", rows)
    page.wait_for_selector(".title .state:text('completed')")
    assert "10 / 10 · 3 failed" in page.text_content(".progress")
    cause = page.locator(".causes .body [role=row]").first
    assert cause.locator("[role=cell]").nth(0).text_content() == "3"
    assert "400" in cause.locator("[role=cell]").nth(1).text_content()
    with page.expect_download() as download:
        page.click("button:text('Download results')")
    assert len(download.value.path().read_text().splitlines()) == 7


def serve_pages(page, pattern, make, total):
    """Serve a list of many records, page by page, as the API does."""

    def answer(route):
        query = dict(pair.split("=") for pair in route.request.url.split("?")[1].split("&"))
        start = int(query["after"].rsplit("-", 1)[1]) + 1 if "after" in query else 0
        stop = min(start + int(query["limit"]), total)
        data = [make(i) for i in range(start, stop)]
        route.fulfill(json={"object": "list", "data": data, "has_more": stop < total})

    page.route(pattern, answer)


def make_file(i):
    return {
        "id": f"file-{i}",
        "filename": f"file {i}.jsonl",
        "purpose": "fine-tune",
        "bytes": 1,
        "created_at": 1,
        "status": "processed",
    }


def test_ten_thousand_files_are_loaded_while_one_scrolls_and_few_are_rendered(page, address):
    serve_pages(page, "**/v1/files?**", make_file, total=10_000)
    page.goto(f"{address}#/files")
    table = page.locator(".files .body")
    for thousands in range(1, 11):
        page.wait_for_selector(f"text={thousands},000")
        table.evaluate("table => { table.scrollTop = table.scrollHeight; }")
    page.wait_for_selector("text=file 9999.jsonl")
    assert page.locator(".files .body [role=row]").count() < 60


def test_rows_take_more_room_when_the_window_becomes_narrow(page, address):
    serve_pages(page, "**/v1/files?**", make_file, total=3)
    page.goto(f"{address}#/files")
    second = page.locator(".files .body [role=row]").nth(1)
    second.wait_for()
    for width, height in [(1400, 36), (400, 56), (1400, 36)]:
        page.set_viewport_size({"width": width, "height": 800})
        page.wait_for_function(
            "h => document.querySelector('.files .body .row').offsetHeight === h", arg=height
        )
        assert (
            second.evaluate(
                "row => row.offsetTop || new DOMMatrix(getComputedStyle(row).transform).f"
            )
            == height
        )


def test_a_list_of_a_million_rows_renders_in_a_frame_or_two(page):
    """The table of the events, with a million of them in memory."""
    longest = page.evaluate(
        """async () => {
            const { html, render, VirtualTable } = await import("/playground/ui.js");
            const row = (_, i) => ({ id: `e${i}`, message: `Step ${i}` });
            const rows = Array.from({ length: 1_000_000 }, row);
            const columns = [{ name: "Event", cell: (row) => row.message }];
            const box = document.createElement("div");
            document.body.append(box);
            render(html`<${VirtualTable} label="Events" columns=${columns} rows=${rows} />`, box);
            const body = box.querySelector(".body");
            const frame = () =>
                new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
            let longest = 0;
            for (let i = 0; i <= 20; i++) {
                const start = performance.now();
                body.scrollTop = (body.scrollHeight - body.clientHeight) * i / 20;
                body.dispatchEvent(new Event("scroll"));
                await frame();
                longest = Math.max(longest, performance.now() - start);
            }
            const last = [...box.querySelectorAll(".body [role=row]")].at(-1).textContent;
            render(null, box);
            box.remove();
            return [longest, last];
        }"""
    )
    assert longest[1] == "Step 999999"
    assert longest[0] < 500  # milliseconds, on a machine that does other work too
