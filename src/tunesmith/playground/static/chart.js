// Line charts in the style of the HTML reports: axes with units, grid, legend, values at the pointer.
import { html, useRef, useState } from "./ui.js";

const WIDTH = 720;
const HEIGHT = 230;
const [LEFT, RIGHT, TOP, BOTTOM] = [64, 16, 16, 50];
const TICKS = 5;
export const COLOURS = 6;

/** Round values that cover a range: multiples of 1, 2 or 5 times a power of ten. */
export function ticks(low, high) {
  if (high - low <= Math.max(Math.abs(low), Math.abs(high)) * 1e-9 + 1e-300)
    high = low + Math.max(Math.abs(low), 1);
  const raw = (high - low) / TICKS;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= raw);
  const result = [];
  for (let i = Math.floor(low / step); i <= Math.ceil(high / step); i++) result.push(i * step);
  return result;
}

/** Ticks of a logarithmic axis between two exponents: powers of ten, with 2 and 5 if these are few. */
export function logTicks(low, high) {
  const factors = high - low > 2 ? [1] : [1, 2, 5];
  const result = [];
  for (let power = Math.floor(low); power <= Math.ceil(high); power++) {
    for (const factor of factors) result.push(Math.log10(factor) + power);
  }
  const first = result.findLastIndex((tick) => tick <= low);
  const last = result.findIndex((tick) => tick >= high);
  return result.slice(Math.max(first, 0), last < 0 ? undefined : last + 1);
}

/** Smooth values by an exponential moving average, corrected for its beginning. */
export function smoothed(points, weight) {
  if (!weight) return points;
  let [last, norm] = [0, 0];
  return points.map(([x, y]) => {
    last = last * weight + (1 - weight) * y;
    norm = norm * weight + (1 - weight);
    return [x, last / norm];
  });
}

export const writeNumber = (value) =>
  Number(value.toPrecision(4)).toLocaleString("en", { maximumFractionDigits: 6 });

function nearest(points, x) {
  let [low, high] = [0, points.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (points[middle][0] < x) low = middle;
    else high = middle;
  }
  return Math.abs(points[low][0] - x) <= Math.abs(points[high][0] - x) ? points[low] : points[high];
}

/** A chart; `series`: [{name, color: 1…6, points: [[x, y], …], isDashed}]. */
export function LineChart({ title, yLabel, xLabel = "step", series, smoothing = 0, isLog = false }) {
  const [pointer, setPointer] = useState(null);
  const svg = useRef();
  // A logarithmic axis has no place for zero.
  const lines = (
    isLog ? series.map((line) => ({ ...line, points: line.points.filter(([, y]) => y > 0) })) : series
  ).filter((line) => line.points.length);
  if (!lines.length) return null;
  const drawn = lines.map((line) => ({
    ...line,
    curve: line.points.length > 2 ? smoothed(line.points, smoothing) : line.points,
  }));
  const xs = drawn.flatMap((line) => [line.points[0][0], line.points.at(-1)[0]]);
  const scaleY = isLog ? Math.log10 : (y) => y;
  let [low, high] = isLog ? [Infinity, -Infinity] : [0, 0];
  for (const line of drawn)
    for (const [, y] of line.points) {
      low = Math.min(low, scaleY(y));
      high = Math.max(high, scaleY(y));
    }
  const [left, right] = [Math.min(...xs), Math.max(...xs, Math.min(...xs) + 1e-9)];
  const yTicks = isLog ? logTicks(low, Math.max(high, low + 1e-3)) : ticks(low, high);
  [low, high] = [yTicks[0], yTicks.at(-1)];
  const xOf = (x) => LEFT + ((x - left) / (right - left)) * (WIDTH - LEFT - RIGHT);
  const yOf = (y) => HEIGHT - BOTTOM - ((scaleY(y) - low) / (high - low)) * (HEIGHT - TOP - BOTTOM);
  const path = (points) => points.map(([x, y]) => `${xOf(x).toFixed(1)},${yOf(y).toFixed(1)}`).join(" ");

  function follow(event) {
    const box = svg.current.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * WIDTH;
    setPointer(
      Math.min(Math.max(left + ((x - LEFT) / (WIDTH - LEFT - RIGHT)) * (right - left), left), right),
    );
  }
  function step(event) {
    const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!way) return;
    event.preventDefault();
    const points = drawn[0].points;
    const index = pointer == null ? -1 : points.indexOf(nearest(points, pointer));
    setPointer(points[Math.min(Math.max(index + way, 0), points.length - 1)][0]);
  }

  const values = pointer == null ? [] : drawn.map((line) => [line, nearest(line.curve, pointer)]);
  return html`<figure class="chart">
    <figcaption>
      <h3>${title}</h3>
      <span class="note">${yLabel}</span>
    </figcaption>
    <svg
      ref=${svg}
      viewBox="0 0 ${WIDTH} ${HEIGHT}"
      role="img"
      tabindex="0"
      aria-label="${title}: ${yLabel} by ${xLabel}; arrow keys show values"
      onPointerMove=${follow}
      onPointerLeave=${() => setPointer(null)}
      onKeyDown=${step}
      onBlur=${() => setPointer(null)}
    >
      ${yTicks
        .map((tick) => (isLog ? 10 ** tick : tick))
        .map(
          (y) =>
            html`<g key="y${y}"><line class="rule" x1=${LEFT} x2=${WIDTH - RIGHT} y1=${yOf(y)} y2=${yOf(y)} />
              <text x=${LEFT - 8} y=${yOf(y) + 4} text-anchor="end">${writeNumber(y)}</text></g>`,
        )}
      ${ticks(left, right)
        .filter((x) => x >= left && x <= right && Number.isInteger(x))
        .map(
          (x) =>
            html`<g key="x${x}"><line class="rule" x1=${xOf(x)} x2=${xOf(x)} y1=${HEIGHT - BOTTOM} y2=${HEIGHT - BOTTOM + 5} />
              <text x=${xOf(x)} y=${HEIGHT - BOTTOM + 20} text-anchor="middle">${writeNumber(x)}</text></g>`,
        )}
      <text x=${(LEFT + WIDTH - RIGHT) / 2} y=${HEIGHT - 6} text-anchor="middle">${xLabel}</text>
      ${drawn.map(
        (line) =>
          html`<g key=${line.name}>
            ${
              smoothing > 0 &&
              line.points.length > 2 &&
              html`<polyline class="line c${line.color} raw" points=${path(line.points)} />`
            }
            ${
              line.points.length === 1
                ? html`<circle
                    class="dot c${line.color}"
                    cx=${xOf(line.points[0][0])}
                    cy=${yOf(line.points[0][1])}
                    r="4"
                  />`
                : html`<polyline
                    class="line c${line.color}"
                    stroke-dasharray=${line.isDashed ? "6 4" : undefined}
                    points=${path(line.curve)}
                  />`
            }
          </g>`,
      )}
      ${
        pointer != null &&
        html`<line
          class="pointer"
          x1=${xOf(values[0][1][0])}
          x2=${xOf(values[0][1][0])}
          y1=${TOP}
          y2=${HEIGHT - BOTTOM}
        />`
      }
      ${values.map(
        ([line, [x, y]]) =>
          html`<circle key=${line.name} class="dot c${line.color}" cx=${xOf(x)} cy=${yOf(y)} r="3.5" />`,
      )}
    </svg>
    <div class="legend">
      ${drawn.map(
        (line, i) =>
          html`<span key=${line.name}><i class="swatch c${line.color} ${line.isDashed ? "dashed" : ""}"></i>${line.name}
            ${values[i] && html`<b> ${writeNumber(values[i][1][1])}</b>`}</span>`,
      )}
      ${values.length > 0 && html`<span>${xLabel} <b>${writeNumber(values[0][1][0])}</b></span>`}
    </div>
  </figure>`;
}

