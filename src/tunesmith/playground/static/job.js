// One fine-tuning job: status, actions, curves, checkpoints, events, results.
import { api, connection, usePages, usePolling } from "./api.js";
import { compareModels } from "./comparison.js";
import { isFinal, JobCharts, readResults } from "./metrics.js";
import { loadModels } from "./models.js";
import { writeNumber } from "./chart.js";
import { useInTry } from "./try.js";
import {
  download,
  ErrorNote,
  formatNumber,
  formatTime,
  html,
  useEffect,
  useState,
  useStore,
  VirtualTable,
} from "./ui.js";

const KINDS = { succeeded: "good", failed: "bad", cancelled: "warn", paused: "warn" };

export function JobStatus({ job }) {
  return html`<span class="state ${KINDS[job.status] ?? "active"}">${job.status.replaceAll("_", " ")}</span>`;
}

function Facts({ job }) {
  const method = job.method?.type;
  const chosen = (method && job.method[method]?.hyperparameters) ?? job.hyperparameters ?? {};
  const names = {
    n_epochs: "Epochs",
    batch_size: "Batch size",
    learning_rate_multiplier: "Learning rate multiplier",
    beta: "Beta",
  };
  const facts = [
    ["Base model", job.model],
    ["Fine-tuned model", job.fine_tuned_model],
    ["Suffix", job.fine_tuned_model ? null : job.user_provided_suffix],
    ["Method", method],
    ...Object.entries(chosen)
      .filter(([, value]) => value != null)
      .map(([name, value]) => [names[name] ?? name, String(value)]),
    ["Seed", job.seed],
    ["Trained tokens", formatNumber(job.trained_tokens)],
    ["Training file", job.training_file],
    ["Validation file", job.validation_file],
    ["Created", formatTime(job.created_at)],
    ["Finished", formatTime(job.finished_at)],
  ].filter(([, value]) => value != null && value !== "");
  return html`<dl class="facts">
    ${facts.map(
      ([name, value]) =>
        html`<div key=${name}>
          <dt>${name}</dt>
          <dd>${value}</dd>
        </div>`,
    )}
  </dl>`;
}

function Progress({ events }) {
  const last = events.find((event) => event.data?.total_steps);
  if (!last) return null;
  const { step, total_steps: total } = last.data;
  return html`<div class="progress">
    <progress value=${step} max=${total} aria-label="Steps"></progress>
    <span class="note">step ${formatNumber(step)} of ${formatNumber(total)}</span>
  </div>`;
}

const loss = (value) => (Number.isFinite(value) ? writeNumber(value) : "");

function Checkpoints({ job, rows }) {
  if (!rows.length) return null;
  const columns = [
    { name: "Step", class: "number", cell: (row) => formatNumber(row.step_number) },
    { name: "Loss", class: "number", cell: (row) => loss(row.metrics?.train_loss) },
    {
      name: "Validation",
      class: "number",
      cell: (row) => loss(row.metrics?.full_valid_loss ?? row.metrics?.valid_loss),
    },
    { name: "Model", class: "wide", cell: (row) => row.fine_tuned_model_checkpoint },
    {
      name: "Actions",
      class: "buttons",
      cell: (row) =>
        html` <button type="button" class="small" onClick=${() => useInTry(row.fine_tuned_model_checkpoint)}>
            Use
          </button>
          <button
            type="button"
            class="small"
            onClick=${() =>
              compareModels(
                [job.model, row.fine_tuned_model_checkpoint],
                job.validation_file ?? job.training_file,
              )}
          >
            Compare
          </button>`,
    },
  ];
  return html`<section aria-label="Checkpoints">
    <h2>Checkpoints</h2>
    <${VirtualTable}
      label="Checkpoints"
      layout="checkpoints"
      columns=${columns}
      rows=${rows}
      rowHeight=${44}
      maxRows=${6}
    />
  </section>`;
}

const EVENT_COLUMNS = [
  { name: "Time", class: "time", cell: (event) => formatTime(event.created_at) },
  {
    name: "Level",
    cell: (event) =>
      html`<span class=${{ error: "bad", warn: "warn" }[event.level] ?? ""}>${event.level}</span>`,
  },
  { name: "Event", class: "wide", cell: (event) => event.message },
];

