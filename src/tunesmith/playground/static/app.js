// The frame of the page: navigation, key, connection. Each view is loaded when it is first shown.
import { connection, loadConfig, setKey, takeKeyFromAddress } from "./api.js";
import { modelsError, useModels } from "./models.js";
import { createStore, ErrorNote, html, render, useEffect, useRef, useState, useStore } from "./ui.js";

const VIEWS = {
  try: ["Try", () => import("./try.js")],
  compare: ["Compare", () => import("./compare.js")],
  "fine-tune": ["Fine-tune", () => import("./tune.js")],
  files: ["Files", () => import("./files.js")],
  batches: ["Batches", () => import("./batches.js")],
  attention: ["Attention", () => import("./attention.js")],
};

const route = createStore(readRoute());
window.addEventListener("hashchange", () => route.set(readRoute()));

function readRoute() {
  const [view, ...rest] = location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  return { view: VIEWS[view] ? view : "try", id: rest.join("/") };
}

function KeyDialog({ message }) {
  const dialog = useRef();
  const [value, setValue] = useState("");
  useEffect(() => dialog.current.showModal(), []);
  return html`<dialog ref=${dialog} aria-labelledby="key-title" onCancel=${(event) => event.preventDefault()}>
    <form
      onSubmit=${(event) => {
        event.preventDefault();
        if (value.trim()) setKey(value);
      }}
    >
      <h2 id="key-title">API key</h2>
      <p>This server needs a key. It is kept in this tab's memory only, until the page is closed.</p>
      ${message && html`<p class="bad" role="alert">${message}</p>`}
      <label for="key">Key</label>
      <input
        id="key"
        type="password"
        autocomplete="off"
        value=${value}
        onInput=${(event) => setValue(event.target.value)}
      />
      <p class="actions"><button class="primary">Use the key</button></p>
    </form>
  </dialog>`;
}

const THEMES = { "": "System colours", light: "Light", dark: "Dark" };

function ThemeSelect() {
  const [theme, setTheme] = useState("");
  useEffect(() => {
    document.documentElement.style.colorScheme = theme || "light dark";
  }, [theme]);
  return html`<select
    class="theme"
    aria-label="Colours"
    value=${theme}
    onChange=${(event) => setTheme(event.target.value)}
  >
    ${Object.entries(THEMES).map(([value, text]) => html`<option key=${value} value=${value}>${text}</option>`)}
  </select>`;
}

function App() {
  const { view, id } = useStore(route);
  const { isLost, needsKey, keyError, config } = useStore(connection);
  const [loaded, setLoaded] = useState({});
  const error = useStore(modelsError);
  useModels();
  useEffect(() => {
    let isCurrent = true;
    VIEWS[view][1]().then((module) => {
      if (isCurrent) setLoaded({ view, View: module.default });
    });
    document.title = `${VIEWS[view][0]} · tunesmith playground`;
    return () => {
      isCurrent = false;
    };
  }, [view]);
  return html` <a
      class="skip"
      href="#main"
      onClick=${(event) => {
        event.preventDefault();
        document.querySelector("main").focus();
      }}>Skip to content</a>
    <header class="top">
      <strong class="brand"><img src="playground/icon.svg" alt="" width="22" height="22" />tunesmith</strong>
      <nav aria-label="Views">
        ${Object.entries(VIEWS)
          .filter(([name]) => name !== "attention" || config?.has_attention)
          .map(
            ([name, [label]]) =>
              html` <a key=${name} href="#/${name}" aria-current=${name === view ? "page" : undefined}>${label}</a>`,
          )}
      </nav>
      <div class="status">
        <span class="server note" title=${config?.base_url ?? ""}>${config?.base_url ?? location.host}</span><${ThemeSelect} />
      </div>
    </header>
    <div role="status">${isLost && html`<p class="lost">The server does not respond. Trying again…</p>`}</div>
    <main id="main" tabindex="-1">
      <h1 class="hidden">${VIEWS[view][0]}</h1>
      <${ErrorNote} error=${error && { message: `The models cannot be listed: ${error.message}` }} />
      ${loaded.view === view && config && html`<${loaded.View} id=${id} />`}
    </main>
    ${needsKey && html`<${KeyDialog} key=${keyError} message=${keyError} />`}`;
}

const hasKey = takeKeyFromAddress();
route.set(readRoute());
async function start() {
  try {
    await loadConfig(hasKey);
  } catch {
    // The connection is shown as lost, and its configuration is read when it is back.
  }
  render(html`<${App} />`, document.getElementById("app"));
}
start();