const STYLES = ["fill", "stroke", "stroke-width", "stroke-dasharray", "opacity", "font-size", "font-family"];

/** Draw charts below each other as a PNG, with their titles and legends. */
export async function chartsToPng(figures) {
  const scale = 2;
  const part = HEIGHT + 64;
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [WIDTH * scale, part * figures.length * scale];
  const context = canvas.getContext("2d");
  context.scale(scale, scale);
  const root = getComputedStyle(document.body);
  context.fillStyle = root.backgroundColor;
  context.fillRect(0, 0, WIDTH, part * figures.length);
  for (const [i, figure] of figures.entries()) {
    const top = i * part;
    context.fillStyle = root.color;
    context.font = "600 16px system-ui, sans-serif";
    context.fillText(
      `${figure.querySelector("h3").textContent} (${figure.querySelector(".note").textContent})`,
      12,
      top + 22,
    );
    context.drawImage(await rasterize(figure.querySelector("svg")), 0, top + 30, WIDTH, HEIGHT);
    let x = LEFT;
    context.font = "13px system-ui, sans-serif";
    for (const entry of figure.querySelectorAll(".legend > span")) {
      const swatch = entry.querySelector("i");
      if (!swatch) continue;
      const style = getComputedStyle(swatch);
      context.strokeStyle = style.borderTopColor;
      context.setLineDash(style.borderTopStyle === "dashed" ? [6, 4] : []);
      context.lineWidth = 3;
      context.beginPath();
      context.moveTo(x, top + HEIGHT + 42);
      context.lineTo(x + 20, top + HEIGHT + 42);
      context.stroke();
      context.fillStyle = root.color;
      context.fillText(entry.textContent.trim(), x + 26, top + HEIGHT + 46);
      x += context.measureText(entry.textContent.trim()).width + 50;
    }
  }
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

async function rasterize(svg) {
  const copy = svg.cloneNode(true);
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  copy.setAttribute("width", WIDTH * 2);
  copy.setAttribute("height", HEIGHT * 2);
  const originals = svg.querySelectorAll("*");
  for (const [i, element] of [...copy.querySelectorAll("*")].entries()) {
    // The picture has no style sheet.
    const style = getComputedStyle(originals[i]);
    for (const name of STYLES) element.setAttribute(name, style.getPropertyValue(name));
    element.removeAttribute("class");
  }
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(new XMLSerializer().serializeToString(copy))}`;
  await image.decode();
  return image;
}
