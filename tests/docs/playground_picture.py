"""Picture of the playground for the documentation: a job with its curves.

python -m tests.docs.playground_picture     writes docs/assets/playground.png
"""

import shutil
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright
from tests.playground.conftest import new_app, new_backend, serving

from tunesmith.service.http.uvicorn_server import bind_socket

PICTURE = Path(__file__).parents[2] / "docs" / "assets" / "playground.png"
SIZE = {"width": 1280, "height": 860}


def take() -> bytes:
    """Fine-tune on the example, and return a picture of the job."""
    with sync_playwright() as started:
        chromium = started.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = chromium.new_page(viewport=SIZE, timezone_id="UTC")
        page.goto("http://127.0.0.1:8000/#/fine-tune/new")
        page.click("text=Use the example")
        page.get_by_label("Validation").select_option("0.1")
        page.get_by_label("Batch size").fill("4")
        page.get_by_label("Suffix of the new name").fill("kant")
        page.wait_for_selector(".example")
        page.click("button:text('Start fine-tuning')")
        page.wait_for_selector(".title .state:text('succeeded')")
        page.wait_for_selector(".checkpoints .buttons")
        page.wait_for_selector("polyline[stroke-dasharray]")
        return page.screenshot()


def main() -> None:
    """Write the picture with few colours, so that it is small."""
    with bind_socket(port=8000) as listener, serving(new_app(new_backend()), listener):
        picture = Image.open(BytesIO(take()))
    picture.convert("P", palette=Image.Palette.ADAPTIVE, colors=128).save(PICTURE, optimize=True)


if __name__ == "__main__":
    main()
