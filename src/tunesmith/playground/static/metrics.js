// Live curves of jobs.
import { api, usePolling } from "./api.js";
import { chartsToPng, COLOURS, LineChart } from "./chart.js";
import { createStore, download, html, Slider, useRef, useState, useStore } from "./ui.js";

const MAX_POINTS = 2000;
const POLL_MS = 1000;
const NOISY_POINTS = 60;
const MAX_SMOOTHING = 0.95;
const FINAL = new Set(["succeeded", "failed", "cancelled"]);

export const isFinal = (job) => FINAL.has(job.status);

/** Metrics by job: {points, lastStep, isFinal, isComplete}. */
const metrics = createStore({});

async function load(job, signal) {
  const known = metrics.get()[job.id];
  if (known?.isFinal) return;
  const final = isFinal(job);
  // A succeeded job is read again as a whole: its result file has all values.
  const after = final ? 0 : (known?.lastStep ?? 0);
  const answer = await api.page(`jobs/${encodeURIComponent(job.id)}/metrics`, { after_step: after }, signal);
  let points = after ? known.points.concat(answer.points) : answer.points;
  if (points.length > MAX_POINTS) points = points.filter((_, i) => i % 2 === 0 || i === points.length - 1);
  metrics.set((all) => ({
    ...all,
    [job.id]: {
      points,
      lastStep: answer.last_step,
      isFinal: final,
      isComplete: after ? known.isComplete : answer.is_complete,
    },
  }));
}

const CHARTS = [
  ["Loss", "nats per token", "train_loss", "valid_loss"],
  ["Token accuracy", "fraction of tokens", "train_accuracy", "valid_accuracy"],
  ["Reward", "mean reward", "train_reward", "valid_reward"],
];

const points = (steps, name) =>
  steps.filter((step) => Number.isFinite(step[name])).map((step) => [step.step, step[name]]);

/** Smoothing of lines of a length, unless the user chooses another. */
const smoothingFor = (length) =>
  length < NOISY_POINTS ? 0 : Math.min(Math.round(100 - 4500 / length) / 100, MAX_SMOOTHING);

/** Curves of some jobs; training solid, validation dashed. */
export function JobCharts({ jobs, name }) {
  const all = useStore(metrics);
  const [chosen, setSmoothing] = useState(null);
  const [isLog, setLog] = useState(false);
  const box = useRef();
  const shown = jobs.slice(0, COLOURS);
  usePolling(
    async (signal) => {
      for (const job of shown) {
        try {
          await load(job, signal);
        } catch (error) {
          if (error.status !== 404) throw error; // the job is gone
        }
      }
      return shown.every((job) => metrics.get()[job.id]?.isFinal) ? "done" : undefined;
    },
    POLL_MS,
    [shown.map((job) => `${job.id} ${isFinal(job)}`).join()],
  );

  const isSingle = shown.length === 1;
  const charts = CHARTS.map(([title, yLabel, training, validation]) => [
    title,
    yLabel,
    shown.flatMap((job, i) => {
      const steps = all[job.id]?.points ?? [];
      const label = isSingle ? "" : `${jobLabel(job)} `;
      return [
        { name: `${label}training`, color: i + 1, points: points(steps, training) },
        {
          name: `${label}validation`,
          color: isSingle ? 2 : i + 1,
          isDashed: true,
          points: points(steps, validation),
        },
      ];
    }),
  ]).filter(([, , series]) => series.some((line) => line.points.length));

  const smoothing =
    chosen ??
    smoothingFor(Math.max(...charts.flatMap(([, , series]) => series.map((line) => line.points.length)), 0));

  async function savePng() {
    download(`${name}.png`, await chartsToPng([...box.current.querySelectorAll("figure")]));
  }

  if (!charts.length) return html`<p class="empty">No metrics yet.</p>`;
  return html`<div>
    <div class="bar chart-bar">
      <${Slider}
        label="Smoothing"
        hint=${chosen == null && smoothing > 0 && "Grows with the steps until you set it."}
        min="0"
        max="0.99"
        step="0.01"
        value=${smoothing}
        onInput=${setSmoothing}
      />
      <label class="fix"><input type="checkbox" checked=${isLog} onChange=${(event) => setLog(event.target.checked)} />
        Logarithmic loss</label>
      <button type="button" class="small" onClick=${savePng}>Save as PNG</button>
    </div>
    ${
      shown.some((job) => all[job.id] && !all[job.id].isComplete) &&
      html`<p class="note">The newest steps of a long job are shown; all of them when it has succeeded.</p>`
    }
    <div class="charts" ref=${box}>
      ${charts.map(
        ([title, yLabel, series]) =>
          html`<${LineChart}
            key=${title}
            title=${title}
            yLabel=${yLabel}
            series=${series}
            smoothing=${smoothing}
            isLog=${isLog && title === "Loss"}
          />`,
      )}
    </div>
  </div>`;
}

const suffixOf = (job) => job.fine_tuned_model?.split(":").at(-2) || job.user_provided_suffix || "";

/** The name of a job: its suffix, else its base model. */
export const jobName = (job) => suffixOf(job) || job.model;

/** A short name of a job for legends. */
const jobLabel = (job) => (suffixOf(job) ? `${suffixOf(job)} (${job.id.slice(-6)})` : job.id.slice(0, 14));

/** Read the result file of a job as CSV. */
export async function readResults(job) {
  return decodeResults(
    await (await api.content(`files/${encodeURIComponent(job.result_files[0])}/content`)).text(),
  );
}

/** Decode a result file, which the service may encode as base64. */
export function decodeResults(text) {
  return /^[A-Za-z0-9+/=\s]+$/.test(text) && !text.includes(",")
    ? new TextDecoder().decode(Uint8Array.from(atob(text.trim()), (c) => c.charCodeAt(0)))
    : text;
}
