// The four graphs, and a greedy search over them.

import { decode, encode, plainTokenizer, prompt, words } from "./text.js";

export class Model {
  /**
   * @param ort onnxruntime-web
   * @param settings of the page, as Python writes them
   * @param graphs sessions by name
   * @param files the two tokenizers and their settings
   */
  constructor(ort, settings, graphs, files) {
    Object.assign(this, { ort, settings, graphs });
    this.tokenizer = plainTokenizer(files.tokenizer, files.tokenizer_config);
    this.promptTokenizer = plainTokenizer(files.encoder_tokenizer, files.encoder_tokenizer_config);
  }

  #floats(values, dims) {
    return new this.ort.Tensor("float32", values, dims);
  }

  #ids(rows, dims) {
    return new this.ort.Tensor("int64", BigInt64Array.from(rows.flat(), BigInt), dims);
  }

  /** Read an image (3, size, size) once; its tokens serve all questions about it. */
  async look(pixels) {
    const { size } = this.settings.image;
    const found = await this.graphs.vision.run({ pixel_values: this.#floats(pixels, [1, 3, size, size]) });
    return found.image_tokens;
  }

  /** Read prompts beside an image; give keys, values and mask for the decoder. */
  async #read(image, texts) {
    const { encoder, max_prompt_length: limit } = this.settings;
    const rows = texts.map((text) => encode(this.promptTokenizer, text, encoder, limit));
    const length = Math.max(...rows.map((row) => row.ids.length));
    const [, tokens, width] = image.dims;
    const pad = (ids, value) => [...ids, ...Array(length - ids.length).fill(value)];
    const repeated = new Float32Array(texts.length * image.data.length);
    texts.forEach((_, row) => repeated.set(image.data, row * image.data.length));
    const mask = this.#ids(
      rows.map((row) => [...Array(tokens).fill(1), ...pad(row.ids.map(() => 1), 0)]),
      [texts.length, tokens + length],
    );
    const { encoder_states } = await this.graphs.prompt_encoder.run({
      image_tokens: this.#floats(repeated, [texts.length, tokens, width]),
      input_ids: this.#ids(rows.map((row) => pad(row.ids, encoder.pad)), [texts.length, length]),
      attention_mask: mask,
    });
    const cross = await this.graphs.cross_cache.run({ encoder_states });
    return { cross, mask, tokens, cut: rows.some((row) => row.cut) };
  }

  async #step(source, past, rows, length) {
    const texts = rows.length;
    const seen = Object.values(past)[0].dims[2];
    return this.graphs.decoder_step.run({
      decoder_input_ids: this.#ids(rows, [texts, length]),
      decoder_attention_mask: this.#ids(Array(texts).fill(Array(seen + length).fill(1)), [texts, seen + length]),
      attention_mask: source.mask,
      ...past,
      ...source.cross,
    });
  }

  #nothing(texts) {
    const { layers, heads, width } = this.settings.cache;
    const empty = () => this.#floats(new Float32Array(0), [texts, heads, 0, width]);
    return Object.fromEntries(layers.flatMap((n) => [[`past.${n}.key`, empty()], [`past.${n}.value`, empty()]]));
  }

  #kept(found) {
    const names = Object.keys(found).filter((name) => name.startsWith("present."));
    return Object.fromEntries(names.map((name) => [name.replace("present", "past"), found[name]]));
  }

  /**
   * Write texts greedily, all rows together.
   * @param image tokens, as `look` gives them
   * @param {{task: string, language: string, text?: string}[]} asked
   * @param {(texts: string[]) => void} progress called with what is there so far
   */
  async write(image, asked, progress = () => {}) {
    const { decoder, special, max_new_tokens: limit } = this.settings;
    const prompts = asked.map(({ task, language, text }) => prompt(this.settings, task, language, text));
    const source = await this.#read(image, prompts);
    const side = Math.sqrt(source.tokens - 1);
    const rows = asked.map(() => ({ ids: [], gaze: [], ended: false }));
    let past = this.#nothing(asked.length);
    let last = rows.map(() => [decoder.start]);
    for (let step = 0; step < limit && rows.some((row) => !row.ended); step++) {
      const found = await this.#step(source, past, last, 1);
      past = this.#kept(found);
      const vocabulary = found.logits.dims[2];
      last = rows.map((row, index) => {
        if (row.ended) return [decoder.pad];
        const logits = found.logits.data.subarray(index * vocabulary, (index + 1) * vocabulary);
        let best = 0;
        for (let id = 1; id < vocabulary; id++) if (logits[id] > logits[best]) best = id;
        row.ids.push(best);
        const length = found.gaze.dims[2];
        // The first image token is the mean of all; the grid follows row by row.
        row.gaze.push(found.gaze.data.slice(index * length + 1, index * length + 1 + side * side));
        row.ended = best === decoder.eos;
        return [best];
      });
      // A character of several tokens is shown when it is there.
      progress(rows.map((row) => decode(this.tokenizer, row.ids, special).replace(/\ufffd+$/, "")));
    }
    return rows.map((row) => ({
      ids: row.ids,
      text: decode(this.tokenizer, row.ids, special),
      words: words(this.tokenizer, row.ids, special).map(({ word, space, places }) => ({
        word,
        space,
        heat: row.gaze[0].map((_, at) => places.reduce((sum, place) => sum + row.gaze[place][at], 0) / places.length),
      })),
      side,
      cut: source.cut,
    }));
  }

  /** Average the log-probabilities of the tokens of candidates, as translations of a text beside an image. */
  async score(image, text, language, candidates) {
    const { decoder, max_target_length: limit } = this.settings;
    const source = await this.#read(image, [prompt(this.settings, "translate", language, text)]);
    const labels = candidates.map((candidate) => {
      const { ids, cut } = encode(this.tokenizer, candidate, decoder, limit);
      if (cut) throw new Error(`The candidate “${candidate.slice(0, 40)}…” is too long: use at most ${limit} tokens.`);
      return ids;
    });
    const length = Math.max(...labels.map((ids) => ids.length));
    const rows = labels.map((ids) => {
      const shifted = [decoder.start, ...ids.slice(0, -1)];
      return [...shifted, ...Array(length - shifted.length).fill(decoder.pad)];
    });
    const { logits } = await this.#step(source, this.#nothing(candidates.length), rows, length);
    const vocabulary = logits.dims[2];
    return labels.map((ids, row) => {
      const sum = ids.reduce((total, id, place) => {
        const at = (row * length + place) * vocabulary;
        const values = logits.data.subarray(at, at + vocabulary);
        const most = values.reduce((one, other) => Math.max(one, other));
        const whole = values.reduce((all, value) => all + Math.exp(value - most), 0);
        return total + values[id] - most - Math.log(whole);
      }, 0);
      return sum / ids.length;
    });
  }
}
