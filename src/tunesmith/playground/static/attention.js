// Attention: what each token of a prompt attends to, per layer and head, base and tuned side by side.
import { api } from "./api.js";
import { readable, visible } from "./tokens.js";
import { models, ModelSelect } from "./models.js";
import {
  createStore,
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

const SIDE = 460; // of a matrix, in pixels, while its cells are of a readable size
const [MIN_CELL, MAX_CELL] = [6, 32];
const MEAN = 0; // position of the slider for the mean of all heads
const SHOWN = 4;

const session = createStore({ model: "", prompt: "", result: null, layer: 1, head: MEAN, token: null });
const patch = (change) => session.set((state) => ({ ...state, ...change }));

/** Darkness of a weight: most are small, and would not be seen. */
const shade = Math.sqrt;
const percent = (weight) => `${Math.round(weight * 100)} %`;

/** Weights of a token over itself and the earlier ones, of one head or the mean of all. */
function rowOf(layers, layer, head, token) {
  const heads = layers[layer - 1];
  if (head !== MEAN) return heads[head - 1][token].slice(0, token + 1);
  return Array.from(
    { length: token + 1 },
    (_, i) => heads.reduce((sum, each) => sum + each[token][i], 0) / heads.length,
  );
}

function Matrix({ name, layers, layer, head, tokens, token, onToken }) {
  const canvas = useRef();
  const cell = Math.min(Math.max(Math.floor(SIDE / tokens.length), MIN_CELL), MAX_CELL);
  const size = tokens.length * cell;
  useEffect(() => {
    const context = canvas.current.getContext("2d");
    const style = getComputedStyle(canvas.current);
    context.clearRect(0, 0, size, size);
    context.fillStyle = style.color;
    for (let row = 0; row < tokens.length; row++) {
      for (const [column, weight] of rowOf(layers, layer, head, row).entries()) {
        context.globalAlpha = shade(weight);
        context.fillRect(column * cell, row * cell, cell - 1, cell - 1);
      }
    }
    context.globalAlpha = 1;
    context.strokeStyle = style.borderColor;
    if (token != null) context.strokeRect(0.5, token * cell + 0.5, size - 2, cell - 2);
  });
  const point = (event) => {
    const box = canvas.current.getBoundingClientRect();
    onToken(
      Math.min(
        Math.max(Math.floor(((event.clientY - box.top) / box.height) * tokens.length), 0),
        tokens.length - 1,
      ),
    );
  };
  return html`<canvas
    ref=${canvas}
    class="matrix"
    width=${size}
    height=${size}
    role="img"
    onPointerMove=${point}
    aria-label="Attention of ${name}, layer ${layer}, ${head === MEAN ? "mean of the heads" : `head ${head}`}; rows are tokens, columns those that they attend to. The tokens below have the values."></canvas>`;
}

/** The tokens, shaded by how much the current one attends to them. */
function TokenView({ name, layers, layer, head, tokens, token, onToken }) {
  const box = useRef();
  const weights = token == null ? [] : rowOf(layers, layer, head, token);
  const strongest = weights
    .map((weight, i) => [weight, i])
    .sort((a, b) => b[0] - a[0])
    .slice(0, SHOWN);
  function move(event) {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const target = (token ?? 0) + (step ?? 0);
    if (!step || target < 0 || target >= tokens.length) return;
    event.preventDefault();
    onToken(target);
    box.current.children[target].focus();
  }
  return html`<div
      class="tokens"
      ref=${box}
      role="group"
      aria-label="Tokens of ${name}; arrow keys move"
      onKeyDown=${move}
    >
      ${tokens.map(
        (text, i) =>
          html`<span
            key=${i}
            role="button"
            class="token"
            tabindex=${i === (token ?? 0) ? 0 : -1}
            aria-pressed=${i === token}
            aria-label=${visible(text)}
            style=${{ backgroundColor: weights[i] ? `color-mix(in srgb, var(--c2) ${Math.round(shade(weights[i]) * 45)}%, var(--bg))` : "" }}
            onMouseEnter=${() => onToken(i)}
            onFocus=${() => onToken(i)}>${readable(text)}</span>`,
      )}
    </div>
    <p class="note" role="status">
      ${token != null && `“${visible(tokens[token])}” attends to ${strongest.map(([weight, i]) => `“${visible(tokens[i])}” ${percent(weight)}`).join(", ")}`}
    </p>`;
}

export default function Attention() {
  const { model, prompt, result, layer, head, token } = useStore(session);
  const list = useStore(models);
  const [error, setError] = useState(null);
  const [isBusy, setBusy] = useState(false);
  const running = useRef(null);
  useEffect(() => () => running.current?.abort(), []);
  useEffect(() => {
    const tuned = list?.findLast((each) => each.group === "tuned");
    if (tuned && !model) patch({ model: tuned.id });
  }, [list, model]);

  async function run() {
    setError(null);
    setBusy(true);
    const stop = new AbortController();
    running.current = stop;
    try {
      patch({
        result: await api.pagePost("attention", {}, JSON.stringify({ model, prompt }), stop.signal),
        layer: 1,
        head: MEAN,
        token: null,
      });
    } catch (problem) {
      if (problem.name !== "AbortError") setError(problem);
    } finally {
      setBusy(false);
    }
  }

  const [first] = result ? Object.values(result.models) : [];
  const onToken = (next) => patch({ token: next });
  return html`<div class="workspace">
    <section class="work" aria-label="Attention">
      <${Field} label="Prompt">${(id) =>
        html`<${TextArea}
          id=${id}
          rows="3"
          value=${prompt}
          onInput=${(text) => patch({ prompt: text })}
        />`}</${Field}>
      <div class="actions"><button type="button" class="primary" disabled=${isBusy || !model || !prompt.trim()} onClick=${run}>Show attention</button>
        <span class="note" role="status">${isBusy && "Loading the weights and computing…"}</span></div>
      <${ErrorNote} error=${error} onClose=${() => setError(null)} />
      ${
        result &&
        html`<div class="attention">
          ${Object.entries(result.models).map(
            ([name, each]) => {
              const view = { name, layers: each.attention, layer, head, tokens: result.tokens, token, onToken };
              return html`<section key=${name} aria-label=${name}>
                <h2>${name}</h2>
                <${TokenView} ...${view} />
                <${Matrix} ...${view} />
                <p class="note">
                  ${"Next: "}
                  ${each.next.map(([text, weight]) => `“${visible(text)}” ${percent(weight)}`).join(", ")}
                </p>
              </section>`;
            },
          )}
        </div>`
      }
    </section>
    <aside class="settings" aria-label="Settings">
      <${ModelSelect} value=${model} groups=${["tuned", "checkpoint"]} onChange=${(next) => patch({ model: next })} hint="A tuned model is shown beside its base." />
      ${
        result &&
        html` <${Slider}
            label="Layer"
            min="1"
            max=${first.attention.length}
            step="1"
            value=${layer}
            onInput=${(next) => patch({ layer: Math.min(Math.max(next, 1), first.attention.length) })}
          />
          <${Slider}
            label="Head"
            hint="0 is the mean of all heads."
            min="0"
            max=${first.attention[0].length}
            step="1"
            value=${head}
            onInput=${(next) => patch({ head: Math.min(Math.max(next, 0), first.attention[0].length) })}
          />
          <p class="note">
            The darker a cell, the more the token of its row attends to that of its column. Attention to the
            first token often means that a head has found nothing.
          </p>`
      }
    </aside>
  </div>`;
}
