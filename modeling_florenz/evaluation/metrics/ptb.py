"""Split captions into words as the COCO caption evaluation does: Penn Treebank rules, lower case, no punctuation."""

import re
import unicodedata


# What the rules know besides letters, decimal digits and ASCII: symbols, and marks that only continue a word. All
# other characters, including emoji, are dropped and end a word.
_SYMBOLS = (
    "80 91-94 96-97 a1-a9 ab-b4 b6-b9 bb-bf d7 f7 37e 387 589-58a 5be 5c0 5c3 5c6 5f3-5f4 600-603 606-60c 614 61b "
    "61e-61f 66a-66d 6d4 700-70d 7f6-7f8 964-965 e3f e4f 1fbd 2010-2011 2013-2023 2026 2030-203b 203e-2042 2044 "
    "2070 2074-207e 2080-208e 20a0 20a4 20ac 2100-2101 2103-2106 2108-2109 2114 2116-2118 211e-2123 2125 2127 2129 "
    "212e 213a-213b 2140-2144 214a-214d 214f 2153-215e 2190-2bff 3001-3002 3012 30fb ff01-ff0f ff1a-ff20 ff3b-ff40 "
    "ff5b-ff65 ffe0-ffe1 ffe5-ffe6"
)
_MARKS = (
    "2c2-2c5 2d2-2df 2e5-2eb 2ed 2ef-36f 375 378-379 384-385 3f6 483-487 55a-55f 591-5bd 5bf 5c1-5c2 5c4-5c5 5c7 "
    "615-61a 64b-65e 670 6d6-6e4 6e7-6ed 6fd-6fe 70f 711 730-74c 7a6-7b0 7eb-7f3 900-903 93c 93e-94e 951-955 "
    "962-963 981-983 9bc 9be-9c4 9c7-9c8 9cb-9cd 9d7 9e2-9e3 a01-a03 a3c a3e-a4f a81-a83 abc abe-acf b82 bbe-bc2 "
    "bc6-bc8 bca-bcd c01-c03 c3e-c56 d3e-d44 d46-d48 e31 e34-e3a e47-e4e eb1 eb4-ebc ec8-ecd"
)


def _class(ranges: str) -> str:
    return re.sub("[0-9a-f]+", lambda code: rf"\u{code[0]:>04}", ranges).replace(" ", "")


_LETTER = r"[^\W\d_¹²³⁰⁴-⁹₀-₉¼-¾⅓-⅔⅕-⅞]"
_MARKED = rf"(?:{_LETTER}|[\u00ad{_class(_MARKS)}])"
_WORD = rf"{_MARKED}(?:{_MARKED}|\d)*(?:[.!?]{_MARKED}(?:{_MARKED}|\d)*)*"
_APOSTROPHE = r"(?:['\u0092’]|&apos;)"
_CLITIC = rf"{_APOSTROPHE}(?:[msdMSD]|re|ve|ll|RE|VE|LL)"
_NEGATION = rf"[nN]{_APOSTROPHE}[tT]"
_PART = rf"(?:[dDoOlL]{_APOSTROPHE}(?:{_LETTER}|\d))?(?:{_LETTER}|\d)+"
_COMPOUND = rf"{_PART}(?:[-_\u058a\u2010\u2011]{_PART})*"
_INITIALS = r"[A-Za-z](?:\.[A-Za-z])+"
_SLASHED = r"[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}"
_FIRM = "[A-Z]+(?:(?:[+&]|&amp;)[A-Z]+)+"
_NUMBER = r"(?:\d*(?:[.:,\u00ad\u066b\u066c]\d+)+|\d+)"
_FRACTION = r"(?:\d{1,4}[- \u00a0])?\d{1,4}(?:\\?/|⁄)\d{1,4}"
_DATE = r"\d{1,2}[-/]\d{1,2}[-/]\d{2,4}"
_PHONE = (
    r"(?:\([0-9]{2,3}\)[ \u00a0]?|(?:\+\+?)?(?:[0-9]{2,4}[- \u00a0])?[0-9]{2,4}[- \u00a0])"
    r"[0-9]{3,4}[- \u00a0]?[0-9]{3,5}"
    r"|(?:(?:\+\+?)?[0-9]{2,4}\.)?[0-9]{2,4}\.[0-9]{3,4}\.[0-9]{3,5}"
)
_NAME = "[A-Za-z][A-Za-z0-9:.-]*"
_TAG = rf"<[!?][A-Za-z-][^>]*>|</?{_NAME}(?: +{_NAME}(?: *= *(?:'[^']*'|\"[^\"]*\"|{_NAME}))?)* */? *>"
_URL = r'https?://[^ \t\n"<>|()]+[^ \t\n"<>|.!?(){},-]'
_SITE = (
    r'(?:www\.(?:[^ \t\n"<>|.!?(){},]+\.)+[A-Za-z]{2,4}|(?:[^ \t\n"`\'<>|!(){}$,-_]+\.)+(?:com|net|org|edu))'
    r'(?:/[^ \t\n"<>|()]+[^ \t\n"<>|.!?(){},-])?'
)
_MAIL = r'<?[A-Za-z0-9][^ \t\n"<>|()\u00a0]*@(?:[^ \t\n"<>|(){}.\u00a0]+\.)*[^ \t\n"<>|(){}.\u00a0]+>?'
_QUOTES = re.compile("[`«»‹›‘-‟\x91-\x94]{1,2}")
_SHORTENED = re.compile(rf"{_CLITIC}|{_NEGATION}")
_EYE = r"[-^x=~<>']"
_KEEPS_ITS_STOP = (
    "al ala alex apr ariz assn assoc asst attys? adj adm adv aug ave bancorp bhd bldg blvd brig bros calif "
    "capt cf cie cmdr col colo comdr conn corp cos? cpl ct dak dec dept det drs? elec ens esq est etc ext feb "
    "fla fri ft ga gen govs? hon inc ind insp intl invt jan jos jr jul jun kans? ky lieut lt ltd maj mar md "
    "messrs mich minn mlle mme mo mon mont mrs? ms msgr mt natl neb nev nov oct okla penn pfc ph plc pres "
    "profs? pvt rd reps? rev rt sens? sept? seq sfc sgt spc sq sr ste? supts? sys tel tenn thu thurs tues? "
    "univ va vs vt wed wisc? wm wyo"
)
_KEEPS_ITS_STOP_AS_A_NAME = "ark az del ill la mass miss ore pa tex wash"
_KEEPS_ITS_STOP_BEFORE_A_NUMBER = "art ca figs? nos? op pp? prop"


