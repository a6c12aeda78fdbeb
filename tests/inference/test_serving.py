import base64
import io
import json
import struct
import zlib

import httpx
import openai
import pytest
from PIL import Image
from served_model import serve_in_threads

from modeling_florenz import Captioner
from modeling_florenz.inference.captioner import SAMPLE_IMAGE


PNG = "data:image/png;base64,"
SAMPLE = PNG + base64.b64encode(SAMPLE_IMAGE.read_bytes()).decode()
IMAGE_PART = {"type": "image_url", "image_url": {"url": SAMPLE}}


@pytest.fixture(scope="module")
def captioner() -> Captioner:
    return Captioner()


@pytest.fixture(scope="module")
def address(captioner):
    with serve_in_threads(captioner, batch_wait=0.01, body_megabytes=1) as address:
        yield address


@pytest.fixture(scope="module")
def client(address):
    with openai.OpenAI(base_url=f"{address}/v1", api_key="any", max_retries=0) as client:
        yield client


def chat(*parts) -> list:
    return [{"role": "user", "content": list(parts)}]


def words(text: str) -> dict:
    return {"type": "text", "text": text}


def test_the_openai_client_gets_the_captioners_text(client, captioner):
    answer = client.chat.completions.create(model="florenz-tiny:caption:fr", messages=chat(IMAGE_PART))
    assert answer.choices[0].message.content == captioner.caption([SAMPLE_IMAGE], "fr")[0]
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_the_openai_client_reads_a_stream_piece_by_piece(client, captioner):
    stream = client.chat.completions.create(
        model="florenz-tiny",
        messages=chat(words("Describe this image in Chinese."), IMAGE_PART),
        stream=True,
        stream_options={"include_usage": True},
    )
    *chunks, last = list(stream)
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks]
    assert "".join(pieces) == captioner.caption([SAMPLE_IMAGE], "zh", num_beams=1)[0]
    assert sum(map(bool, pieces)) > 3
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert last.usage.completion_tokens > 3


@pytest.mark.parametrize("stream", [False, True])
def test_a_text_is_cut_at_the_tokens_that_are_allowed(client, stream):
    answer = client.chat.completions.create(
        model="florenz-tiny:caption:en", messages=chat(IMAGE_PART), max_tokens=3, stream=stream
    )
    if stream:
        chunks = list(answer)
        text, reason = "".join(c.choices[0].delta.content or "" for c in chunks), chunks[-1].choices[0].finish_reason
    else:
        text, reason = answer.choices[0].message.content, answer.choices[0].finish_reason
    assert (text, reason) == ("A picture of", "length")


@pytest.mark.parametrize(
    ("model", "text", "task", "language"),
    [
        ("florenz-tiny", "Please caption the photo in German", "caption", "de"),
        ("florenz-tiny", "Describe this image in detail in Spanish.", "detailed_caption", "es"),
        ("florenz-tiny", "The target language is Russian. What does the image describe?", "caption", "ru"),
        ("florenz-tiny", "Translate into French: A picture of dog.", "translate", "fr"),
        ("florenz-tiny:translate:de", "A picture of dog.", "translate", "de"),
    ],
)
def test_plain_instructions_mean_tasks(client, captioner, model, text, task, language):
    answer = client.chat.completions.create(model=model, messages=chat(IMAGE_PART, words(text)))
    expected = (
        captioner.translate([SAMPLE_IMAGE], ["A picture of dog."], language)
        if task == "translate"
        else captioner.caption([SAMPLE_IMAGE], language, task)
    )
    assert [answer.choices[0].message.content] == expected


def test_tasks_and_languages_are_captioned_together(address, captioner):
    tasks, languages = ["caption", "detailed_caption"], ["en", "de", "zh"]
    body = {"image": SAMPLE, "languages": languages, "tasks": tasks}
    answer = httpx.post(f"{address}/v1/captions", json=body).json()
    assert [(row["task"], row["language"]) for row in answer["captions"]] == [(t, c) for t in tasks for c in languages]
    assert [row["text"] for row in answer["captions"]] == [
        captioner.caption([SAMPLE_IMAGE], language, task)[0] for task in tasks for language in languages
    ]


