// Try: complete a prompt, or chat.
import { connection } from "./api.js";
import { Message, Outcome, toApi } from "./conversation.js";
import { buildRequest, DEFAULTS, generate } from "./generate.js";
import { can, firstModel, models, ModelSelect } from "./models.js";
import { Snippets } from "./snippets.js";
import { Tokens } from "./tokens.js";
import {
  Choice,
  createStore,
  Empty,
  ErrorNote,
  Field,
  html,
  Slider,
  TextArea,
  useEffect,
  useRef,
  useState,
  useStore,
} from "./ui.js";

/** The state of the view, which outlives a change to another view. */
export const session = createStore({
  ...DEFAULTS,
  system: "",
  messages: [],
  draft: "",
  prompt: "",
  result: null,
});

const patch = (change) => session.set((state) => ({ ...state, ...change }));

/** Use a model in this view. */
export function useInTry(model) {
  const known = models.get()?.find((each) => each.id === model);
  const { mode } = session.get();
  const isFit = can(known, mode === "chat" ? "chat" : "completions");
  patch({ model, mode: isFit ? mode : can(known, "chat") ? "chat" : "complete" });
  location.hash = "#/try";
}

function inputOf(state) {
  if (state.mode !== "chat") return state.prompt;
  const messages = state.messages.map(toApi);
  if (state.draft.trim()) messages.push({ role: "user", content: state.draft });
  return state.system.trim() ? [{ role: "system", content: state.system }, ...messages] : messages;
}

