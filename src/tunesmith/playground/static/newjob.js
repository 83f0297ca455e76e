// A new fine-tuning job: data with its findings and repairs, model, hyperparameters.
import { api } from "./api.js";
import { ModelSelect, useModels } from "./models.js";
import {
  Empty,
  ErrorNote,
  Field,
  formatBytes,
  formatNumber,
  html,
  TextArea,
  useEffect,
  useRef,
  useState,
} from "./ui.js";

const SPLITS = [
  ["", "No validation file"],
  ["0.1", "10 % of the rows"],
  ["0.2", "20 % of the rows"],
];
const FORMATS = [
  ["", "As the model needs it"],
  ["chat", "Chat"],
  ["completions", "Completions"],
];
const TRAINABLE = ["supervised", "dpo", "reinforcement"];

function DropZone({ file, onFile, onError }) {
  const [isOver, setOver] = useState(false);
  const input = useRef();
  async function useExample(event) {
    event.preventDefault();
    try {
      const { name, content } = await api.page("example");
      onFile(new File([content], name));
    } catch (error) {
      onError(error);
    }
  }
  return html`<div
    class="drop ${isOver ? "over" : ""}"
    onDragOver=${(event) => {
      event.preventDefault();
      setOver(true);
    }}
    onDragLeave=${() => setOver(false)}
    onDrop=${(event) => {
      event.preventDefault();
      setOver(false);
      if (event.dataTransfer.files[0]) onFile(event.dataTransfer.files[0]);
    }}
  >
    <input
      ref=${input}
      id="data"
      type="file"
      class="hidden"
      accept=".csv,.tsv,.xlsx,.txt,.json,.jsonl,.parquet,.gz,.zst"
      onChange=${(event) => event.target.files[0] && onFile(event.target.files[0])}
    />
    ${
      file
        ? html`<strong>${file.name}</strong> <span class="note">${formatBytes(file.size)}</span>
            <label for="data" class="button">Choose another</label>`
        : html`<span>Drop a table (CSV, XLSX, Parquet) or JSON Lines here, or</span>
            <label for="data" class="button primary">Choose a file</label>
            <button type="button" class="quiet" onClick=${useExample}>Use the example</button>`
    }
  </div>`;
}

function Summary({ checked }) {
  const { rows, rows_after: left = rows, source_format: source, format, tokens } = checked;
  const parts = [`${formatNumber(rows)} rows in the format ${source}${source === format ? "" : `, converted to ${format}`}.`];
  if (tokens) {
    const about = tokens.exact ? "" : "About ";
    parts.push(`${about}${formatNumber(tokens.total)} tokens an epoch, ${formatNumber(tokens.trained)} of them learnt.`);
  }
  if (left !== rows) parts.push(`${formatNumber(left)} rows remain after the repairs.`);
  return html`<p>${parts.join(" ")}</p>`;
}

/** Show what is in backticks as code. */
const withCode = (text) =>
  text.split("`").map((part, i) => (i % 2 ? html`<code key=${i}>${part}</code>` : part));

function Findings({ findings, declined, onToggle }) {
  if (!findings.length) return html`<p class="good">No problems were found.</p>`;
  return html`<ul class="findings">
    ${findings.map(
      (finding) =>
        html`<li key=${finding.code + finding.message} class=${finding.severity}>
          <span class="state ${{ fatal: "bad", error: "bad", warning: "warn" }[finding.severity] ?? "active"}">${finding.severity}</span>
          <div>
            <p>${withCode(finding.message)}</p>
            ${
              finding.excerpt &&
              html`<p class="note">
                ${finding.lines.length > 0 && `Line ${finding.lines[0]}: `}<code>${finding.excerpt}</code>
              </p>`
            }
            ${
              finding.fix &&
              html`<label class="fix"><input
                  type="checkbox"
                  checked=${finding.status === "required" || !declined.includes(finding.code)}
                  disabled=${finding.status === "required"}
                  onChange=${() => onToggle(finding.code)}
                />
                <span>${withCode(finding.fix)}</span></label>`
            }
          </div>
        </li>`,
    )}
  </ul>`;
}

const FIRST_ROWS = 3;