def _any_of(words: str) -> str:
    return "(?:" + "|".join(words.split()) + ")"


# The longest match is the token; of equally long ones, the first. In a rule with a group, only the group is the token:
# the rest of the match must follow it.
_RULES = [
    re.compile(rule)
    for rule in (
        # Addresses
        _TAG,
        _URL,
        _SITE,
        _MAIL,
        "@[A-Za-z_][A-Za-z_0-9]*|#[A-Za-z]+",
        # Words that are cut in two
        "(?i:(can)not|(gon)na|(got)ta|(lem)me|(gim)me|(wan)na)",
        "('[tT])(?i:is|was)",
        rf"([A-Za-z]*[A-MO-Za-mo-z]){_NEGATION}",
        rf"((?:{_WORD}|{_COMPOUND})){_CLITIC}",
        # Words
        _WORD,
        _NEGATION,
        rf"{_APOSTROPHE}n{_APOSTROPHE}?|[lLdDjJ]{_APOSTROPHE}|(?i:dunkin|somethin|ol){_APOSTROPHE}|{_APOSTROPHE}em",
        rf"(?i:c{_APOSTROPHE}mon|cap{_APOSTROPHE}n|c{_APOSTROPHE}est|d{_APOSTROPHE}ye|(more){_APOSTROPHE}n)",
        rf"{_APOSTROPHE}(?:till?|[2-9]0[sS])|[A-HJ-XZn]{_APOSTROPHE}{_LETTER}{{2,}}|([yY]{_APOSTROPHE}){_LETTER}",
        rf"{_LETTER}+[aeiouyAEIOUY]{_APOSTROPHE}[aeiouA-Z]{_LETTER}*",
        _COMPOUND,
        rf"[A-Za-z0-9][A-Za-z0-9.,\u00ad]*(?:-(?:[A-Za-z0-9\u00ad]+|{_INITIALS}\.))+",
        rf"{_SLASHED}(?:\\?/{_SLASHED}){{1,2}}",
        _FIRM,
        # Words with their full stop
        rf"(?i:{_any_of(_KEEPS_ITS_STOP)})\.",
        rf"{_any_of(_KEEPS_ITS_STOP_AS_A_NAME.title())}\.|{_any_of(_KEEPS_ITS_STOP_AS_A_NAME.upper())}\.",
        r"(?:[Mm][ft]g|[Pp]?[Pp]t[ye]s?)\.",
        rf"((?i:{_any_of(_KEEPS_ITS_STOP_BEFORE_A_NUMBER)})\.) ?\d",
        rf"{_INITIALS}\.?|[A-Za-z]\.",
        rf"((?:{_WORD}|{_COMPOUND})\.)[,;:、]",
        # Numbers
        rf"{_NUMBER}\.[xX]",
        rf"[-+]?{_NUMBER}",
        "[⁺⁻₊₋]?(?:[⁰¹²³⁴-⁹]+|[₀-₉]+)",
        _FRACTION,
        _DATE,
        _PHONE,
        rf"({_APOSTROPHE}[0-9][0-9])\s",
        # Faces
        rf"([<>]?[:;=]['o*-]?[()DPdpO\\{{@|\[\]])[^A-Za-z0-9]|{_EYE}_{_EYE}|\({_EYE}[_.]?{_EYE}\)",
        # Signs
        "&(?:amp|lt|gt|quot|nbsp|apos|#[0-9]+);",
        r"[A-Z]*\$",
        r"-{2,4}|-{5,}|[!?]+|(?:\\?\*)+|_+|@+|#+|<<|>>|\.{3,5}|\. \. \.",
        _QUOTES.pattern,
        rf"({_CLITIC})[^A-Za-z]",
        r"(')[A-Za-z]\S|''",
        _CLITIC,
        r"\S",
    )
]
# Most words, found at once; no rule looks beyond the space after them.
_PLAIN_WORD = re.compile("(?!(?:cannot|gonna|gotta|lemme|gimme|wanna)[ \n])[A-Z]?[a-z]+(?=[ \n])", re.IGNORECASE)
_SIGNS = {
    "(": "-lrb-",
    ")": "-rrb-",
    "[": "-lsb-",
    "]": "-rsb-",
    "{": "-lcb-",
    "}": "-rcb-",
    **dict.fromkeys("“«\x93", "``"),
    **dict.fromkeys('"”»\x94', "''"),
    **dict.fromkeys("‘‛‹\x91", "`"),
    **dict.fromkeys("’›\x92", "'"),
    **dict.fromkeys("–—―\x96\x97", "-"),
    **dict.fromkeys("€¤₠\x80", "$"),
    "£": "#",
    "¢": "cents",
    "¼": "1/4",
    "½": "1/2",
    "¾": "3/4",
    "⅓": "1/3",
    "⅔": "2/3",
    **dict.fromkeys(("\u00ad", "֊", "‐", "‑", "--", "---", "----"), "-"),
    **dict.fromkeys(("…", ". . .", "....", "....."), "..."),
    "&amp;": "&",
    "&lt;": "<",
    "&gt;": ">",
    "&quot;": "''",
    "&apos;": "'",
}
_ENTITIES = {"&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": "''", "&apos;": "'", "&nbsp;": ""}
# The list of the COCO caption evaluation. It names brackets in upper case, so brackets remain in its captions.
_PUNCTUATION = frozenset("'' ' `` ` . ? ! , : - -- ... ;".split())


