// Tokens coloured by their probability; the alternatives of the one that is pointed at.
import { html, useRef, useState } from "./ui.js";

const LEVELS = 5;
const probability = (logprob) => (logprob == null ? null : Math.exp(logprob));
const percent = (value) =>
  value == null ? "–" : value >= 0.0005 ? `${(value * 100).toFixed(1)} %` : "< 0.1 %";
/** The API writes a token that is a part of a character as `bytes:\xc3`. */
export const readable = (text) => text.replace(/^bytes:/, "");
export const visible = (text) =>
  readable(text).replace(/\n/g, "⏎").replace(/\t/g, "⇥").replace(/ /g, "␣") || "∅";

/** Level of a probability from 0 (unlikely) to 4 (likely). */
const level = (value) => Math.min(Math.floor(value * LEVELS), LEVELS - 1);

/** The likely tokens, and the chosen one if it is not among them. */
const alternatives = ({ text, logprob, top }) =>
  top.some(([each]) => each === text) ? top : [...top, [text, logprob]];

export function Tokens({ tokens }) {
  const [current, setCurrent] = useState(0);
  const [isShown, setShown] = useState(false);
  const box = useRef();
  const token = tokens[Math.min(current, tokens.length - 1)];

  function show(index) {
    setCurrent(index);
    setShown(true);
  }
  function move(event) {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const target = event.key === "Home" ? 0 : event.key === "End" ? tokens.length - 1 : current + (step ?? 0);
    if (target === current || target < 0 || target >= tokens.length) return;
    event.preventDefault();
    show(target);
    box.current.children[target].focus();
  }

  return html`<div class="tokens-box">
    <div class="tokens" ref=${box} role="group" aria-label="Tokens; arrow keys move" onKeyDown=${move}>
      ${tokens.map((each, i) => {
        const p = probability(each.logprob);
        return html`<span
          key=${i}
          role="button"
          tabindex=${i === current ? 0 : -1}
          class="token ${p == null ? "" : `p${level(p)}`}"
          aria-label="${visible(each.text)}, ${percent(p)}"
          aria-pressed=${isShown && i === current}
          onMouseEnter=${() => show(i)}
          onFocus=${() => show(i)}
          onClick=${() => show(i)}>${readable(each.text)}</span>`;
      })}
    </div>
    <p class="legend" aria-hidden="true">
      Probability:
      ${["0", "20", "40", "60", "80"].map(
        (low, i) => html`<span key=${low}><i class="token p${i}"></i>${low}–${Number(low) + 20} %</span>`,
      )}
    </p>
    ${
      isShown &&
      token &&
      html`<table class="alternatives" aria-live="polite">
        <caption>
          Alternatives to “${visible(token.text)}” (${percent(probability(token.logprob))})
        </caption>
        <tbody>
          ${alternatives(token).map(
            ([text, logprob]) =>
              html` <tr key=${text} class=${text === token.text ? "chosen" : ""}>
                <th scope="row"><code>${visible(text)}</code></th>
                <td>${percent(probability(logprob))}</td>
                <td class="meter"><i style=${{ width: `${(probability(logprob) ?? 0) * 100}%` }}></i></td>
              </tr>`,
          )}
        </tbody>
      </table>`
    }
  </div>`;
}
