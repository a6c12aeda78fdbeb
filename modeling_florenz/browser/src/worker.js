// The model lives in a worker, so that the page stays awake while it writes.

import { readFile, readJson } from "./files.js";
import { pixelValues } from "./image.js";
import { Model } from "./model.js";

const GRAPHS = ["vision", "prompt_encoder", "cross_cache", "decoder_step"];
let model;
let image;

async function hasWebGpu() {
  try {
    return Boolean(await navigator.gpu?.requestAdapter());
  } catch {
    return false;
  }
}

/** Open the four graphs on a kind of device. */
async function openGraphs(kind, files, read) {
  const ort = kind === "webgpu" ? await import("./ort-webgpu.js") : await import("./ort-wasm.js");
  ort.env.logLevel = "error";
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary = await read(`./ort-${kind}.wasm`);
  const executionProviders = kind === "webgpu" ? ["webgpu", "wasm"] : ["wasm"];
  const graphs = {};
  for (const name of GRAPHS) {
    const bytes = await read(`./model/${name}.onnx`);
    const outside = `${name}.onnx.data`;
    const data = files[`./model/${outside}`] ? [{ path: outside, data: await read(`./model/${outside}`) }] : undefined;
    graphs[name] = await ort.InferenceSession.create(bytes, { executionProviders, externalData: data });
  }
  return { ort, graphs };
}

async function load({ device }, report) {
  const settings = await (await fetch("./florenz.json")).json();
  const { version, files } = settings;
  const weights = Object.values(files).reduce((sum, size) => sum + size, 0);
  const openOn = (kind) => {
    const all = weights + settings.runtimes[kind];
    let come = 0;
    const progress = (bytes) => report({ progress: (come += bytes) / all, megabytes: all / 1e6 });
    return openGraphs(kind, files, (name) => readFile(name, version, progress));
  };
  let kind = device ?? ((await hasWebGpu()) ? "webgpu" : "wasm");
  let opened;
  try {
    opened = await openOn(kind);
  } catch (error) {
    if (device || kind === "wasm") throw error;
    kind = "wasm"; // some graphics cards are offered and then refuse
    opened = await openOn(kind);
  }
  const texts = {};
  for (const name of ["tokenizer", "tokenizer_config"]) {
    texts[name] = await readJson(`./model/${name}.json`, version);
    texts[`encoder_${name}`] = await readJson(`./model/encoder_tokenizer/${name}.json`, version);
  }
  model = new Model(opened.ort, settings, opened.graphs, texts);
  return { settings, device: kind };
}

const work = {
  load,
  async look({ picture }) {
    image = await model.look(pixelValues(picture, model.settings.image));
  },
  caption: ({ languages, task }, report) =>
    model.write(
      image,
      languages.map((language) => ({ task, language })),
      (texts) => report({ texts }),
    ),
  translate: ({ language, text }, report) =>
    model.write(image, [{ task: "translate", language, text }], (texts) => report({ texts })),
  score: ({ text, language, candidates }) => model.score(image, text, language, candidates),
};

let queue = Promise.resolve();
addEventListener("message", ({ data: { id, kind, ...rest } }) => {
  const report = (part) => postMessage({ id, part });
  // One after the other: what is asked of an image is answered before the next image is read.
  queue = queue.then(async () => {
    try {
      postMessage({ id, result: await work[kind](rest, report) });
    } catch (error) {
      postMessage({ id, error: String(error?.message ?? error) });
    }
  });
});
