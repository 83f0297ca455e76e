// Batches: list with progress, errors by cause, results.
import { api, usePages, usePolling } from "./api.js";
import {
  download,
  Empty,
  ErrorNote,
  Field,
  formatNumber,
  formatTime,
  html,
  useState,
  VirtualTable,
} from "./ui.js";

const KINDS = { completed: "good", failed: "bad", expired: "bad", cancelled: "warn", cancelling: "warn" };
const isOver = (batch) => ["completed", "failed", "expired", "cancelled"].includes(batch.status);
const Status = ({ batch }) =>
  html`<span class="state ${KINDS[batch.status] ?? "active"}">${batch.status.replaceAll("_", " ")}</span>`;
const ENDPOINTS = [
  "/v1/chat/completions",
  "/v1/completions",
  "/v1/embeddings",
  "/v1/responses",
  "/v1/moderations",
];

function Progress({ batch }) {
  const { total = 0, completed = 0, failed = 0 } = batch.request_counts ?? {};
  if (!total) return null;
  return html`<span class="progress"><progress value=${completed + failed} max=${total} aria-label="Requests of ${batch.id}"></progress>
    <span class="note">${`${formatNumber(completed + failed)} / ${formatNumber(total)}`}${
        failed > 0 && html` · <span class="bad">${formatNumber(failed)} failed</span>`
      }</span></span>`;
}

/** Count the errors of a batch by their cause. */
export function errorsByCause(text) {
  const causes = new Map();
  for (const line of text.split("\n")) {
    if (!line.trim()) continue;
    let row;
    try {
      row = JSON.parse(line);
    } catch {
      row = { error: { message: "A line of the error file is not JSON." } };
    }
    const error = row.response?.body?.error ?? row.error ?? {};
    const cause =
      [row.response?.status_code, error.code ?? error.type, error.message].filter(Boolean).join(" · ") ||
      "unknown";
    const known = causes.get(cause) ?? { id: cause, count: 0, example: row.custom_id };
    known.count += 1;
    causes.set(cause, known);
  }
  return [...causes.values()].sort((a, b) => b.count - a.count);
}

function BatchPanel({ id }) {
  const [batch, setBatch] = useState(null);
  const [causes, setCauses] = useState(null);
  const [error, setError] = useState(null);
  const path = `batches/${encodeURIComponent(id)}`;
  usePolling(
    async (signal) => {
      try {
        const next = await api.get(path, {}, signal);
        setBatch(next);
        if (!isOver(next)) return undefined;
        if (next.error_file_id)
          setCauses(
            errorsByCause(
              await (
                await api.content(`files/${encodeURIComponent(next.error_file_id)}/content`, signal)
              ).text(),
            ),
          );
      } catch (problem) {
        if (problem.name === "AbortError") return undefined;
        setError(problem);
      }
      return "done";
    },
    1500,
    [path],
  );
  async function cancel() {
    try {
      setBatch(await api.post(`${path}/cancel`));
    } catch (problem) {
      setError(problem);
    }
  }
  async function save(fileId, name) {
    try {
      download(name, await (await api.content(`files/${encodeURIComponent(fileId)}/content`)).blob());
    } catch (problem) {
      setError(problem);
    }
  }
  const back = html`<p><a href="#/batches">← All batches</a></p>`;
  if (!batch) return html`${back}<${ErrorNote} error=${error} />`;
  const invalid = (batch.errors?.data ?? []).map((each, i) => ({
    id: i,
    count: each.line ? `line ${each.line}` : "",
    cause: `${each.code ?? ""} ${each.message ?? ""}`,
  }));
  const failures = causes?.map((each) => ({ ...each, cause: each.id })) ?? invalid;
  const columns = [
    {
      name: causes ? "Requests" : "Place",
      class: "number",
      cell: (row) => (causes ? formatNumber(row.count) : row.count),
    },
    { name: "Cause", class: "wide", cell: (row) => row.cause },
    { name: "First", class: "time", cell: (row) => row.example ?? "" },
  ];
  return html`${back}
    <div class="bar">
      <h2 class="title">${batch.id} <${Status} batch=${batch} /></h2>
      <div class="actions">
        ${
          !isOver(batch) &&
          batch.status !== "cancelling" &&
          html`<button type="button" onClick=${cancel}>Cancel</button>`
        }
        ${
          batch.output_file_id &&
          html`<button
            type="button"
            class="primary"
            onClick=${() => save(batch.output_file_id, `${id}_output.jsonl`)}
          >
            Download results
          </button>`
        }
        ${
          batch.error_file_id &&
          html`<button type="button" onClick=${() => save(batch.error_file_id, `${id}_errors.jsonl`)}>
            Download errors
          </button>`
        }
      </div>
    </div>
    <${ErrorNote} error=${error} />
    <${Progress} batch=${batch} />
    <dl class="facts">
      ${[
        ["Endpoint", batch.endpoint],
        ["Model", batch.model],
        ["Input file", batch.input_file_id],
        ["Created", formatTime(batch.created_at)],
        ["Completed", formatTime(batch.completed_at)],
        ["Expires", isOver(batch) ? "" : formatTime(batch.expires_at)],
      ]
        .filter(([, value]) => value)
        .map(
          ([name, value]) =>
            html`<div key=${name}>
              <dt>${name}</dt>
              <dd>${value}</dd>
            </div>`,
        )}
    </dl>
    ${
      failures.length > 0 &&
      html`<section aria-label="Errors">
        <h2>Errors by cause</h2>
        <${VirtualTable} label="Errors by cause" layout="causes" columns=${columns} rows=${failures} />
      </section>`
    }`;
}

