// Elements of the page, made in one line each.
export function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

export const button = (attributes, ...children) => make("button", { type: "button", ...attributes }, ...children);

/** Cut pictures of things out of one sheet. */
export function spriteMaker({ sprites, columns }, byEmoji) {
  const rows = Math.ceil(byEmoji.size / columns);
  return (emoji) => {
    const { index } = byEmoji.get(emoji);
    const x = (index % columns) / (columns - 1);
    const y = Math.floor(index / columns) / Math.max(1, rows - 1);
    const place = `${x * 100}% ${y * 100}% / ${columns * 100}% ${rows * 100}%`;
    return make("span", { class: "sprite", "aria-hidden": "true", style: `background:url("${sprites}") ${place}` });
  };
}