function Preview({ preview }) {
  const [isWhole, setWhole] = useState(false);
  const rows = isWhole ? preview : preview.slice(0, FIRST_ROWS);
  return html`<div class="preview">
    <p class="note">
      The model learns to write <mark>${preview[0].tokens ? "the marked tokens" : "the marked text"}</mark>;
      the rest is context.
    </p>
    ${rows.map(
      (row) =>
        html`<div key=${row.line} class="example">
          ${
            row.tokens
              ? row.tokens.map(
                  (tokens, i) =>
                    html`<p key=${i} class="split">
                      ${tokens.map(([text, isLearned], j) =>
                        isLearned ? html`<mark key=${j}>${text}</mark>` : html`<span key=${j}>${text}</span>`,
                      )}
                    </p>`,
                )
              : row.segments.map(
                  (segment, i) =>
                    html`<p key=${i}>
                      <span class="note">${segment.role}</span>
                      ${segment.is_learned ? html`<mark>${segment.text}</mark>` : segment.text}
                    </p>`,
                )
          }
        </div>`,
    )}
    ${
      preview.length > FIRST_ROWS &&
      html`<button type="button" class="small" aria-expanded=${isWhole} onClick=${() => setWhole(!isWhole)}>
        ${isWhole ? "Show fewer rows" : `Show ${preview.length} rows`}
      </button>`
    }
  </div>`;
}

function NumberField({ label, value, onInput, ...limits }) {
  return html`<${Field} label=${label}>${(id) =>
    html`<input
      id=${id}
      type="number"
      placeholder="auto"
      value=${value}
      ...${limits}
      onInput=${(event) => onInput(event.target.value)}
    />`}</${Field}>`;
}

const METHODS = { completions: "supervised", chat: "supervised", dpo: "dpo", reinforcement: "reinforcement" };

/** Write the choices as parameters of the API. */
export function jobRequest(choices, format, files) {
  const type = METHODS[format];
  const hyperparameters = {};
  for (const [name, value] of [
    ["n_epochs", choices.epochs],
    ["batch_size", choices.batchSize],
    ["learning_rate_multiplier", choices.learningRate],
  ]) {
    if (value !== "") hyperparameters[name] = Number(value);
  }
  if (type === "dpo" && choices.beta !== "") hyperparameters.beta = Number(choices.beta);
  const method = { type, [type]: { hyperparameters } };
  if (type === "reinforcement") method.reinforcement.grader = JSON.parse(choices.grader);
  const request = { model: choices.model, training_file: files.training_file, method };
  if (files.validation_file) request.validation_file = files.validation_file;
  if (choices.suffix) request.suffix = choices.suffix;
  if (choices.seed !== "") request.seed = Number(choices.seed);
  if (choices.options.trim()) request.tunesmith = JSON.parse(choices.options);
  return request;
}