export default function Try() {
  const state = useStore(session);
  const { config } = useStore(connection);
  const list = useStore(models);
  const [error, setError] = useState(null);
  const [live, setLive] = useState(null);
  const running = useRef(null);
  const isChat = state.mode === "chat";
  const model = list?.find((each) => each.id === state.model);

  useEffect(() => {
    if (list && !state.model) {
      const first = list.find((each) => each.id === firstModel(list));
      if (first) patch({ model: first.id, mode: can(first, "chat") ? state.mode : "complete" });
    }
  }, [list, state.model]);
  useEffect(() => () => running.current?.abort(), []);

  function setMode(mode) {
    const able = (each) => can(each, mode === "chat" ? "chat" : "completions");
    const next = able(model) ? state.model : firstModel((list ?? []).filter(able));
    patch({ mode, model: next, result: null });
  }

  async function run() {
    setError(null);
    const before = session.get();
    const current = list?.find((each) => each.id === before.model);
    let request;
    try {
      request = buildRequest(before, inputOf(before), current);
    } catch (problem) {
      setError(problem);
      return;
    }
    const messages = before.draft.trim()
      ? [...before.messages, { role: "user", content: before.draft }]
      : before.messages;
    if (isChat && !messages.length) return;
    patch({ messages, draft: "", result: null });
    const stop = new AbortController();
    running.current = stop;
    let last = null;
    const update = (result) => {
      last = result;
      if (running.current === stop) setLive(result);
    };
    update({ text: "", tokens: [], toolCalls: [], refusal: "", seconds: 0 });
    try {
      finish(
        await generate(request, { isStreamed: before.useStream, signal: stop.signal, onUpdate: update }),
      );
    } catch (problem) {
      if (problem.name !== "AbortError") setError(problem);
      if (last.text) finish({ ...last, isStopped: problem.name === "AbortError" });
      else if (messages !== before.messages) patch({ messages: before.messages, draft: before.draft });
    } finally {
      running.current = null;
      setLive(null);
    }
  }

  function finish(result) {
    if (!isChat) {
      patch({ result });
      return;
    }
    const calls = result.toolCalls.filter(Boolean);
    const answer = {
      role: "assistant",
      content: result.text || (calls.length ? null : ""),
      tokens: result.tokens,
      refusal: result.refusal,
      ...(calls.length && { tool_calls: calls }),
    };
    const results = calls.map((call) => ({ role: "tool", content: "", tool_call_id: call.id }));
    patch({ messages: [...session.get().messages, answer, ...results], result });
  }

  /** Add the draft to the conversation without an answer, as an example or to go on from it. */
  function add() {
    const role = state.messages.at(-1)?.role === "user" ? "assistant" : "user";
    patch({ messages: [...state.messages, { role, content: state.draft }], draft: "" });
  }

  /** Answer the last message of the user again. */
  function regenerate() {
    patch({ messages: state.messages.slice(0, lastOfUser + 1), result: null });
    run();
  }

  function submitOnEnter(event) {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      if (!running.current) run();
    }
  }

  const lastOfUser = state.messages.findLastIndex((message) => message.role === "user");
  const edit = (index, change) =>
    patch({ messages: state.messages.map((each, i) => (i === index ? { ...each, ...change } : each)) });
  const remove = (index) => patch({ messages: state.messages.filter((_, i) => i !== index) });
  const canRun =
    state.model &&
    (isChat ? state.draft.trim() || ["user", "tool"].includes(state.messages.at(-1)?.role) : true);

  let request = null;
  let requestError = null;
  try {
    request = buildRequest(state, inputOf(state), model);
  } catch (problem) {
    requestError = problem;
  }

  const buttons = html`<div class="actions">
    ${
      live
        ? html`<button type="button" class="primary" onClick=${() => running.current?.abort()}>Stop</button>`
        : html`<button type="button" class="primary" disabled=${!canRun} onClick=${run}>Run</button>`
    }
    <span class="note keys">Ctrl + Enter</span>
    ${
      isChat &&
      !live &&
      html`<button
        type="button"
        disabled=${!state.draft.trim()}
        onClick=${add}
      >
        Add without answer
      </button>`
    }
    ${
      isChat &&
      !live &&
      lastOfUser >= 0 &&
      lastOfUser < state.messages.length - 1 &&
      html`<button type="button" onClick=${regenerate}>Regenerate</button>`
    }
    ${
      isChat &&
      state.messages.length > 0 &&
      html`<button type="button" class="quiet" onClick=${() => patch({ messages: [], result: null })}>
        Clear
      </button>`
    }
    ${
      !isChat &&
      state.result &&
      html`<button
        type="button"
        onClick=${() => patch({ prompt: state.prompt + state.result.text, result: null })}
      >
        Append to prompt
      </button>`
    }
  </div>`;

  return html`<div class="workspace">
    <section class="work" aria-label=${isChat ? "Conversation" : "Completion"}>
      <div class="toolbar">
        <${Choice} label="Endpoint" value=${state.mode} onChange=${setMode} options=${[
          ["chat", "Chat"],
          ["complete", "Complete"],
        ]} />
        <${ModelSelect} value=${state.model} abilities=${[isChat ? "chat" : "completions"]} onChange=${(value) => patch({ model: value })} />
      </div>
      ${
        config?.is_simulated &&
        model?.group === "base" &&
        html`<${Empty}>A small model stands in for ${model.id} here. It has learnt nothing yet: <a href="#/fine-tune/new">fine-tune a model</a>, then try the tuned one.</${Empty}>`
      }
      ${
        isChat
          ? html`
        <${Field} label="System message">${(id) =>
          html`<${TextArea}
            id=${id}
            value=${state.system}
            placeholder="How the model should behave"
            onInput=${(system) => patch({ system })}
          />`}</${Field}>
        <div class="conversation" role="log" aria-label="Messages" aria-busy=${Boolean(live)}>
          ${state.messages.map(
            (message, i) =>
              html`<${Message}
                key=${i}
                message=${message}
                index=${i}
                onChange=${(change) => edit(i, change)}
                onRemove=${() => remove(i)}
              />`,
          )}
          ${
            live &&
            html`<article class="message assistant" aria-label="assistant message" aria-busy="true">
              <div class="bar"><strong>assistant</strong></div>
              <div class="text">${live.text}<span class="caret"></span></div>
              ${live.toolCalls
                .filter(Boolean)
                .map(
                  (call, i) =>
                    html`<pre key=${i} class="call">${call.function.name}(${call.function.arguments})</pre>`,
                )}
            </article>`
          }
        </div>
        <${Outcome} result=${state.result} />
        <${ErrorNote} error=${error} onClose=${() => setError(null)} />
        <div onKeyDown=${submitOnEnter}>
          <${Field} label="Your message">${(id) =>
            html`<${TextArea}
              id=${id}
              value=${state.draft}
              onInput=${(draft) => patch({ draft })}
            />`}</${Field}>
        </div>
        ${buttons}`
          : html`
        <div onKeyDown=${submitOnEnter}>
          <${Field} label="Prompt" hint="End it as the prompts in the training data end.">${(id, hint) =>
            html`<${TextArea}
              id=${id}
              aria-describedby=${hint}
              rows="6"
              value=${state.prompt}
              onInput=${(prompt) => patch({ prompt })}
            />`}</${Field}>
        </div>
        ${buttons}
        <${ErrorNote} error=${error} onClose=${() => setError(null)} />
        ${
          (live || state.result) &&
          html`<section class="completion" aria-label="Output" aria-busy=${Boolean(live)}>
            <h2>Output</h2>
            ${
              live
                ? html`<div class="text">${live.text}<span class="caret"></span></div>`
                : state.result.tokens.length
                  ? html`<${Tokens} tokens=${state.result.tokens} />`
                  : html`<div class="text">${state.result.text}</div>`
            }
          </section>`
        }
        <${Outcome} result=${state.result} />`
      }
      <details class="code"><summary>Code of this call</summary>
        ${
          request
            ? html`<${Snippets} request=${request} isStreamed=${state.useStream} />`
            : html`<${ErrorNote} error=${requestError} />`
        }
      </details>
    </section>
    <aside class="settings" aria-label="Settings">
      <${Slider} label="Temperature" min="0" max="2" step="0.1" value=${state.temperature} onInput=${(temperature) => patch({ temperature })} />
      <${Slider} label="Maximum tokens" min="1" max="4096" step="1" value=${state.maxTokens} onInput=${(maxTokens) => patch({ maxTokens })} />
      <${Slider} label="Top P" min="0" max="1" step="0.05" value=${state.topP} onInput=${(topP) => patch({ topP })} />
      <${Field} label="Stop sequences" hint="One per line, at most four; \\n is a line end.">${(id, hint) =>
        html`<${TextArea}
          id=${id}
          aria-describedby=${hint}
          rows="1"
          value=${state.stop}
          onInput=${(stop) => patch({ stop })}
        />`}</${Field}>
      <${Field} label="Seed">${(id) =>
        html`<input
          id=${id}
          type="number"
          step="1"
          value=${state.seed}
          placeholder="random"
          onInput=${(event) => patch({ seed: event.target.value })}
        />`}</${Field}>
      <${Slider} label="Frequency penalty" min="-2" max="2" step="0.1" value=${state.frequencyPenalty} onInput=${(frequencyPenalty) => patch({ frequencyPenalty })} />
      <${Slider} label="Presence penalty" min="-2" max="2" step="0.1" value=${state.presencePenalty} onInput=${(presencePenalty) => patch({ presencePenalty })} />
      <${Field} label="Show probabilities" inline>${(id) =>
        html`<input
          id=${id}
          type="checkbox"
          checked=${state.showLogprobs}
          onChange=${(event) => patch({ showLogprobs: event.target.checked })}
        />`}</${Field}>
      <${Field} label="Stream" inline>${(id) =>
        html`<input
          id=${id}
          type="checkbox"
          checked=${state.useStream}
          onChange=${(event) => patch({ useStream: event.target.checked })}
        />`}</${Field}>
      ${
        !isChat &&
        html`<${Field} label="Suffix" hint="Text that follows the completion, for models that insert.">${(
          id,
          hint,
        ) =>
          html`<${TextArea}
            id=${id}
            aria-describedby=${hint}
            rows="1"
            value=${state.suffix}
            onInput=${(suffix) => patch({ suffix })}
          />`}</${Field}>`
      }
      ${
        isChat &&
        html`
        <${Field} label="JSON schema of the answer">${(id) =>
          html`<${TextArea}
            id=${id}
            class="mono"
            value=${state.schema}
            placeholder='{"type": "object", …}'
            onInput=${(schema) => patch({ schema })}
          />`}</${Field}>
        <${Field} label="Tools" hint="A JSON list of functions.">${(id, hint) =>
          html`<${TextArea}
            id=${id}
            aria-describedby=${hint}
            class="mono"
            value=${state.tools}
            placeholder='[{"name": "get_weather", "parameters": {…}}]'
            onInput=${(tools) => patch({ tools })}
          />`}</${Field}>`
      }
    </aside>
  </div>`;
}
