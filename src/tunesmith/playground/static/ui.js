// Building blocks of the page: markup, stores, fields, tables.
import { h, render } from "./vendor/preact.js";
import { useCallback, useEffect, useId, useLayoutEffect, useMemo, useRef, useState } from "./vendor/hooks.js";
import htm from "./vendor/htm.js";

export { render, useCallback, useEffect, useId, useLayoutEffect, useMemo, useRef, useState };

// Values in these templates become text nodes or properties, never markup.
export const html = htm.bind(h);

/** A value that several parts of the page share. */
export function createStore(initial) {
  let value = initial;
  const listeners = new Set();
  return {
    get: () => value,
    set(next) {
      value = typeof next === "function" ? next(value) : next;
      for (const listener of [...listeners]) listener(value);
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/** Return the value of a store, and render again when it changes. */
export function useStore(store) {
  const [value, setValue] = useState(store.get());
  useEffect(() => {
    setValue(store.get());
    return store.subscribe((next) => setValue(next));
  }, [store]);
  return value;
}

/** A control with its label, and a hint below it. */
export function Field({ label, hint, children, inline = false }) {
  const id = useId();
  const control = typeof children === "function" ? children(id, hint ? `${id}h` : undefined) : children;
  return html`<div class=${inline ? "field inline" : "field"}>
    <label for=${id}>${label}</label>
    ${control} ${hint && html`<small id="${id}h">${hint}</small>`}
  </div>`;
}

/** A text area that grows with its text. */
export function TextArea({ id, value, onInput, rows = 2, ...others }) {
  const element = useRef();
  useLayoutEffect(() => {
    const area = element.current;
    area.style.height = "auto";
    area.style.height = `${Math.min(area.scrollHeight + 2, window.innerHeight * 0.6)}px`;
  }, [value]);
  return html`<textarea
    id=${id}
    ref=${element}
    rows=${rows}
    value=${value}
    spellcheck=${false}
    onInput=${(event) => onInput(event.target.value)}
    ...${others}></textarea>`;
}

/** A number with a slider. */
export function Slider({ label, value, onInput, min, max, step, hint }) {
  return html`<${Field} label=${label} hint=${hint}>${(id, hintId) =>
    html`<span class="slider">
      <input
        type="range"
        aria-hidden="true"
        tabindex="-1"
        min=${min}
        max=${max}
        step=${step}
        value=${value}
        onInput=${(event) => onInput(Number(event.target.value))}
      />
      <input
        id=${id}
        aria-describedby=${hintId}
        type="number"
        min=${min}
        max=${max}
        step=${step}
        value=${value}
        onInput=${(event) => event.target.value !== "" && onInput(Number(event.target.value))}
      />
    </span>`}</${Field}>`;
}

/** Choices of which one is selected, as a row of buttons. */
export function Choice({ label, options, value, onChange }) {
  const name = useId();
  return html`<fieldset class="choice">
    <legend class="hidden">${label}</legend>
    ${options.map(
      ([key, text]) =>
        html`<label key=${key}>
          <input
            type="radio"
            name=${name}
            value=${key}
            checked=${key === value}
            onChange=${() => onChange(key)}
          />
          <span>${text}</span>
        </label>`,
    )}
  </fieldset>`;
}

export function CopyButton({ text, label = "Copy" }) {
  const [state, setState] = useState("");
  async function copy() {
    try {
      await navigator.clipboard.writeText(text);
      setState("Copied");
    } catch {
      setState("Not allowed by the browser");
    }
    setTimeout(() => setState(""), 2000);
  }
  return html`<button type="button" class="small" onClick=${copy}>${label}</button>
    <span class="note" role="status">${state}</span>`;
}

export function ErrorNote({ error, onClose }) {
  if (!error) return null;
  return html`<div class="error-note" role="alert">
    <span>${error.message ?? String(error)}</span>
    ${onClose && html`<button type="button" class="small" onClick=${onClose}>Dismiss</button>`}
  </div>`;
}

export function Empty({ children }) {
  return html`<p class="empty">${children}</p>`;
}

const NARROW = window.matchMedia("(max-width: 56rem)");
const NARROW_ROW_HEIGHT = 56; // two lines of text

/** Return whether the window is narrow, and render again when that changes. */
function useNarrow() {
  const [isNarrow, setNarrow] = useState(NARROW.matches);
  useEffect(() => {
    const update = () => setNarrow(NARROW.matches);
    update();
    NARROW.addEventListener("change", update);
    return () => NARROW.removeEventListener("change", update);
  }, []);
  return isNarrow;
}

/**
 * Table that renders only the rows in view, so that it may have a million.
 * `columns`: [{name, cell: (row) => content, class}]; `onEnd` is called near the last row.
 */
export function VirtualTable({
  label,
  columns,
  rows,
  rowHeight = 36,
  maxRows = 12,
  onEnd,
  total,
  layout,
  selected,
}) {
  if (useNarrow()) rowHeight = Math.max(rowHeight, NARROW_ROW_HEIGHT);
  const body = useRef();
  const [top, setTop] = useState(0);
  const height = Math.min(Math.max(rows.length, 1), maxRows) * rowHeight;
  // Browsers limit the height of an element, so very long lists are scaled.
  const full = Math.min(rows.length * rowHeight, 15_000_000);
  const scale = full > height ? (rows.length * rowHeight - height) / (full - height) : 1;
  const offset = top * scale;
  const first = Math.max(Math.floor(offset / rowHeight) - 5, 0);
  const last = Math.min(Math.ceil((offset + height) / rowHeight) + 5, rows.length);
  useEffect(() => {
    if (onEnd && last >= rows.length - 5) onEnd();
  }, [last, rows.length, onEnd]);
  const visible = [];
  for (let i = first; i < last; i++) {
    const row = rows[i];
    const y = i * rowHeight - offset + top;
    visible.push(
      html`<div
        role="row"
        key=${row.id ?? i}
        aria-rowindex=${i + 2}
        class=${selected === row.id ? "row selected" : "row"}
        style=${{ transform: `translateY(${y}px)`, height: `${rowHeight}px` }}
      >
        ${columns.map(
          (column) =>
            html`<div role="cell" key=${column.name} class=${column.class}>
              <div class="cell">${column.cell(row)}</div>
            </div>`,
        )}
      </div>`,
    );
  }
  return html`<div
    role="table"
    aria-label=${label}
    aria-rowcount=${(total ?? rows.length) + 1}
    class="vtable ${layout}"
  >
    <div role="rowgroup" class="head">
      <div role="row" aria-rowindex="1" class="row">
        ${columns.map(
          (column) =>
            html`<div role="columnheader" key=${column.name} class=${column.class}>${column.name}</div>`,
        )}
      </div>
    </div>
    <div
      role="rowgroup"
      ref=${body}
      tabindex="0"
      aria-label="${label}: rows"
      class="body"
      style=${{ height: `${height}px` }}
      onScroll=${(event) => setTop(event.target.scrollTop)}
    >
      <div role="presentation" class="sizer" style=${{ height: `${full}px` }}>${visible}</div>
    </div>
  </div>`;
}

/** Offer text or a blob as a download. */
export function download(name, content, type = "text/plain") {
  const blob = content instanceof Blob ? content : new Blob([content], { type });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

const NUMBER = new Intl.NumberFormat("en");
export const formatNumber = (value) => (value == null ? "" : NUMBER.format(value));
export const formatTime = (seconds) => (seconds ? new Date(seconds * 1000).toLocaleString() : "");

/** Write a duration of some seconds: `45 s`, `3 min 5 s`, `2 h 10 min`. */
export function formatDuration(seconds) {
  const whole = Math.max(Math.round(seconds), 0);
  if (whole < 60) return `${whole} s`;
  const [size, large, small] = whole < 3600 ? [60, "min", "s"] : [3600, "h", "min"];
  const rest = Math.floor((whole % size) / (size / 60));
  return `${Math.floor(whole / size)} ${large}${rest ? ` ${rest} ${small}` : ""}`;
}

export function formatBytes(bytes) {
  if (bytes == null) return "";
  for (const unit of ["B", "KB", "MB", "GB"]) {
    if (bytes < 1000 || unit === "GB")
      return `${bytes < 10 && unit !== "B" ? bytes.toFixed(1) : Math.round(bytes)} ${unit}`;
    bytes /= 1000;
  }
}

/** Write rows as CSV; cells that a spreadsheet would run as formulas are quoted as text. */
export function toCsv(rows) {
  const cell = (value) => {
    let text = value == null ? "" : String(value);
    if (/^[=+@\t\r]|^-(?![\d.])/.test(text)) text = `'${text}`;
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return rows.map((row) => row.map(cell).join(",") + "\r\n").join("");
}
