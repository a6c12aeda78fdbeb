// Prompts, tokens and words, as the processor in Python has them.

import { Tokenizer } from "@huggingface/tokenizers";

const SOURCE = "{source}";

/** Write the prompt of a task. */
export function prompt(settings, task, language, text = null) {
  const [before, after] = settings.tasks[task].split(SOURCE);
  const sentence = `The target language is ${settings.languages[language]}. ${before}`;
  return after === undefined ? sentence : sentence + text + after;
}

/** Load a tokenizer that reads no special tokens out of texts: text is data. */
export function plainTokenizer(json, config) {
  return new Tokenizer({ ...json, added_tokens: [], post_processor: null }, { ...config, added_tokens_decoder: {} });
}

/** Encode between begin and end; what is too long is cut, as in Python. */
export function encode(tokenizer, text, { bos, eos }, limit) {
  const ids = tokenizer.encode(text.toWellFormed(), { add_special_tokens: false }).ids;
  return { ids: [bos, ...ids.slice(0, limit - 2), eos], cut: ids.length > limit - 2 };
}

/** Decode ids to a text that starts with a capital letter. */
export function decode(tokenizer, ids, special) {
  const plain = ids.filter((id) => !special.includes(id));
  const text = plain.length ? tokenizer.decode(plain, { clean_up_tokenization_spaces: false }).trim() : "";
  const [first = ""] = text;
  return first.toUpperCase() + text.slice(first.length);
}

/**
 * Join tokens to words: at spaces, and in Chinese token by token.
 * @returns {{word: string, space: boolean, places: number[]}[]} with the positions of the tokens of each word
 */
export function words(tokenizer, ids, special) {
  const groups = [];
  let before = "";
  let waiting = [];
  ids.forEach((id, place) => {
    if (special.includes(id)) return;
    waiting.push(place);
    const text = tokenizer.decode(
      ids.slice(0, place + 1).filter((one) => !special.includes(one)),
      { clean_up_tokenization_spaces: false },
    );
    const piece = text.slice(before.length);
    if (!piece.trim() || text.endsWith("\ufffd")) return; // a part of a character: the next token completes it
    const spaced = /^\s/.test(piece) || /\s$/.test(before);
    const wide = piece.trim().codePointAt(0) > 0x2e80 || (before.at(-1)?.codePointAt(0) ?? 0) > 0x2e80;
    const marks = !/[\p{L}\p{N}]/u.test(piece);
    if (!groups.length || spaced || (wide && !marks)) {
      groups.push({ word: piece.trim(), space: spaced, places: waiting });
    } else {
      const last = groups.at(-1);
      last.word += piece.trimEnd();
      if (!marks) last.places.push(...waiting);
    }
    before = text;
    waiting = [];
  });
  if (groups.length) {
    const [letter = ""] = groups[0].word;
    groups[0].word = letter.toUpperCase() + groups[0].word.slice(letter.length);
  }
  return groups;
}
