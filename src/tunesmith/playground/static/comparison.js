// The state of the view Compare, which other views set.
import { api } from "./api.js";
import { createStore } from "./ui.js";

export const comparison = createStore({
  models: [],
  endpoint: "auto",
  prompts: [""],
  sources: new Map(), // of prompts taken from the data of a job: training or validation
  system: "",
  temperature: 0,
  maxTokens: 128,
  stop: "",
  seed: "1",
  answers: {},
});

/** Words for the data that a prompt was taken from. */
export const SOURCES = {
  training: "from the training data",
  validation: "from the validation data (held out)",
};
const SAMPLES = 2;
const SAMPLES_ALONE = 3;
const SAMPLE_BYTES = 65_536;

/**
 * Compare models, on prompts of a job's training and validation data if it can be read. Prompts that
 * the user wrote are kept, those taken from the data of another job are not.
 */
export async function compareModels(models, job) {
  const { prompts, sources } = comparison.get();
  const own = prompts.filter((prompt) => prompt.trim() && !sources.has(prompt));
  const start = { models, endpoint: "auto", system: "", stop: "", sources: new Map(), answers: {} };
  comparison.set((state) => ({ ...state, ...start, prompts: own.length ? own : [""] }));
  location.hash = "#/compare";
  const files = Object.keys(SOURCES).filter((source) => job[`${source}_file`]);
  const samples = await Promise.all(
    // The prompts are only a suggestion, so a file that cannot be read is left out.
    files.map((source) => readPrompts(job[`${source}_file`]).catch(() => null)),
  );
  const first = samples.find(Boolean);
  if (!first || comparison.get().models !== models) return;
  const count = samples.filter(Boolean).length > 1 ? SAMPLES : SAMPLES_ALONE;
  const found = new Map();
  for (const [i, source] of files.entries()) {
    for (const prompt of samples[i]?.prompts.slice(0, count) ?? []) {
      if (!found.has(prompt)) found.set(prompt, source);
    }
  }
  const { endpoint, system, stop } = first;
  comparison.set((state) => {
    const written = state.prompts.filter((prompt) => prompt.trim() && !found.has(prompt));
    return { ...state, endpoint, system, stop, sources: found, prompts: [...found.keys(), ...written] };
  });
}

async function readPrompts(fileId) {
  const stop = new AbortController();
  const response = await api.content(`files/${encodeURIComponent(fileId)}/content`, stop.signal);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  let isWhole = false;
  while (text.length < SAMPLE_BYTES) {
    const { value, done } = await reader.read();
    isWhole = done;
    if (done) break;
    text += value;
  }
  stop.abort();
  const lines = text.split("\n").filter((line) => line.trim());
  if (!isWhole) lines.pop();
  const rows = lines.map((line) => JSON.parse(line));
  const messages = (row) => row.messages ?? row.input?.messages ?? [];
  const prompts = rows
    .map((row) => row.prompt ?? messages(row).findLast((each) => each.role === "user")?.content)
    .filter((prompt) => typeof prompt === "string");
  const system = messages(rows[0] ?? {}).find((each) => each.role === "system")?.content;
  const endsLine = rows.every((row) => typeof row.completion === "string" && row.completion.endsWith("\n"));
  if (!prompts.length) throw new Error("The file has no prompts.");
  return {
    prompts,
    endpoint: "prompt" in rows[0] ? "complete" : "chat",
    system: typeof system === "string" ? system : "",
    stop: rows.length && endsLine ? "\\n" : "",
  };
}
