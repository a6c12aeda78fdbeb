"""The bodies of requests and answers."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


IMAGE = "image as a data address, such as `data:image/jpeg;base64,...`; nothing is fetched"
MOST_ROWS = 16  # of one request: a batch
MOST_CHARACTERS = 20_000

Language = Annotated[str, Field(description="ISO 639-1 code", examples=["fr"], max_length=40)]
ShortText = Annotated[str, Field(min_length=1, max_length=MOST_CHARACTERS)]


class _Body(BaseModel):
    """Refuse what is not known: a setting that has no effect is an error."""

    model_config = ConfigDict(extra="forbid")


class CaptionsRequest(_Body):
    """Ask for captions of an image in each task and language."""

    image: str = Field(description=IMAGE)
    languages: list[Language] = Field(min_length=1, max_length=MOST_ROWS, description="languages of the captions")
    tasks: list[Literal["caption", "detailed_caption", "more_detailed_caption"]] = Field(
        default=["caption"], min_length=1, max_length=3, description="how detailed the captions are"
    )
    prefix: bool = Field(default=False, description="start with the language's prefix, which is not in the answer")
    model: str | None = Field(default=None, description="name of the model, if given")


class Caption(BaseModel):
    """Hold a caption."""

    task: str
    language: str
    text: str


class CaptionsAnswer(BaseModel):
    """Hold captions by task and language, in the order they were asked for."""

    model: str
    captions: list[Caption]


class TranslationsRequest(_Body):
    """Ask for translations of an English text, beside an image or without one."""

    text: ShortText = Field(description="English text")
    languages: list[Language] = Field(min_length=1, max_length=MOST_ROWS, description="languages to translate into")
    image: str | None = Field(default=None, description=IMAGE)
    model: str | None = Field(default=None, description="name of the model, if given")


class Translation(BaseModel):
    """Hold a translation."""

    language: str
    text: str


class TranslationsAnswer(BaseModel):
    """Hold translations in the order of their languages."""

    model: str
    translations: list[Translation]


class ScoresRequest(_Body):
    """Ask which translation of an English text fits it and the image best."""

    text: ShortText = Field(description="English text")
    language: Language
    candidates: list[ShortText] = Field(min_length=2, max_length=MOST_ROWS, description="translations to compare")
    image: str | None = Field(default=None, description=IMAGE)
    model: str | None = Field(default=None, description="name of the model, if given")


class CandidateScore(BaseModel):
    """Hold how likely the model finds a candidate."""

    text: str
    mean_log_probability: float = Field(description="nats per token")
    perplexity: float | None = Field(description="of a token; null where it is too large for a number")
    winner: bool = Field(description="whether it alone is the likeliest")


class ScoresAnswer(BaseModel):
    """Hold the scores of candidates in their order."""

    model: str
    scores: list[CandidateScore]


class TextPart(_Body):
    """Hold the instruction, or the text to translate."""

    type: Literal["text"]
    text: str = Field(max_length=MOST_CHARACTERS)


class ImageAddress(_Body):
    """Hold an image."""

    url: str = Field(description=IMAGE)
    detail: Literal["auto", "low", "high"] = Field(default="auto", description="makes no difference")


class ImagePart(_Body):
    """Hold an image."""

    type: Literal["image_url"]
    image_url: ImageAddress


class Message(_Body):
    """Hold the message of the user."""

    role: Literal["user"] = Field(description="the model takes one message, of the user")
    content: str | list[Annotated[TextPart | ImagePart, Field(discriminator="type")]]


class StreamOptions(_Body):
    """Say what a stream ends with."""

    include_usage: bool = False


class ChatRequest(_Body):
    """Ask for one text as OpenAI's protocol does.

    Task and language are in the model's name, as in `florenz-tiny:caption:fr`, or in a plain instruction such as
    `Describe this image in French.` or `Translate into French: A dog.`
    """

    model: str = Field(max_length=200, description="name of the model, alone or with task and language")
    messages: list[Message] = Field(min_length=1, max_length=1)
    stream: bool = Field(default=False, description="send the text as it is written, searched greedily")
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(default=None, ge=1, description="the text is cut there")
    max_completion_tokens: int | None = Field(default=None, ge=1, description="the same")
    temperature: Literal[0, 1] | None = Field(default=None, description="texts are searched, not drawn: no difference")
    n: Literal[1] | None = None
    seed: int | None = Field(default=None, description="makes no difference")
    user: str | None = Field(default=None, max_length=1000, description="makes no difference")


class Usage(BaseModel):
    """Count tokens: of the prompt's text, and of the answer."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class AnswerMessage(BaseModel):
    """Hold the text."""

    role: Literal["assistant"] = "assistant"
    content: str


class Choice(BaseModel):
    """Hold the text and why it ended."""

    index: int = 0
    message: AnswerMessage
    finish_reason: Literal["stop", "length"]
    logprobs: None = None


class ChatAnswer(BaseModel):
    """Answer a chat."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage


class Model(BaseModel):
    """Name a model, alone or with task and language."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "modeling-florenz"


class Models(BaseModel):
    """List the names that a chat may ask for."""

    object: Literal["list"] = "list"
    data: list[Model]


class Health(BaseModel):
    """Say whether the model answers."""

    status: Literal["ok", "not ready"]
    model: str


class ErrorDetail(BaseModel):
    """Say what is wrong in one sentence."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorAnswer(BaseModel):
    """Answer a request that is refused."""

    error: ErrorDetail