function NewBatch({ onError }) {
  const [endpoint, setEndpoint] = useState(ENDPOINTS[0]);
  const [isBusy, setBusy] = useState(false);
  async function start(event) {
    const [file] = event.target.files;
    event.target.value = "";
    if (!file) return;
    setBusy(true);
    try {
      const stored = await api.upload(file, "batch");
      const batch = await api.post("batches", {
        input_file_id: stored.id,
        endpoint,
        completion_window: "24h",
      });
      location.hash = `#/batches/${encodeURIComponent(batch.id)}`;
    } catch (problem) {
      onError(problem);
    } finally {
      setBusy(false);
    }
  }
  return html`<div class="bar">
    <${Field} label="Endpoint of a new batch">${(id) =>
      html`<select id=${id} value=${endpoint} onChange=${(event) => setEndpoint(event.target.value)}>
        ${ENDPOINTS.map((each) => html`<option key=${each} value=${each}>${each}</option>`)}
      </select>`}</${Field}>
    <div class="actions"><input id="batch" class="hidden" type="file" accept=".jsonl" disabled=${isBusy} onChange=${start} /><label class="button primary" for="batch">Upload requests and start</label></div>
  </div>`;
}

function BatchList() {
  const { rows, more, isLoading, error } = usePages("batches", { limit: 100, ms: 2000 });
  const [problem, setProblem] = useState(null);
  const columns = [
    {
      name: "Batch",
      class: "id",
      cell: (batch) => html`<a href="#/batches/${encodeURIComponent(batch.id)}">${batch.id}</a>`,
    },
    { name: "Status", cell: (batch) => html`<${Status} batch=${batch} />` },
    { name: "Progress", class: "wide", cell: (batch) => html`<${Progress} batch=${batch} />` },
    { name: "Endpoint", class: "time", cell: (batch) => batch.endpoint },
    { name: "Created", class: "time", cell: (batch) => formatTime(batch.created_at) },
  ];
  return html`<${NewBatch} onError=${setProblem} />
    <${ErrorNote} error=${problem ?? error} />
    ${
      rows.length
        ? html`<${VirtualTable}
            label="Batches"
            layout="batches"
            columns=${columns}
            rows=${rows}
            onEnd=${more}
          />`
        : !isLoading && !error && html`<${Empty}>No batches yet. Upload JSON Lines, one request a line: custom_id, method, url and body.</${Empty}>`
    }`;
}

export default function Batches({ id }) {
  return id ? html`<${BatchPanel} key=${id} id=${id} />` : html`<${BatchList} />`;
}
