// The state of the view Compare, which other views set.
import { api } from "./api.js";
import { createStore } from "./ui.js";

export const comparison = createStore({
  models: [],
  endpoint: "auto",
  prompts: [""],
  system: "",
  temperature: 0,
  maxTokens: 128,
  stop: "",
  seed: "1",
  answers: {},
});

const SAMPLES = 3;
const SAMPLE_BYTES = 65_536;

/** Compare models, on prompts of a file of training or validation data if it can be read. */
export async function compareModels(models, fileId) {
  comparison.set((state) => ({ ...state, models, endpoint: "auto", answers: {} }));
  location.hash = "#/compare";
  if (!fileId) return;
  try {
    const { prompts, system, stop, endpoint } = await readPrompts(fileId);
    comparison.set((state) => ({
      ...state,
      endpoint,
      system: system || state.system,
      stop: stop || state.stop,
    }));
    if (!comparison.get().prompts.some((prompt) => prompt.trim()))
      comparison.set((state) => ({ ...state, prompts }));
  } catch {
    // The prompts are only a suggestion.
  }
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
    .slice(0, SAMPLES)
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