export default function NewJob() {
  const [file, setFile] = useState(null);
  const [choices, setChoices] = useState({
    model: "",
    epochs: "",
    batchSize: "",
    learningRate: "",
    beta: "",
    grader: "",
    suffix: "",
    seed: "",
    options: "",
  });
  const [split, setSplit] = useState("");
  const [format, setFormat] = useState("");
  const [declined, setDeclined] = useState([]);
  const [checked, setChecked] = useState(null);
  const [isBusy, setBusy] = useState("");
  const [error, setError] = useState(null);
  const list = useModels();
  const set = (name) => (value) => setChoices((old) => ({ ...old, [name]: value }));

  useEffect(() => {
    if (!list || choices.model) return;
    const names = list.map((model) => model.id);
    const today = new Date().toISOString().slice(0, 10);
    const first =
      list.find((model) => !model.abilities)?.id ??
      ["babbage-002", "gpt-4.1-nano-2025-04-14"].find((name) => names.includes(name)) ??
      list.find((model) => model.abilities?.includes("supervised") && !(model.shutdown <= today))?.id;
    if (first) set("model")(first);
  }, [list]);

  useEffect(() => {
    if (!file || !choices.model) return undefined;
    const stop = new AbortController();
    setBusy("Reading the data…");
    api
      .pagePost("datasets", { name: file.name, model: choices.model, format, declined }, file, stop.signal)
      .then((result) => {
        setChecked(result);
        setError(null);
        setBusy("");
      })
      .catch((problem) => {
        if (problem.name !== "AbortError") {
          setChecked(null);
          setError(problem);
          setBusy("");
        }
      });
    return () => stop.abort();
  }, [file, choices.model, format, declined]);

  async function start(event) {
    event.preventDefault();
    setError(null);
    setBusy("Uploading…");
    try {
      const files = await api.pagePost(
        "datasets",
        { name: file.name, model: choices.model, format, declined, split, upload: "1" },
        file,
      );
      const job = await api.post("fine_tuning/jobs", jobRequest(choices, checked.format, files));
      location.hash = `#/fine-tune/${encodeURIComponent(job.id)}`;
    } catch (problem) {
      setError(problem);
      setBusy("");
    }
  }

  const obstacle = !file
    ? "Choose training data first."
    : !choices.model
      ? "Choose a model first."
      : isBusy || (!checked?.usable && "The data cannot be used: see the reasons under Training data.");

  return html`<p><a href="#/fine-tune">← All jobs</a></p>
    <h2>New fine-tune</h2>
    <form class="newjob" onSubmit=${start}>
      <section aria-label="Training data">
        <h3>1. Training data</h3>
        <${DropZone} file=${file} onFile=${(next) => {
          setChecked(null);
          setDeclined([]);
          setFile(next);
        }} onError=${setError} />
        <p class="note" role="status">${isBusy}</p>
        <${ErrorNote} error=${error} />
        ${
          checked &&
          html`<${Summary} checked=${checked} />
            <${Findings}
              findings=${checked.findings}
              declined=${declined}
              onToggle=${(code) => setDeclined((old) => (old.includes(code) ? old.filter((each) => each !== code) : [...old, code]))}
            />
            ${checked.preview.length > 0 && html`<${Preview} preview=${checked.preview} />`}`
        }
        ${
          !file &&
          html`<${Empty}>The file is checked on the server of this page before anything is uploaded to the API.</${Empty}>`
        }
      </section>
      <section aria-label="Model and hyperparameters" class="settings">
        <h3>2. Model</h3>
        <${ModelSelect} value=${choices.model} onChange=${set("model")} abilities=${TRAINABLE} />
        <${Field} label="Format of the rows">${(id) =>
          html`<select id=${id} value=${format} onChange=${(event) => setFormat(event.target.value)}>
            ${FORMATS.map(([value, label]) => html`<option key=${value} value=${value}>${label}</option>`)}
          </select>`}</${Field}>
        <${Field} label="Suffix of the new name">${(id) =>
          html`<input
            id=${id}
            maxlength="64"
            value=${choices.suffix}
            onInput=${(event) => set("suffix")(event.target.value)}
          />`}</${Field}>
        <${Field} label="Validation">${(id) =>
          html`<select id=${id} value=${split} onChange=${(event) => setSplit(event.target.value)}>
            ${SPLITS.map(([value, label]) => html`<option key=${value} value=${value}>${label}</option>`)}
          </select>`}</${Field}>
        <h3>3. Hyperparameters</h3>
        <${NumberField} label="Epochs" min="1" max="50" value=${choices.epochs} onInput=${set("epochs")} />
        <${NumberField} label="Batch size" min="1" max="256" value=${choices.batchSize} onInput=${set("batchSize")} />
        <${NumberField} label="Learning rate multiplier" min="0" step="any" value=${choices.learningRate} onInput=${set("learningRate")} />
        ${
          checked?.format === "dpo" &&
          html`<${NumberField}
            label="Beta"
            min="0"
            max="2"
            step="any"
            value=${choices.beta}
            onInput=${set("beta")}
          />`
        }
        <${NumberField} label="Seed" min="0" value=${choices.seed} onInput=${set("seed")} />
        ${
          checked?.format === "reinforcement" &&
          html`<${Field} label="Grader" hint="JSON, as in the API.">${(id, hint) =>
            html`<${TextArea}
              id=${id}
              aria-describedby=${hint}
              class="mono"
              value=${choices.grader}
              onInput=${set("grader")}
            />`}</${Field}>`
        }
        <details><summary>Options of the engine</summary>
          <${Field} label="Options" hint="JSON for a tunesmith server with real weights.">${(id, hint) =>
            html`<${TextArea}
              id=${id}
              aria-describedby=${hint}
              class="mono"
              placeholder='{"lora_rank": 16}'
              value=${choices.options}
              onInput=${set("options")}
            />`}</${Field}>
        </details>
        <div class="actions">
          <button class="primary" disabled=${Boolean(obstacle)} aria-describedby="obstacle">Start fine-tuning</button>
          <span id="obstacle" class="note">${obstacle}</span>
        </div>
      </section>
    </form>`;
}