@pytest.mark.parametrize("image", [SAMPLE, None])
def test_texts_are_translated_with_and_without_an_image(address, captioner, image):
    body = {"text": "A picture of dog.", "languages": ["de", "ru"], "image": image}
    answer = httpx.post(f"{address}/v1/translations", json=body).json()
    images = None if image is None else [SAMPLE_IMAGE]
    assert [row["text"] for row in answer["translations"]] == [
        captioner.translate(images, [body["text"]], language)[0] for language in body["languages"]
    ]


def test_candidates_are_scored_as_the_captioner_scores_them(address, captioner):
    given = ["Ein Bild: Hund.", "Ein Bild: Katze."]
    body = {"text": "A picture of pet.", "language": "de", "candidates": given, "image": SAMPLE}
    answer = httpx.post(f"{address}/v1/scores", json=body).json()
    expected = captioner.score(SAMPLE_IMAGE, body["text"], "de", given)
    found = [score["mean_log_probability"] for score in answer["scores"]]
    assert found == pytest.approx([score.mean_log_probability for score in expected], rel=1e-5)
    assert [score["winner"] for score in answer["scores"]] == [True, False]


def png_of(width: int, height: int) -> str:
    """Make a PNG that only says how large it is."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in ((b"IHDR", head), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
    )
    return PNG + base64.b64encode(b"\x89PNG\r\n\x1a\n" + chunks).decode()


def jpeg() -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "JPEG")
    return base64.b64encode(buffer.getvalue()).decode()


def captions(image, **changes) -> dict:
    return {"image": image, "languages": ["en"]} | changes


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (captions("https://example.org/photo.png"), 400, "nothing is fetched"),
        (captions("file:///etc/passwd"), 400, "nothing is fetched"),
        (captions("data:image/png,abc"), 400, "data address"),
        (captions("data:text/html;base64,AAAA"), 400, "text/html"),
        (captions(SAMPLE[:-3]), 400, "base64"),
        (captions(PNG + "!!!!"), 400, "base64"),
        (captions(PNG + "AAAA"), 422, "not an image"),
        (captions(PNG), 422, "not an image"),
        (captions(PNG + jpeg()), 422, "not an image"),
        (captions(SAMPLE[: len(PNG) + 400]), 422, "could not be read"),
        (captions(png_of(20_000, 10_000)), 413, "pixels"),
        (captions(SAMPLE, languages=["xx"]), 400, "xx"),
        (captions(SAMPLE, languages=[]), 422, "languages"),
        (captions(SAMPLE, tasks=["sing"]), 422, "tasks"),
        (captions(SAMPLE, tasks=["caption"] * 4), 422, "tasks"),
        (captions(SAMPLE, model="other"), 400, "other"),
        (captions(SAMPLE, colour="red"), 422, "colour"),
        (captions(7), 422, "image"),
        (captions(SAMPLE, languages=["\ud800"]), 422, "languages"),
        ({"\ud800": 1}, 422, "body"),
        ([], 422, "body"),
        (b"{", 400, "not JSON"),
        (b"\xff\xfe", 400, ""),
        (b"[" * 100_000, 400, ""),
        (b" " * 2_000_000, 413, "1,048,576"),
    ],
)
def test_bad_captions_requests_are_refused_in_one_sentence(address, body, status, says):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = httpx.post(f"{address}/v1/captions", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == status, answer.text
    message = answer.json()["error"]["message"]
    assert says in message
    assert "\n" not in message and len(message) < 400


@pytest.mark.parametrize(
    ("changes", "status", "says"),
    [
        ({"model": "gpt-4o"}, 400, "gpt-4o"),
        ({"model": "florenz-tiny:sing:en"}, 400, "sing"),
        ({"model": "florenz-tiny:caption"}, 400, "florenz-tiny:caption:en"),
        ({"model": "florenz-tiny:caption:xx"}, 400, "xx"),
        ({"model": "florenz-tiny:translate:de"}, 400, "needs a text"),
        ({"model": "florenz-tiny"}, 400, "not understood"),
        ({"messages": chat(words("Describe this image in Klingon."), IMAGE_PART)}, 400, "Klingon"),
        ({"messages": chat(words("Tell me a joke."), IMAGE_PART)}, 400, "joke"),
        (
            {"messages": chat(IMAGE_PART, words("Be brief.")), "model": "florenz-tiny:caption:en"},
            400,
            "without a text",
        ),
        ({"messages": chat(words("Describe this image in German."))}, 400, "needs an image"),
        ({"messages": chat(IMAGE_PART, IMAGE_PART), "model": "florenz-tiny:caption:en"}, 400, "one image"),
        ({"messages": [{"role": "wizard", "content": "Hi"}]}, 422, "role"),
        ({"messages": [{"role": "user", "content": "Hi"}] * 2}, 422, "messages"),
        ({"messages": chat({"type": "input_audio"})}, 422, "messages"),
        ({"messages": []}, 422, "messages"),
        ({"tools": []}, 422, "tools"),
        ({"temperature": 0.5}, 422, "temperature"),
        ({"n": 2}, 422, "n"),
        ({"max_tokens": 0}, 422, "max_tokens"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_bad_chats_are_refused_in_one_sentence(address, changes, status, says, stream):
    body = {"model": "florenz-tiny", "messages": chat(IMAGE_PART), "stream": stream} | changes
    answer = httpx.post(f"{address}/v1/chat/completions", json=body)
    assert answer.status_code == status, answer.text
    assert says in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("changes", "status", "says"),
    [
        ({"candidates": ["Ein Bild: Hund."]}, 422, "candidates"),
        ({"candidates": ["Ein Bild: Hund.", " "]}, 400, "empty"),
        ({"candidates": ["Ein Bild: Hund.", "Hund " * 500]}, 400, "128"),
        ({"text": "dog " * 2000}, 400, "80 tokens"),
        ({"text": ""}, 422, "text"),
    ],
)
def test_bad_scores_requests_are_refused_in_one_sentence(address, changes, status, says):
    body = {"text": "A picture of pet.", "language": "de", "candidates": ["Hund.", "Katze."], "image": SAMPLE}
    answer = httpx.post(f"{address}/v1/scores", json=body | changes)
    assert answer.status_code == status, answer.text
    assert says in answer.json()["error"]["message"]


def test_models_are_listed_with_tasks_and_languages(client):
    names = [model.id for model in client.models.list()]
    assert names[0] == "florenz-tiny"
    assert "florenz-tiny:translate:zh" in names
    assert client.models.retrieve("florenz-tiny:caption:fr").id == "florenz-tiny:caption:fr"
    with pytest.raises(openai.NotFoundError, match="not served"):
        client.models.retrieve("gpt-4o")


def test_health_and_metrics_tell_of_the_work(address):
    assert httpx.get(f"{address}/health").json() == {"status": "ok", "model": "florenz-tiny"}
    httpx.get(f"{address}/nowhere")
    text = httpx.get(f"{address}/metrics").text
    assert 'florenz_requests_total{path="other",status="404"}' in text
    assert "florenz_waiting_rows 0.0" in text


def test_the_description_knows_every_path_and_refusal(address):
    description = httpx.get(f"{address}/openapi.json").json()
    posts = {"/v1/captions", "/v1/translations", "/v1/scores", "/v1/chat/completions"}
    assert set(description["paths"]) == posts | {"/v1/models", "/v1/models/{model}", "/health", "/metrics"}
    for path in posts:
        post = description["paths"][path]["post"]
        assert set(post["responses"]) == {"200", "400", "401", "408", "413", "422", "429", "500", "504"}
        assert post["description"]
        for status, response in post["responses"].items():
            schema = response["content"]["application/json"]["schema"]["$ref"]
            assert schema.endswith("Answer") and schema.endswith("ErrorAnswer") == (status != "200")
        name = post["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        assert description["components"]["schemas"][name]["additionalProperties"] is False


def test_a_token_is_asked_for_everywhere_but_at_health(captioner):
    with serve_in_threads(captioner, token="tea") as address:
        for header in ({}, {"Authorization": "Bearer te"}, {"Authorization": "Bearer tee"}, {"Authorization": "tea"}):
            for path in ("/v1/models", "/metrics", "/openapi.json", "/docs", "/nowhere"):
                answer = httpx.get(address + path, headers=header)
                assert answer.status_code == 401
                assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert httpx.get(f"{address}/v1/models", headers={"Authorization": "Bearer tea"}).status_code == 200
        assert httpx.get(f"{address}/health").status_code == 200