export default function Job({ id }) {
  const path = `fine_tuning/jobs/${encodeURIComponent(id)}`;
  const [job, setJob] = useState(null);
  const [error, setError] = useState(null);
  const [isEnded, setEnded] = useState(false);
  const { config } = useStore(connection);
  const ms = isEnded ? 0 : 1500;
  const events = usePages(`${path}/events`, { limit: 100, ms });
  const checkpoints = usePages(`${path}/checkpoints`, { limit: 100, ms: isEnded ? 0 : 3000 });

  usePolling(
    async (signal) => {
      try {
        const next = await api.get(path, {}, signal);
        setJob(next);
        setError(null);
        setEnded(isFinal(next));
        return isFinal(next) ? "done" : undefined;
      } catch (problem) {
        if (problem.name !== "AbortError") setError(problem);
        return problem.status === 404 ? "done" : undefined;
      }
    },
    1500,
    [path, isEnded],
  );
  useEffect(() => {
    if (job?.fine_tuned_model) loadModels().catch(() => {});
  }, [job?.fine_tuned_model]);

  async function act(action) {
    setError(null);
    try {
      setJob(await api.post(`${path}/${action}`));
    } catch (problem) {
      setError(problem);
    }
  }
  async function saveResults() {
    try {
      download(`${id}.csv`, await readResults(job), "text/csv");
    } catch (problem) {
      setError(problem);
    }
  }

  async function saveWeights() {
    try {
      download(
        `${job.fine_tuned_model.replace(/[^\w.-]/g, "_")}.tar`,
        await api.pageBlob(`weights/${encodeURIComponent(job.fine_tuned_model)}`),
      );
    } catch (problem) {
      setError(problem);
    }
  }

  const back = html`<p><a href="#/fine-tune">← All jobs</a></p>`;
  if (!job) return html`${back}<${ErrorNote} error=${error} />`;
  const can = (action) =>
    ({
      pause: ["running", "queued"],
      resume: ["paused"],
      cancel: ["validating_files", "queued", "running", "paused"],
    })[action].includes(job.status);
  return html`${back}
    <div class="bar">
      <h2 class="title">${job.id} <${JobStatus} job=${job} /></h2>
      <div class="actions">
        ${["pause", "resume", "cancel"]
          .filter(can)
          .map(
            (action) =>
              html`<button key=${action} type="button" onClick=${() => act(action)}>
                ${action[0].toUpperCase() + action.slice(1)}
              </button>`,
          )}
        ${
          job.fine_tuned_model &&
          html` <button
              type="button"
              class="primary"
              onClick=${() => compareModels([job.model, job.fine_tuned_model], job.validation_file ?? job.training_file)}
            >
              Compare with base
            </button>
            <button type="button" onClick=${() => useInTry(job.fine_tuned_model)}>Use</button>`
        }
        ${
          job.fine_tuned_model &&
          config?.has_weights &&
          html`<button type="button" onClick=${saveWeights}>Weights</button>`
        }
        ${
          job.result_files?.length > 0 &&
          html`<button type="button" onClick=${saveResults}>Results as CSV</button>`
        }
      </div>
    </div>
    <${ErrorNote} error=${error} onClose=${() => setError(null)} />
    ${job.error?.message && html`<div class="error-note"><span>${job.error.message}</span></div>`}
    ${!isEnded && html`<${Progress} events=${events.rows} />`}
    <div class="job">
      <section aria-label="Curves"><${JobCharts} jobs=${[job]} name=${job.id} /></section>
      <${Facts} job=${job} />
    </div>
    <${Checkpoints} job=${job} rows=${checkpoints.rows} />
    <section aria-label="Events">
      <h2>Events</h2>
      <${ErrorNote} error=${events.error} />
      <${VirtualTable}
        label="Events"
        layout="events"
        columns=${EVENT_COLUMNS}
        rows=${events.rows}
        onEnd=${events.more}
      />
    </section>`;
}
