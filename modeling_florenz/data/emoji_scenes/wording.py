"""Word the texts of emoji scenes: captions only list names, so no language needs inflection."""

import re
from collections.abc import Sequence


LANGUAGES = ("en", "de", "fr", "es", "ru", "zh")
TASKS = ("caption", "detailed_caption", "translate")
PREFIXES = {
    "en": "A picture of",
    "de": "Ein Bild:",
    "fr": "Une image :",
    "es": "Una imagen:",
    "ru": "Картинка:",
    "zh": "图片：",
    "it": "Un'immagine:",
}
_CONJUNCTIONS = {"en": "and", "de": "und", "fr": "et", "es": "y", "ru": "и", "it": "e"}
_PLACES = {  # background, left, middle, right
    "en": ("Background", "Left", "Middle", "Right"),
    "de": ("Hintergrund", "Links", "Mitte", "Rechts"),
    "fr": ("Fond", "À gauche", "Au centre", "À droite"),
    "es": ("Fondo", "Izquierda", "Centro", "Derecha"),
    "ru": ("Фон", "Слева", "В центре", "Справа"),
    "zh": ("背景", "左", "中", "右"),
    "it": ("Sfondo", "Sinistra", "Centro", "Destra"),
}
POSITIONS = {1: (2,), 2: (1, 3), 3: (1, 2, 3)}  # number of nouns -> indices into _PLACES
COLOURS = {  # in the same order in every language
    "en": ("red", "blue", "green", "yellow", "purple", "brown", "grey", "white"),
    "de": ("rot", "blau", "grün", "gelb", "lila", "braun", "grau", "weiß"),
    "fr": ("rouge", "bleu", "vert", "jaune", "violet", "marron", "gris", "blanc"),
    "es": ("rojo", "azul", "verde", "amarillo", "morado", "marrón", "gris", "blanco"),
    "ru": ("красный", "синий", "зеленый", "желтый", "фиолетовый", "коричневый", "серый", "белый"),
    "zh": ("红色", "蓝色", "绿色", "黄色", "紫色", "棕色", "灰色", "白色"),
    "it": ("rosso", "blu", "verde", "giallo", "viola", "marrone", "grigio", "bianco"),
}


def check(what: str, value: object, valid: Sequence[object]) -> None:
    """Refuse a value that is not a valid one with a `ValueError` that lists those."""
    if value not in valid:
        raise ValueError(f"{what} must be one of {', '.join(map(str, valid))}, not {value!r}.")


def check_pair(task: str, language: str) -> None:
    """Refuse a task, or a language in which it has no texts, with a `ValueError` that lists the others."""
    check("task", task, TASKS)
    check("language", language, [known for known in PREFIXES if task != "translate" or known != "en"])


def caption_of(words: list[str], language: str) -> str:
    """Return the sentence that lists words of a language."""
    last = words[-1]
    if language == "zh":
        return f"{PREFIXES[language]}{'和'.join(filter(None, ('、'.join(words[:-1]), last)))}。"
    # Spanish "y" becomes "e" before the sound i; words in "hia" and "hie" do not start with it.
    conjunction = "e" if language == "es" and re.match("[ií]|h[ií](?![ae])", last) else _CONJUNCTIONS[language]
    return f"{PREFIXES[language]} {f' {conjunction} '.join(filter(None, (', '.join(words[:-1]), last)))}."


def detailed_caption_of(background: str, words: list[str], language: str) -> str:
    """Return the sentences that say where words of a language are, left to right, and on which background."""
    colour = COLOURS[language][COLOURS["en"].index(background)]
    places = [_PLACES[language][place] for place in (0, *POSITIONS[len(words)])]
    colon, stop = {"zh": ("：", "。"), "fr": (" : ", ". ")}.get(language, (": ", ". "))
    parts = zip(places, (colour, *words), strict=True)
    return "".join(f"{place}{colon}{word}{stop}" for place, word in parts).rstrip()
