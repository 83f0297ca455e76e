// Compare: prompts by models, side by side, with their differences marked.
import { comparison, SOURCES } from "./comparison.js";
import { markDifferences } from "./diff.js";
import { buildRequest, DEFAULTS, generate } from "./generate.js";
import { can, models, ModelSelect } from "./models.js";
import {
  download,
  Empty,
  ErrorNote,
  Field,
  formatNumber,
  html,
  TextArea,
  toCsv,
  useEffect,
  useRef,
  useState,
  useStore,
} from "./ui.js";

const CONCURRENCY = 4;
const MAX_MODELS = 6;

const patch = (change) => comparison.set((state) => ({ ...state, ...change }));
const keyOf = (model, prompt) => JSON.stringify([model, prompt]);
const clearAnswers = { answers: {} };

const ENDPOINTS = [
  ["auto", "Chat if the model chats"],
  ["chat", "Chat"],
  ["complete", "Complete"],
];

/** Write the request of a cell. */
function requestFor(state, model, prompt) {
  const isChat = state.endpoint === "auto" ? can(model, "chat") : state.endpoint === "chat";
  const settings = {
    ...DEFAULTS,
    mode: isChat ? "chat" : "complete",
    model: model.id,
    temperature: state.temperature,
    maxTokens: state.maxTokens,
    stop: state.stop,
    seed: state.seed,
  };
  const system = isChat && state.system.trim() ? [{ role: "system", content: state.system }] : [];
  return buildRequest(settings, isChat ? [...system, { role: "user", content: prompt }] : prompt, model);
}

function Answer({ answer, reference, isMarked, isRunning }) {
  if (!answer) return null;
  if (answer.error) return html`<p class="bad">${answer.error}</p>`;
  if (answer.isRunning) {
    if (!isRunning) return html`<p class="text">${answer.text}</p>`;
    return html`<p class="text" aria-busy="true">${answer.text || "…"}<span class="caret"></span></p>`;
  }
  const parts = isMarked && reference ? markDifferences(reference, answer.text) : [[answer.text, false]];
  return html`<p class="text">
      ${parts.map(([text, isDifferent], i) =>
        isDifferent ? html`<mark key=${i} class="differs">${text}</mark>` : text,
      )}
    </p>
    <p class="note">
      ${[answer.tokens != null && `${formatNumber(answer.tokens)} ${answer.tokens === 1 ? "token" : "tokens"}`, `${answer.seconds.toFixed(2)} s`, answer.finishReason].filter(Boolean).join(" · ")}
    </p>`;
}

/** Read prompts from a file: one a line, or the prompts of JSON lines. */
function promptsOf(name, text) {
  if (!/\.jsonl?$/i.test(name)) return text.split(/\r?\n/).filter((line) => line.trim());
  const rows = name.toLowerCase().endsWith(".json")
    ? [JSON.parse(text)].flat()
    : text
        .split("\n")
        .filter((line) => line.trim())
        .map((line) => JSON.parse(line));
  const prompts = rows.map((row) =>
    typeof row === "string"
      ? row
      : (row.prompt ?? row.messages?.findLast((each) => each.role === "user")?.content),
  );
  if (prompts.some((prompt) => typeof prompt !== "string"))
    throw new Error("Each row must be a text, or have a prompt or messages.");
  return prompts;
}

