// Files: list, preview, upload, download, delete.
import { api, usePages } from "./api.js";
import { decodeResults } from "./metrics.js";
import {
  download,
  Empty,
  ErrorNote,
  Field,
  formatBytes,
  formatNumber,
  formatTime,
  html,
  useEffect,
  useLayoutEffect,
  useRef,
  useState,
  VirtualTable,
} from "./ui.js";

const PURPOSES = [
  "fine-tune",
  "fine-tune-results",
  "batch",
  "batch_output",
  "assistants",
  "vision",
  "user_data",
  "evals",
];
const PREVIEW_BYTES = 20_000;
const PAGE = 1000;

const path = (file) => `files/${encodeURIComponent(file.id)}`;

/** Read the beginning of a file, and leave the rest. */
async function readStart(file, signal) {
  const response = await api.content(`${path(file)}/content`, signal);
  if (file.purpose === "fine-tune-results") {
    return {
      text: decodeResults(await response.text()).slice(0, PREVIEW_BYTES),
      isWhole: file.bytes < PREVIEW_BYTES,
    };
  }
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  while (text.length < PREVIEW_BYTES) {
    const { value, done } = await reader.read();
    if (done) return { text, isWhole: true };
    text += decoder.decode(value, { stream: true });
  }
  reader.cancel().catch(() => {});
  return { text: text.slice(0, PREVIEW_BYTES), isWhole: false };
}

function Preview({ file, onClose, onDelete }) {
  const panel = useRef();
  const [content, setContent] = useState(null);
  const [error, setError] = useState(null);
  useEffect(() => {
    const stop = new AbortController();
    setContent(null);
    setError(null);
    readStart(file, stop.signal).then(
      setContent,
      (problem) => problem.name !== "AbortError" && setError(problem),
    );
    return () => stop.abort();
  }, [file.id]);
  useLayoutEffect(() => panel.current.scrollIntoView({ block: "nearest" }), [content]);
  async function save() {
    try {
      download(file.filename || file.id, await (await api.content(`${path(file)}/content`)).blob());
    } catch (problem) {
      setError(problem);
    }
  }
  return html`<section ref=${panel} class="panel" aria-label="Preview">
    <div class="bar">
      <h2>${file.filename || file.id}</h2>
      <div class="actions">
        <button type="button" onClick=${save}>Download</button>
        <button type="button" onClick=${() => onDelete(file).catch(setError)}>Delete</button>
        <button type="button" class="quiet" onClick=${onClose}>Close</button>
      </div>
    </div>
    <p class="note">${file.id} · ${file.purpose} · ${formatBytes(file.bytes)} · ${file.status}</p>
    <${ErrorNote} error=${error} />
    ${
      content &&
      html`<pre tabindex="0" aria-label="Beginning of the file">${content.text}</pre>
        ${!content.isWhole && html`<p class="note">The beginning of the file.</p>`}`
    }
  </section>`;
}

export default function Files({ id }) {
  const [purpose, setPurpose] = useState("");
  const [selected, setSelected] = useState(null);
  const [error, setError] = useState(null);
  const [status, setStatus] = useState("");
  const {
    rows,
    more,
    hasMore,
    remove,
    refresh,
    isLoading,
    error: listError,
  } = usePages("files", { limit: PAGE, query: { purpose }, ms: 5000 });

  useEffect(() => {
    if (!id) return undefined;
    const stop = new AbortController();
    api
      .get(path({ id }), {}, stop.signal)
      .then(setSelected, (problem) => problem.name !== "AbortError" && setError(problem));
    return () => stop.abort();
  }, [id]);

  async function upload(event) {
    const [file] = event.target.files;
    event.target.value = "";
    if (!file) return;
    setError(null);
    setStatus(`Uploading ${file.name}…`);
    try {
      const stored = await api.upload(file, purpose === "batch" ? "batch" : "fine-tune");
      setStatus(`${file.name} is stored as ${stored.id}.`);
      refresh();
    } catch (problem) {
      setError(problem);
      setStatus("");
    }
  }
  async function deleteFile(file) {
    if (!confirm(`Delete ${file.filename || file.id}?`)) return;
    await api.delete(path(file));
    remove(file.id);
    setSelected(null);
  }

  const columns = [
    {
      name: "Name",
      class: "wide",
      cell: (file) =>
        html`<button type="button" class="link" onClick=${() => setSelected(file)}>
          ${file.filename || file.id}
        </button>`,
    },
    { name: "Purpose", cell: (file) => file.purpose },
    { name: "Size", class: "number", cell: (file) => formatBytes(file.bytes) },
    { name: "Created", class: "time", cell: (file) => formatTime(file.created_at) },
    { name: "ID", class: "time", cell: (file) => file.id },
  ];
  return html`
    <div class="bar">
      <${Field} label="Purpose">${(id) =>
        html`<select
          id=${id}
          value=${purpose}
          onChange=${(event) => {
            setPurpose(event.target.value);
            setSelected(null);
          }}
        >
          <option value="">All purposes</option>
          ${PURPOSES.map((each) => html`<option key=${each} value=${each}>${each}</option>`)}
        </select>`}</${Field}>
      <div class="actions"><input id="upload" class="hidden" type="file" accept=".jsonl" onChange=${upload} /><label class="button" for="upload">Upload JSON Lines</label></div>
    </div>
    <p class="note" role="status">${status || (rows.length ? `${formatNumber(rows.length)}${hasMore ? "+" : ""} files` : "")}</p>
    <${ErrorNote} error=${error ?? listError} />
    ${
      rows.length
        ? html`<${VirtualTable}
            label="Files"
            layout="files"
            columns=${columns}
            rows=${rows}
            onEnd=${more}
            selected=${selected?.id}
          />`
        : !isLoading && !listError && html`<${Empty}>No files.</${Empty}>`
    }
    ${
      selected &&
      html`<${Preview} file=${selected} onClose=${() => setSelected(null)} onDelete=${deleteFile} />`
    }`;
}
