// Fine-tune: the list of jobs with their curves; a new job; one job.
import { usePages } from "./api.js";
import Job, { JobStatus } from "./job.js";
import { isFinal, JobCharts, jobName } from "./metrics.js";
import NewJob from "./newjob.js";
import { createStore, Empty, ErrorNote, formatTime, html, useStore, VirtualTable } from "./ui.js";

const SHOWN_AT_FIRST = 2;

/** Jobs whose curves are shown: null until the user chooses, then a list of ids. */
const chosen = createStore(null);

function JobList() {
  const { rows, more, isLoading, error } = usePages("fine_tuning/jobs", { limit: 100, ms: 2000 });
  const choice = useStore(chosen);
  const trained = rows.filter((job) => ["running", "paused", "succeeded"].includes(job.status));
  const ids = choice ?? trained.slice(0, SHOWN_AT_FIRST).map((job) => job.id);
  const shown = rows.filter((job) => ids.includes(job.id));
  const toggle = (id) => chosen.set(ids.includes(id) ? ids.filter((each) => each !== id) : [...ids, id]);
  const active = rows.filter((job) => !isFinal(job)).length;

  const columns = [
    {
      name: "Curves",
      class: "check",
      cell: (job) =>
        html`<input
          type="checkbox"
          aria-label="Show the curves of ${jobName(job)} (${job.id})"
          checked=${ids.includes(job.id)}
          onChange=${() => toggle(job.id)}
        />`,
    },
    {
      name: "Job",
      class: "id",
      cell: (job) =>
        html`<a href="#/fine-tune/${encodeURIComponent(job.id)}">${jobName(job)}</a>
          <span class="note id">${job.id}</span>`,
    },
    { name: "Status", cell: (job) => html`<${JobStatus} job=${job} />` },
    { name: "Model", class: "wide", cell: (job) => job.fine_tuned_model ?? job.model },
    { name: "Created", class: "time", cell: (job) => formatTime(job.created_at) },
  ];
  return html` <div class="bar">
      <h2>Jobs</h2>
      <a class="button primary" href="#/fine-tune/new">New fine-tune</a>
    </div>
    <${ErrorNote} error=${error} />
    ${
      rows.length
        ? html` <${VirtualTable}
              label="Fine-tuning jobs"
              layout="jobs"
              columns=${columns}
              rows=${rows}
              rowHeight=${52}
              maxRows=${10}
              onEnd=${more}
            />
            <p class="note" role="status">${active ? `${active} in progress` : ""}</p>
            <section aria-label="Curves"><${JobCharts} jobs=${shown} name="fine-tuning" /></section>`
        : !isLoading &&
          !error &&
          html`<${Empty}>No jobs yet. Drop a table or a JSONL file into a <a href="#/fine-tune/new">new fine-tune</a>.</${Empty}>`
    }`;
}

export default function Tune({ id }) {
  if (id === "new") return html`<${NewJob} />`;
  return id ? html`<${Job} key=${id} id=${id} />` : html`<${JobList} />`;
}
