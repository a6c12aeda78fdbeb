// Compose a scene of up to three sprites on a colour, like those the bundled model was trained on.

const SIDE = 384;
const find = (id) => document.getElementById(id);

export function fillCompose({ things, colours }) {
  [0, 1, 2].forEach((place) => {
    const select = find(`thing-${place}`);
    if (place) select.add(new Option("nothing", ""));
    things.forEach(([emoji, name], index) => select.add(new Option(`${emoji} ${name}`, index)));
  });
  find("thing-0").value = things.findIndex(([, name]) => name === "dog");
  find("thing-1").value = things.findIndex(([, name]) => name === "bicycle");
  for (const name of Object.keys(colours)) find("background").add(new Option(name, name));
}

export async function drawScene({ things, colours, columns, cell }) {
  const chosen = [0, 1, 2].map((place) => find(`thing-${place}`).value).filter((value) => value !== "");
  const atlas = await createImageBitmap(await (await fetch("./sprites.webp")).blob());
  const canvas = new OffscreenCanvas(SIDE, SIDE);
  const context = canvas.getContext("2d");
  context.fillStyle = colours[find("background").value];
  context.fillRect(0, 0, SIDE, SIDE);
  context.imageSmoothingQuality = "high";
  const size = SIDE * (chosen.length === 3 ? 0.31 : 0.42);
  const gap = (SIDE - size * chosen.length) / (chosen.length + 1);
  chosen.forEach((value, place) => {
    const index = Number(value);
    if (index >= things.length) return;
    const [left, top] = [(index % columns) * cell, Math.floor(index / columns) * cell];
    const height = (SIDE - size) * (0.35 + 0.3 * (place % 2));
    context.drawImage(atlas, left, top, cell, cell, gap + place * (size + gap), height, size, size);
  });
  return canvas.transferToImageBitmap();
}
