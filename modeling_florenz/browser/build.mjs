// Build the page: `npm ci --ignore-scripts && npm run build` in this folder. What it writes is part of the package.
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

const ORT = "node_modules/onnxruntime-web/dist";
const PARTS = { wasm: "ort-wasm-simd-threaded.wasm", webgpu: "ort-wasm-simd-threaded.asyncify.wasm" };

rmSync("page", { recursive: true, force: true });
mkdirSync("page");
await build({
  entryPoints: {
    app: "src/app.js",
    worker: "src/worker.js",
    offline: "src/offline.js",
    "ort-wasm": `${ORT}/ort.wasm.bundle.min.mjs`,
    "ort-webgpu": `${ORT}/ort.webgpu.bundle.min.mjs`,
  },
  outdir: "page",
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  external: ["./ort-wasm.js", "./ort-webgpu.js"],
  legalComments: "eof",
});
for (const name of ["index.html", "style.css"]) copyFileSync(`src/${name}`, `page/${name}`);
// Of 41 MB, 6 MB remain; the package unpacks them beside the page.
for (const [name, file] of Object.entries(PARTS)) {
  writeFileSync(`page/ort-${name}.wasm.xz`, execFileSync("xz", ["-9e", "-c", `${ORT}/${file}`], { maxBuffer: 1 << 28 }));
}
copyFileSync("node_modules/@huggingface/tokenizers/LICENSE", "page/LICENSE-tokenizers.txt");
const versionOf = (name) => JSON.parse(readFileSync(`node_modules/${name}/package.json`, "utf8")).version;
writeFileSync(
  "page/NOTICE-libraries.txt",
  `This page contains @huggingface/tokenizers ${versionOf("@huggingface/tokenizers")}, copyright The Hugging Face Team,
under the Apache License, Version 2.0 (LICENSE-tokenizers.txt), and onnxruntime-web ${versionOf("onnxruntime-web")} under this licence:

MIT License

Copyright (c) Microsoft Corporation

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
`,
);
