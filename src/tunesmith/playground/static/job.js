// One fine-tuning job: status, actions, curves, checkpoints, events, results.
import { api, connection, usePages, usePolling } from "./api.js";
import { compareModels } from "./comparison.js";
import { isFinal, JobCharts, jobName, readResults } from "./metrics.js";
import { loadModels } from "./models.js";
import { writeNumber } from "./chart.js";
import { useInTry } from "./try.js";
import {
  download,
  ErrorNote,
  formatDuration,
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

/** A file by its name, linked to its preview. */
function FileLink({ id }) {
  const [name, setName] = useState(id);
  useEffect(() => {
    const stop = new AbortController();
    const path = `files/${encodeURIComponent(id)}`;
    api.get(path, {}, stop.signal).then(
      (file) => setName(file.filename || id),
      () => {}, // a deleted file is shown by its ID
    );
    return () => stop.abort();
  }, [id]);
  return html`<a href="#/files/${encodeURIComponent(id)}">${name}</a>`;
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
    ["Method", method],
    ...Object.entries(chosen)
      .filter(([, value]) => value != null)
      .map(([name, value]) => [names[name] ?? name, String(value)]),
    ["Seed", job.seed],
    ["Trained tokens", formatNumber(job.trained_tokens)],
    ["Training file", job.training_file && html`<${FileLink} id=${job.training_file} />`],
    ["Validation file", job.validation_file && html`<${FileLink} id=${job.validation_file} />`],
    ["Created", formatTime(job.created_at)],
    ["Finished", formatTime(job.finished_at)],
    ["Duration", job.finished_at && formatDuration(job.finished_at - job.created_at)],
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

/** Return the seconds that a job still takes at the pace of its steps, else as the service estimates. */
function secondsLeft(job, steps, now) {
  if (job.status !== "running") return null;
  const [last, first] = [steps[0], steps.at(-1)];
  const pace = last && (last.created_at - first.created_at) / (last.data.step - first.data.step);
  if (!(pace > 0)) return job.estimated_finish > now ? job.estimated_finish - now : null;
  return Math.max((last.data.total_steps - last.data.step) * pace - (now - last.created_at), 0);
}

function Progress({ job, events }) {
  const now = Date.now() / 1000;
  const steps = events.filter((event) => event.data?.total_steps);
  const { step, total_steps: total } = steps[0]?.data ?? {};
  const left = secondsLeft(job, steps, now);
  const parts = [
    total && `step ${formatNumber(step)} of ${formatNumber(total)}`,
    `${formatDuration(now - job.created_at)} elapsed`,
    left != null && `about ${formatDuration(left)} left`,
  ];
  return html`<div class="progress">
    ${total && html`<progress value=${step} max=${total} aria-label="Steps"></progress>`}
    <span class="note">${parts.filter(Boolean).join(" · ")}</span>
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
            onClick=${() => compareModels([job.model, row.fine_tuned_model_checkpoint], job)}
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
      <div>
        <h2 class="title">${jobName(job)} <${JobStatus} job=${job} /></h2>
        <p class="note id">${job.id}</p>
      </div>
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
              onClick=${() => compareModels([job.model, job.fine_tuned_model], job)}
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
    ${!isEnded && html`<${Progress} job=${job} events=${events.rows} />`}
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
