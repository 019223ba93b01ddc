"""The page: record, upload or choose an example; label, transcript and timeline are shown."""

import contextlib
import html
import os
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Before Gradio is imported: it reports its use and asks for its newest version otherwise.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

import gradio
import pandas
from fastapi import FastAPI

from m4ser.demo import answer
from m4ser.inference.inputs import Item
from m4ser.inference.results import Failure

if TYPE_CHECKING:
    from m4ser.inference.recognizer import EmotionRecognizer

ABOUT = ("tag", "protocol", "fusion", "speech_encoder", "text_encoder", "asr")
# Colours of classes, as in the figures of results.
COLOURS = "#4477aa #ee6677 #228833 #b8860b #aa3377 #2aa5b8 #e07b39 #8c6bb1 #7f7f7f #a05a2c".split()
WAITING = 16  # recordings in the queue; the model takes one after the other


def build_page(recognizer: "EmotionRecognizer", uploads: Path, max_bytes: int, here: bool) -> gradio.Blocks:
    """Lay the page out for one recogniser.

    Args:
        recognizer: its `longest` limits the duration.
        uploads: the folder that Gradio keeps uploads in; what is in there is deleted once it has been answered.
        max_bytes: of an upload.
        here: only this machine can reach the page.
    """
    examples = sorted(str(path) for path in Path(str(resources.files("m4ser.demo"))).glob("examples/*.opus"))
    gradio.set_static_paths(examples)  # served as they are, never copied
    colours = {label: COLOURS[number % len(COLOURS)] for number, label in enumerate(recognizer.labels)}

    def nothing() -> dict[Any, Any]:
        return {label: None, text: "", note: "", timeline: gradio.update(visible=False)}

    def predict(path: str | None) -> dict[Any, Any]:
        if path is None:  # the recording was removed
            return nothing()
        file = Path(path)
        try:
            (result,) = recognizer.stream([Item(file.name, file)])
        finally:
            _forget(file, uploads)
        if isinstance(result, Failure):
            raise _error(f"{result.name}: {result.reason}")
        split = answer.is_timeline(result)
        return {
            label: result.probabilities,
            text: answer.words(result),
            note: plain(answer.summary(result)),
            timeline: gradio.update(visible=split),
            plot: pandas.DataFrame(answer.curves(result), columns=list(answer.CURVES)) if split else None,
            table: answer.parts(result) if split else None,
        }

    page = gradio.Blocks(title=answer.TITLE, analytics_enabled=False)
    with page:
        gradio.Markdown(f"# {answer.TITLE}\n{_about(recognizer)}")
        with gradio.Row():
            with gradio.Column():
                recording = gradio.Audio(
                    label="Recording", type="filepath", buttons=[], editable=False, elem_id="recording"
                )
                gradio.Markdown(_limits(recognizer.longest, max_bytes, here))
                if examples:
                    gradio.Examples(
                        examples=examples,
                        inputs=recording,
                        example_labels=[Path(example).stem for example in examples],
                        label="Examples: a synthetic voice, meant to sound",
                        api_visibility="private",
                    )
            with gradio.Column():
                label = gradio.Label(label="Emotion", elem_id="label")
                text = gradio.Textbox(label="Transcript", elem_id="text", interactive=False)
                note = gradio.Markdown(elem_id="note")
        _take_uploads_only(recording, uploads)
        with gradio.Column(visible=False, elem_id="timeline") as timeline:
            plot = gradio.LinePlot(
                x=answer.CURVES[0],
                y=answer.CURVES[1],
                color=answer.CURVES[2],
                color_map=colours,
                y_lim=[0, 1],
                label="Timeline",
                elem_id="plot",
            )
            table = gradio.Dataframe(headers=list(answer.PARTS), interactive=False, wrap=True, elem_id="parts")
        shown: list[Any] = [label, text, note, timeline, plot, table]
        event = recording.change(
            predict,
            inputs=recording,
            outputs=shown,
            api_visibility="private",
            concurrency_limit=1,
            show_progress_on=label,
        )
        event.failure(nothing, outputs=shown, api_visibility="private", show_progress="hidden")
    page.queue(max_size=WAITING)
    return page


def plain(text: str) -> str:
    r"""Markdown that shows a text as it is, on one line: names come from recordings and models.

    >>> plain("a_b <i>")
    'a\\_b \\<i\\>'
    """
    return re.sub(r"([\\`*_\[\]<>&#|~$!])", r"\\\1", " ".join(text.split()))


def mount(page: gradio.Blocks, max_bytes: int) -> FastAPI:
    """The application that serves the page, with everything off that the page does not need.

    Args:
        page: from :func:`build_page`.
        max_bytes: of an upload.
    """
    return gradio.mount_gradio_app(
        FastAPI(docs_url=None, redoc_url=None, openapi_url=None),
        page,
        path="",
        footer_links=[],
        run_history=False,  # nothing is kept in the browser either
        max_file_size=max_bytes,
        ssr_mode=False,
        mcp_server=False,
        enable_monitoring=False,
        pwa=False,
    )


def _take_uploads_only(recording: gradio.Audio, uploads: Path) -> None:
    """Refuse what the page does not send: Gradio would fetch addresses, and read any file for a mounted application."""
    store = recording.async_move_resource_to_block_cache

    async def checked(url_or_file_path: str | Path | None) -> str | None:
        if url_or_file_path is not None and uploads.resolve() not in Path(url_or_file_path).resolve().parents:
            raise _error("only uploads are looked at")
        return await store(url_or_file_path)

    # Not a subclass: Gradio writes a .pyi file beside the module of each.
    recording.async_move_resource_to_block_cache = checked  # type: ignore[method-assign]


def _forget(file: Path, uploads: Path) -> None:
    """Delete a recording that was uploaded, with the folder that Gradio has made for it; leave others alone."""
    if uploads.resolve() in file.resolve().parents:
        with contextlib.suppress(OSError):
            file.unlink()
            file.parent.rmdir()


def _error(reason: str) -> gradio.Error:
    """One line on the page, which stays until it is closed; nothing on the terminal."""
    return gradio.Error(html.escape(" ".join(reason.split())), duration=None, print_exception=False)


def _about(recognizer: "EmotionRecognizer") -> str:
    known: Mapping[str, Any] = {**recognizer.about.get("training", {}), **recognizer.about}  # of an archive, of a run
    about = [f"{key.replace('_', ' ')} {known[key]}" for key in ABOUT if known.get(key) not in (None, "", "none")]
    return plain(", ".join(recognizer.labels) + (f" — {', '.join(about)}" if about else ""))


def _limits(longest: float, max_bytes: int, here: bool) -> str:
    kept = "Nothing leaves this machine." if here else "It is sent to this server, which does not keep it."
    return f"At most {max_bytes / 2**20:g} MB and {answer.length(longest)}. {kept}"
