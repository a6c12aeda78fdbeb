// Where the model looked: maps of words, and the picture lit by one of them.
import { make } from "./parts.js";

const FINE = 72; // points a side of a smooth map

/** Give the map of a word: its bytes, row by row, and its side. */
export function places(saying, column) {
  saying.bytes ??= Uint8Array.from(atob(saying.maps), (char) => char.charCodeAt(0));
  const size = saying.bytes.length / saying.words.length;
  return [saying.bytes.subarray(column * size, (column + 1) * size), Math.sqrt(size)];
}

/** Draw the picture through a map onto a canvas above it; `current` says whether that is still wanted. */
export async function drawLight(image, canvas, map, current) {
  await image.decode().catch(() => {});
  if (!current() || !image.clientWidth) return;
  canvas.width = image.clientWidth * 2;
  canvas.height = image.clientHeight * 2;
  const mask = make("canvas");
  mask.width = mask.height = FINE;
  mask.getContext("2d").putImageData(smooth(map), 0, 0);
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(mask, 0, 0, canvas.width, canvas.height);
  context.globalCompositeOperation = "source-in";
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
}

// By cubic B-splines, which never leave the range of the numbers.
function smooth([bytes, side]) {
  const weights = Array.from({ length: FINE }, (_, index) => {
    const place = ((index + 0.5) * side) / FINE - 0.5;
    const base = Math.floor(place);
    const t = place - base;
    const four = [(1 - t) ** 3, 3 * t ** 3 - 6 * t * t + 4, -3 * t ** 3 + 3 * t * t + 3 * t + 1, t ** 3];
    return four.map((share, step) => [Math.min(side - 1, Math.max(0, base + step - 1)), share / 6]);
  });
  const pixels = new ImageData(FINE, FINE);
  weights.forEach((rows, y) => weights.forEach((columns, x) => {
    let value = 0;
    for (const [row, high] of rows) for (const [column, wide] of columns) value += bytes[row * side + column] * high * wide;
    pixels.data[4 * (y * FINE + x) + 3] = Math.min(255, 300 * (value / 255) ** 0.75);
  }));
  return pixels;
}
