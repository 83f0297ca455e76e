// Calls of the API and of the page's own endpoints. The key is kept in this module's memory only.
import { createStore, useCallback, useEffect, useRef, useState, useStore } from "./ui.js";

const RETRY_MS = 1500;
const ANY_KEY = "playground"; // for servers that accept any key
let key = ANY_KEY;

/** Connection to the server: whether it responds, whether it wants a key, and its configuration. */
export const connection = createStore({
  isLost: false,
  needsKey: false,
  keyError: "",
  config: null,
  epoch: 0,
});

export class ApiError extends Error {
  constructor(message, status, code) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** Use a key from now on, and load again what failed without it. */
export function setKey(value) {
  key = value.trim();
  connection.set((state) => ({ ...state, needsKey: false, keyError: "", epoch: state.epoch + 1 }));
}

/** Read the key that `tunesmith playground` puts behind the `#`, and remove it from the address. */
export function takeKeyFromAddress() {
  const given = new URLSearchParams(location.hash.slice(1)).get("key");
  if (given) {
    key = given;
    history.replaceState(null, "", location.pathname + location.search);
  }
  return Boolean(given);
}

export async function loadConfig(hasKey) {
  const response = await reach("GET", "playground/api/config", {});
  const config = await response.json();
  connection.set((state) => ({ ...state, config, needsKey: config.needs_key && !hasKey }));
}

export const baseUrl = () => connection.get().config?.base_url ?? new URL("v1", document.baseURI).href;

async function reach(method, path, { body, headers, signal }) {
  try {
    return await fetch(path, {
      method,
      body,
      signal,
      headers: { authorization: `Bearer ${key}`, ...headers },
      cache: "no-store",
      credentials: "omit",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    loseConnection();
    throw new ApiError("The server does not respond.", 0, "connection_lost");
  }
}

function loseConnection() {
  if (connection.get().isLost) return;
  connection.set((state) => ({ ...state, isLost: true }));
  const probe = async () => {
    try {
      const response = await fetch("playground/api/config", { cache: "no-store" });
      if (!response.ok) throw new Error();
      const config = await response.json();
      const needsKey = config.needs_key && key === ANY_KEY;
      connection.set((state) => ({ ...state, isLost: false, config, needsKey, epoch: state.epoch + 1 }));
    } catch {
      setTimeout(probe, RETRY_MS);
    }
  };
  setTimeout(probe, RETRY_MS);
}

/** Send a request, and raise an ApiError for an error status. */
async function request(method, path, options = {}) {
  const response = await reach(method, path, options);
  if (response.ok) return response;
  const text = await response.text();
  let error = {};
  try {
    const parsed = JSON.parse(text);
    error = parsed.error ?? parsed;
  } catch {
    // Not JSON: the text itself is shown.
  }
  const message =
    typeof error.message === "string" ? error.message : text.slice(0, 500) || `HTTP ${response.status}`;
  if (response.status === 401) {
    connection.set((state) => ({ ...state, needsKey: true, keyError: message }));
  }
  throw new ApiError(message, response.status, error.code);
}

const withQuery = (path, query) => {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) {
    for (const each of Array.isArray(value) ? value : [value]) {
      if (each != null && each !== "") parameters.append(name, each);
    }
  }
  return parameters.size ? `${path}?${parameters}` : path;
};

const json = (body) => ({ body: JSON.stringify(body), headers: { "content-type": "application/json" } });

/** Call the API: `api.get("models")`, `api.post("batches", {…})`. */
export const api = {
  get: async (path, query, signal) =>
    (await request("GET", withQuery(`v1/${path}`, query), { signal })).json(),
  post: async (path, body, signal) =>
    (await request("POST", `v1/${path}`, { ...(body ? json(body) : {}), signal })).json(),
  delete: async (path) => (await request("DELETE", `v1/${path}`)).json(),
  content: (path, signal) => request("GET", `v1/${path}`, { signal }),
  /** Upload a file as it is. */
  async upload(file, purpose) {
    const form = new FormData();
    form.append("purpose", purpose);
    form.append("file", file, file.name);
    return (await request("POST", "v1/files", { body: form })).json();
  },
  /** Call an endpoint of the page. */
  page: async (path, query, signal) =>
    (await request("GET", withQuery(`playground/api/${path}`, query), { signal })).json(),
  pageBlob: async (path) => (await request("GET", `playground/api/${path}`)).blob(),
  pagePost: async (path, query, body, signal) =>
    (await request("POST", withQuery(`playground/api/${path}`, query), { body, signal })).json(),
};

/** Send a request whose response is streamed, and iterate over its events. */
export async function* streamEvents(path, body, signal) {
  const response = await request("POST", `v1/${path}`, { ...json({ ...body, stream: true }), signal });
  if (!(response.headers.get("content-type") ?? "").includes("event-stream")) {
    yield await response.json(); // the server does not stream
    return;
  }
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      buffer += value;
      const lines = buffer.split(/\r?\n/);
      buffer = lines.pop();
      for (const line of lines) {
        if (!line.startsWith("data:")) continue;
        const data = line.slice(5).trim();
        if (data === "[DONE]") return;
        const event = JSON.parse(data);
        if (event.error)
          throw new ApiError(event.error.message ?? "The stream failed.", response.status, event.error.code);
        yield event;
      }
    }
  } catch (error) {
    if (error instanceof ApiError || error.name === "AbortError") throw error;
    throw new ApiError("The stream ended early.", 0, "stream_interrupted");
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** Run a function now, every `ms` milliseconds while the page is visible, and after a lost connection. */
export function usePolling(run, ms, dependencies) {
  const { epoch, isLost, needsKey } = useStore(connection);
  useEffect(() => {
    if (isLost || needsKey) return undefined;
    const stop = new AbortController();
    let timer;
    async function tick() {
      let isDone = false;
      if (!document.hidden) {
        try {
          isDone = (await run(stop.signal)) === "done";
        } catch (error) {
          if (error.name !== "AbortError" && !(error instanceof ApiError)) throw error;
        }
      }
      if (!stop.signal.aborted && ms && !isDone) timer = setTimeout(tick, ms);
    }
    tick();
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [epoch, isLost, needsKey, ms, ...dependencies]);
}

/**
 * Load a list page by page. Return `{rows, more, isLoading, error, refresh}`; polling renews the
 * first page and keeps those that were loaded.
 */
export function usePages(path, { limit, query, ms = 0 }) {
  const [state, setState] = useState({ rows: [], hasMore: false, isLoading: true, error: null });
  const loading = useRef(false);
  const current = useRef(state);
  current.current = state;
  const extra = JSON.stringify(query ?? {});

  const loadFirst = useCallback(
    async (signal) => {
      try {
        const page = await api.get(path, { limit, ...JSON.parse(extra) }, signal);
        setState((old) => {
          const known = new Set(page.data.map((row) => row.id));
          const rest = old.path === path + extra ? old.rows.filter((row) => !known.has(row.id)) : [];
          // With a gap between both, only the new page is certain.
          const overlaps = old.path === path + extra && old.rows.some((row) => known.has(row.id));
          const rows = overlaps ? [...page.data, ...rest] : page.data;
          return {
            rows,
            path: path + extra,
            hasMore: overlaps ? old.hasMore : page.has_more,
            isLoading: false,
            error: null,
          };
        });
      } catch (error) {
        if (error.name === "AbortError") return;
        setState((old) => ({ ...old, isLoading: false, error }));
      }
    },
    [path, limit, extra],
  );

  usePolling(loadFirst, ms, [loadFirst]);

  const more = useCallback(async () => {
    const { rows, hasMore } = current.current;
    if (!hasMore || loading.current || !rows.length) return;
    loading.current = true;
    try {
      const page = await api.get(path, { limit, after: rows.at(-1).id, ...JSON.parse(extra) });
      setState((old) => {
        const known = new Set(old.rows.map((row) => row.id));
        return {
          ...old,
          rows: old.rows.concat(page.data.filter((row) => !known.has(row.id))),
          hasMore: page.has_more,
        };
      });
    } catch (error) {
      setState((old) => ({ ...old, error }));
    } finally {
      loading.current = false;
    }
  }, [path, limit, extra]);

  const remove = (id) => setState((old) => ({ ...old, rows: old.rows.filter((row) => row.id !== id) }));
  return { ...state, more, remove, refresh: loadFirst };
}
