// Answer from what is kept when there is no network, and ask it first when there is one, so that a new page is seen.

const FILES = ["./", "./style.css", "./app.js", "./worker.js", "./ort-wasm.js", "./ort-webgpu.js", "./florenz.json"];
const NAME = `florenz ${new URL("./", location.href).pathname} page`;

addEventListener("install", (event) => {
  event.waitUntil(
    (async () => {
      const settings = await (await fetch("./florenz.json", { cache: "no-store" })).json();
      const cache = await caches.open(NAME);
      await cache.addAll([...FILES, ...settings.pictures]);
      await skipWaiting();
    })(),
  );
});

addEventListener("activate", (event) => {
  event.waitUntil(
    (async () => {
      const { version } = await (await caches.match("./florenz.json")).json();
      const mine = `florenz ${new URL("./", location.href).pathname} `;
      const names = (await caches.keys()).filter((name) => name.startsWith(mine));
      await Promise.all(names.filter((name) => name !== NAME && name !== mine + version).map((name) => caches.delete(name)));
      await clients.claim();
    })(),
  );
});

addEventListener("fetch", (event) => {
  if (event.request.method !== "GET") return;
  event.respondWith(
    fetch(event.request)
      .then(async (response) => {
        const cache = await caches.open(NAME);
        if (response.ok && (await cache.match(event.request))) await cache.put(event.request, response.clone());
        return response;
      })
      .catch(async (error) => {
        const kept = await caches.match(event.request, { ignoreSearch: true });
        if (!kept) throw error;
        return kept;
      }),
  );
});
