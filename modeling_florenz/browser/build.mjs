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
const about = [
  ["onnxruntime-web", "MIT", "Copyright (c) Microsoft Corporation"],
  ["@huggingface/tokenizers", "Apache-2.0", "Copyright The Hugging Face Team"],
].map(([name, license, owner]) => {
  const { version } = JSON.parse(readFileSync(`node_modules/${name}/package.json`, "utf8"));
  return `${name} ${version}: ${license}. ${owner}.`;
});
writeFileSync("page/NOTICE-libraries.txt", `This page contains:\n\n${about.join("\n")}\n`);
