// Messages of a conversation, and the outcome of a call.
import { Tokens } from "./tokens.js";
import { formatNumber, html, TextArea, useState } from "./ui.js";

/** A message of the conversation, to read and to edit. */
export function Message({ message, index, onChange, onRemove }) {
  const [isEdited, setEdited] = useState(false);
  const calls = message.tool_calls ?? [];
  const other = calls.length ? null : { user: "assistant", assistant: "user" }[message.role];
  return html`<article class="message ${message.role}" aria-label="${message.role} message">
    <div class="bar">
      ${
        other
          ? html`<button
              type="button"
              class="quiet small role"
              title="Change to ${other}"
              onClick=${() => onChange({ role: other })}
            >
              ${message.role}
            </button>`
          : html`<strong>${message.role}</strong>`
      }
      <span>
        ${
          message.role !== "tool" &&
          html`<button
            type="button"
            class="quiet small"
            aria-pressed=${isEdited}
            onClick=${() => setEdited(!isEdited)}
          >
            ${isEdited ? "Done" : "Edit"}
          </button>`
        }
        <button type="button" class="quiet small" onClick=${onRemove}>Remove</button>
      </span>
    </div>
    ${
      message.role === "tool" || isEdited
        ? html`<${TextArea}
            value=${message.content ?? ""}
            aria-label=${message.role === "tool" ? `Result of the tool call ${message.tool_call_id}` : `Message ${index + 1}`}
            placeholder=${message.role === "tool" ? "Result of the tool" : ""}
            onInput=${(content) => onChange({ content, tokens: [] })}
          />`
        : message.tokens?.length
          ? html`<${Tokens} tokens=${message.tokens} />`
          : html`<div class="text">${message.content}</div>`
    }
    ${message.refusal && html`<p class="warn">${message.refusal}</p>`}
    ${calls.map(
      (call) =>
        html`<pre key=${call.id} class="call">${call.function.name}(${call.function.arguments})</pre>`,
    )}
  </article>`;
}

/** Tokens, duration and end of the last answer. */
export function Outcome({ result }) {
  if (!result) return null;
  const { usage, finishReason, seconds } = result;
  return html`<p class="note outcome" role="status">
    ${[
      usage && `${formatNumber(usage.prompt_tokens)} + ${formatNumber(usage.completion_tokens)} tokens`,
      `${seconds.toFixed(2)} s`,
      usage && seconds > 0 && `${formatNumber(Math.round(usage.completion_tokens / seconds))} tokens/s`,
      result.isStopped ? "stopped by you" : finishReason && `finish reason: ${finishReason}`,
    ]
      .filter(Boolean)
      .join(" · ")}
  </p>`;
}

/** Messages as the API takes them, without what belongs to the page. */
export const toApi = (message) => {
  const { role, content, tool_calls: calls, tool_call_id: id } = message;
  return { role, content, ...(calls?.length && { tool_calls: calls }), ...(id && { tool_call_id: id }) };
};