export default function Compare() {
  const state = useStore(comparison);
  const list = useStore(models) ?? [];
  const [error, setError] = useState(null);
  const [isMarked, setMarked] = useState(true);
  const [isRunning, setRunning] = useState(false);
  const running = useRef(null);
  const fileInput = useRef();
  useEffect(() => () => running.current?.abort(), []);
  useEffect(() => {
    const tuned = list.findLast((model) => model.group === "tuned");
    const base = list.find((model) => model.id === tuned?.id.split(":")[1]);
    if (base && !comparison.get().models.length) patch({ models: [base.id, tuned.id] });
  }, [list.length > 0]);

  const find = (id) => list.find((model) => model.id === id) ?? { id, abilities: null };
  const setPrompt = (index, prompt) =>
    patch({ prompts: state.prompts.map((each, i) => (i === index ? prompt : each)) });
  const filled = state.prompts.filter((prompt) => prompt.trim());

  async function run() {
    setError(null);
    setRunning(true);
    const stop = new AbortController();
    running.current = stop;
    const cells = filled.flatMap((prompt) => state.models.map((id) => [find(id), prompt]));
    const waiting = { text: "", isRunning: true };
    patch({ answers: Object.fromEntries(cells.map(([model, prompt]) => [keyOf(model.id, prompt), waiting])) });
    const put = (model, prompt, answer) =>
      comparison.set((old) => ({ ...old, answers: { ...old.answers, [keyOf(model.id, prompt)]: answer } }));
    async function work() {
      for (let cell = cells.shift(); cell && !stop.signal.aborted; cell = cells.shift()) {
        const [model, prompt] = cell;
        try {
          const result = await generate(requestFor(state, model, prompt), {
            isStreamed: true,
            signal: stop.signal,
            onUpdate: (live) => put(model, prompt, { ...live, isRunning: true }),
          });
          // The last update of a frame may still be waiting.
          await new Promise((resolve) => requestAnimationFrame(resolve));
          put(model, prompt, {
            text: result.text,
            seconds: result.seconds,
            tokens: result.usage?.completion_tokens,
            finishReason: result.finishReason,
          });
        } catch (problem) {
          if (problem.name !== "AbortError") put(model, prompt, { error: problem.message });
        }
      }
    }
    await Promise.all(Array.from({ length: CONCURRENCY }, work));
    if (running.current === stop) setRunning(false);
  }

  async function loadPrompts(event) {
    const [file] = event.target.files;
    event.target.value = "";
    if (!file) return;
    try {
      patch({ prompts: promptsOf(file.name, await file.text()), ...clearAnswers });
      setError(null);
    } catch (problem) {
      setError(problem);
    }
  }

  const answerOf = (id, prompt) => state.answers[keyOf(id, prompt)];
  const rows = () =>
    filled.map((prompt) => [prompt, ...state.models.map((id) => answerOf(id, prompt)?.text ?? "")]);
  const saveCsv = () =>
    download("comparison.csv", toCsv([["prompt", ...state.models], ...rows()]), "text/csv");
  const saveJson = () =>
    download(
      "comparison.json",
      JSON.stringify(
        filled.map((prompt) => ({
          prompt,
          source: state.sources.get(prompt),
          system: state.system || undefined,
          answers: Object.fromEntries(state.models.map((id) => [id, answerOf(id, prompt) ?? null])),
        })),
        null,
        2,
      ),
      "application/json",
    );
  const hasAnswers = Object.keys(state.answers).length > 0;

  return html`<div class="compare">
    <div class="compare-settings">
      <${ModelSelect} label="Add a model" value="" abilities=${["chat", "completions"]} onChange=${(id) => state.models.length < MAX_MODELS && !state.models.includes(id) && patch({ models: [...state.models, id] })} />
      <${Field} label="Endpoint">${(id) =>
        html`<select
          id=${id}
          value=${state.endpoint}
          onChange=${(event) => patch({ endpoint: event.target.value })}
        >
          ${ENDPOINTS.map(([value, label]) => html`<option key=${value} value=${value}>${label}</option>`)}
        </select>`}</${Field}>
      <${Field} label="Temperature">${(id) =>
        html`<input
          id=${id}
          type="number"
          min="0"
          max="2"
          step="0.1"
          value=${state.temperature}
          onInput=${(event) => patch({ temperature: Number(event.target.value) })}
        />`}</${Field}>
      <${Field} label="Maximum tokens">${(id) =>
        html`<input
          id=${id}
          type="number"
          min="1"
          value=${state.maxTokens}
          onInput=${(event) => patch({ maxTokens: Number(event.target.value) || 1 })}
        />`}</${Field}>
      <${Field} label="Seed">${(id) =>
        html`<input
          id=${id}
          type="number"
          value=${state.seed}
          onInput=${(event) => patch({ seed: event.target.value })}
        />`}</${Field}>
      <${Field} label="Stop sequences">${(id) =>
        html`<${TextArea}
          id=${id}
          rows="1"
          value=${state.stop}
          placeholder="one per line"
          onInput=${(stop) => patch({ stop })}
        />`}</${Field}>
      <${Field} label="System message">${(id) =>
        html`<${TextArea}
          id=${id}
          rows="1"
          value=${state.system}
          placeholder="for chats"
          onInput=${(system) => patch({ system })}
        />`}</${Field}>
    </div>
    <div class="actions">
      ${
        isRunning
          ? html`<button
              type="button"
              class="primary"
              onClick=${() => {
                running.current?.abort();
                setRunning(false);
              }}
            >
              Stop
            </button>`
          : html`<button
              type="button"
              class="primary"
              disabled=${!state.models.length || !filled.length}
              onClick=${run}
            >
              Run
            </button>`
      }
      <button type="button" onClick=${() => patch({ prompts: [...state.prompts, ""] })}>Add a prompt</button>
      <input ref=${fileInput} id="prompts" class="hidden" type="file" accept=".txt,.json,.jsonl" onChange=${loadPrompts} />
      <label class="button" for="prompts">Load prompts</label>
      <label class="fix"><input type="checkbox" checked=${isMarked} onChange=${(event) => setMarked(event.target.checked)} /> Mark differences</label>
      ${
        hasAnswers &&
        html`<button type="button" onClick=${saveCsv}>Save as CSV</button><button type="button" onClick=${saveJson}>Save as JSON</button>`
      }
    </div>
    <${ErrorNote} error=${error} onClose=${() => setError(null)} />
    ${
      state.models.length === 0 &&
      html`<${Empty}>Add two models, such as a base model and the one that was tuned from it.</${Empty}>`
    }
    ${
      state.models.length > 0 &&
      filled.length > 0 &&
      !hasAnswers &&
      !isRunning &&
      html`<${Empty}>Run sends each prompt to each model.</${Empty}>`
    }
    <div class="scroll" tabindex="0" role="region" aria-label="Comparison">
      <table class="comparison" style=${{ "--models": state.models.length }}>
        <thead><tr><th scope="col">Prompt</th>${state.models.map(
          (id, i) =>
            html`<th scope="col" key=${id}>
              <span class="model">${id}</span>
              ${i === 0 && state.models.length > 1 && html` <span class="note">reference</span>`}
              <button
                type="button"
                class="quiet small"
                aria-label="Remove ${id}"
                onClick=${() => patch({ models: state.models.filter((each) => each !== id) })}
              >
                Remove
              </button>
            </th>`,
        )}</tr></thead>
        <tbody>${state.prompts.map(
          (prompt, i) =>
            html`<tr key=${i}>
              <td>
                <${TextArea}
                  value=${prompt}
                  aria-label="Prompt ${i + 1}"
                  onInput=${(text) => setPrompt(i, text)}
                />
                <span class="note">${SOURCES[state.sources.get(prompt)]}</span>
                ${
                  state.prompts.length > 1 &&
                  html`<button
                    type="button"
                    class="quiet small"
                    aria-label="Remove prompt ${i + 1}"
                    onClick=${() => patch({ prompts: state.prompts.filter((_, other) => other !== i) })}
                  >
                    Remove
                  </button>`
                }
              </td>
              ${state.models.map(
                (id, column) =>
                  html`<td key=${id}>
                    <${Answer}
                      answer=${answerOf(id, prompt)}
                      isMarked=${isMarked && column > 0}
                      isRunning=${isRunning}
                      reference=${answerOf(state.models[0], prompt)?.text}
                    />
                  </td>`,
              )}
            </tr>`,
        )}</tbody>
      </table>
    </div>
  </div>`;
}