class _Known(dict[int, str]):
    """Map each code point to itself, or to a space if no rule knows it."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        category = unicodedata.category(character)
        known = code < 0x10000 and (category[0] == "L" or category == "Nd" or bool(_SPECIAL.match(character)))
        self[code] = character if known else " "
        return self[code]


_known = _Known()
_SPECIAL = re.compile(rf"[\x00-\x7f{_class(_SYMBOLS)}{_class(_MARKS)}]")


def tokenize(caption: str) -> str:
    """Lower-case a caption, split it into words and drop its punctuation; words are joined by spaces.

    The result is that of the Java tokenizer in the COCO caption evaluation (Chen et al. 2015, arXiv 1504.00325),
    including its oddities: brackets remain as `-lrb-`, `!!` remains, unknown signs and emoji go. The rules are for
    English; that evaluation applies them to other languages too.

    Example:

    ```python
    >>> tokenize("A man's dog isn't in the U.S., is it?")
    "a man 's dog is n't in the u.s. is it"
    ```
    """
    text = caption if caption.isascii() else caption.translate(_known)
    text = re.sub(r"[\s\x00-\x1f]|&nbsp;", " ", text) + "\n"
    words = []
    position = 0
    while position < len(text):
        if text[position].isspace():
            position += 1
            continue
        match = _PLAIN_WORD.match(text, position)
        if match is None:
            match = max((found for rule in _RULES if (found := rule.match(text, position))), key=re.Match.end)
        index = match.lastindex or 0
        words.append(_spell(match[index]))
        position = match.end(index)
    return " ".join(word for word in words if word and word not in _PUNCTUATION)


def _spell(word: str) -> str:
    if word.isascii() and word.isalpha():
        return word.lower()
    if word in _SIGNS:
        return _SIGNS[word]
    if _QUOTES.fullmatch(word):
        return "".join(_SIGNS.get(quote, quote) for quote in word)
    if re.fullmatch(_FIRM, word):
        return word.replace("&amp;", "&").lower()
    if _SHORTENED.fullmatch(word):
        word = re.sub(_APOSTROPHE, "'", word)
    word = word.replace("(", "-lrb-").replace(")", "-rrb-").replace("\u00ad", "")
    # A token with a space inside has a no-break space there.
    return word.replace(" ", "\u00a0").lower()
