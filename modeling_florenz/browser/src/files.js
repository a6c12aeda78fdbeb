// Fetch files with progress, and keep them for the next visit and for times without a network.

/** Name the cache of this page and this model: another version has another one. */
export const cacheName = (version) => `florenz ${new URL("./", location.href).pathname} ${version}`;

/** Open the cache, or return null where the browser keeps nothing, as in some private windows. */
async function openCache(version) {
  try {
    return await caches.open(cacheName(version));
  } catch {
    return null;
  }
}

/**
 * Read a file from the cache, or fetch and keep it.
 * @param {string} url
 * @param {string} version of page and model
 * @param {(bytes: number) => void} progress called with the bytes that came in
 * @returns {Promise<Uint8Array>}
 */
export async function readFile(url, version, progress = () => {}) {
  const cache = await openCache(version);
  const kept = await cache?.match(url);
  const response = kept ?? (await fetch(url));
  if (!response.ok) throw new Error(`${url} could not be loaded (${response.status}): load the page again`);
  const parts = [];
  let length = 0;
  const reader = response.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    length += value.length;
    progress(value.length);
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  if (cache && !kept) {
    try {
      await cache.put(url, new Response(bytes));
    } catch {
      // no room: the next visit fetches it again
    }
  }
  return bytes;
}

export const readJson = async (url, version) => JSON.parse(new TextDecoder().decode(await readFile(url, version)));
