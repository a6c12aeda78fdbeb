// Make of an image what the processor in Python makes, to the last bit: white behind it, bicubic as in PIL, normalised.

const BITS = 22; // of the fixed point in which PIL computes
const SUPPORT = 2; // of the bicubic filter, in source pixels where nothing is made smaller

function bicubic(x) {
  const a = -0.5;
  x = Math.abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

/** Compute, for each new pixel, the first old one that counts and the weights of those from there on. */
function weights(from, to) {
  const scale = from / to;
  const stretch = Math.max(scale, 1);
  const support = SUPPORT * stretch;
  return Array.from({ length: to }, (_, place) => {
    const centre = (place + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support + 0.5));
    const last = Math.min(from, Math.trunc(centre + support + 0.5));
    const found = [];
    let sum = 0;
    for (let x = first; x < last; x++) {
      const weight = bicubic((x - centre + 0.5) * (1 / stretch));
      found.push(weight);
      sum += weight;
    }
    return {
      first,
      values: found.map((weight) => {
        const fixed = (sum === 0 ? weight : weight / sum) * (1 << BITS);
        return Math.trunc(fixed < 0 ? fixed - 0.5 : fixed + 0.5);
      }),
    };
  });
}

const clip = (sum) => Math.min(255, Math.max(0, sum >> BITS));

function stretchRows(pixels, width, height, to) {
  const plan = weights(width, to);
  const out = new Uint8Array(to * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < to; x++) {
      const { first, values } = plan[x];
      for (let channel = 0; channel < 3; channel++) {
        let sum = 1 << (BITS - 1);
        for (let k = 0; k < values.length; k++) sum += pixels[(y * width + first + k) * 3 + channel] * values[k];
        out[(y * to + x) * 3 + channel] = clip(sum);
      }
    }
  }
  return out;
}

function stretchColumns(pixels, width, height, to) {
  const plan = weights(height, to);
  const out = new Uint8Array(width * to * 3);
  for (let y = 0; y < to; y++) {
    const { first, values } = plan[y];
    for (let at = 0; at < width * 3; at++) {
      let sum = 1 << (BITS - 1);
      for (let k = 0; k < values.length; k++) sum += pixels[(first + k) * width * 3 + at] * values[k];
      out[y * width * 3 + at] = clip(sum);
    }
  }
  return out;
}

/** Put RGBA pixels on white. */
function onWhite({ data, width, height }) {
  const out = new Uint8Array(width * height * 3);
  for (let pixel = 0; pixel < width * height; pixel++) {
    const alpha = data[pixel * 4 + 3];
    for (let channel = 0; channel < 3; channel++) {
      const value = data[pixel * 4 + channel] * alpha + 255 * (255 - alpha) + 128;
      out[pixel * 3 + channel] = ((value >> 8) + value) >> 8;
    }
  }
  return out;
}

/**
 * @param {ImageData} image
 * @param {{size: number, mean: number[], std: number[]}} settings of the processor
 * @returns {Float32Array} (3, size, size)
 */
export function pixelValues(image, { size, mean, std }) {
  const { width, height } = image;
  let pixels = onWhite(image);
  if (width !== size) pixels = stretchRows(pixels, width, height, size);
  if (height !== size) pixels = stretchColumns(pixels, size, height, size);
  const out = new Float32Array(3 * size * size);
  for (let channel = 0; channel < 3; channel++) {
    for (let at = 0; at < size * size; at++) {
      out[channel * size * size + at] = (pixels[at * 3 + channel] / 255 - mean[channel]) / std[channel];
    }
  }
  return out;
}
