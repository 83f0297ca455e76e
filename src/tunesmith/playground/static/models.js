// The models of the server, in groups.
import { api, usePolling } from "./api.js";
import { Field, createStore, html, useStore } from "./ui.js";

/** The models; null until they are loaded. */
export const models = createStore(null);

/** Why the models cannot be listed; null if they can. */
export const modelsError = createStore(null);

export async function loadModels(signal) {
  try {
    models.set((await api.page("models", {}, signal)).data);
    modelsError.set(null);
  } catch (error) {
    if (error.name !== "AbortError" && error.status !== 401 && error.code !== "connection_lost") modelsError.set(error);
    throw error;
  }
  return "done";
}

export function useModels() {
  usePolling(loadModels, models.get() ? 0 : 3000, []);
  return useStore(models);
}

export const can = (model, ...abilities) =>
  !model?.abilities || abilities.some((ability) => model.abilities.includes(ability));

const isRetired = (model) => model.shutdown && model.shutdown <= new Date().toISOString().slice(0, 10);

/** Split models into the groups of the menu. */
export function groupModels(list) {
  return [
    ["Fine-tuned", list.filter((model) => model.group === "tuned").reverse()],
    ["Checkpoints", list.filter((model) => model.group === "checkpoint").reverse()],
    ["Base", list.filter((model) => model.group === "base" && !isRetired(model))],
    ["Base, shut down at OpenAI", list.filter((model) => model.group === "base" && isRetired(model))],
  ].filter(([, members]) => members.length);
}

/** Return the model to begin with: the newest tuned one, else a base model. */
export const firstModel = (list) => groupModels(list)[0]?.[1][0]?.id ?? "";

/** Menu of the models that have one of some abilities; a text field if the server lists none. */
export function ModelSelect({ label = "Model", value, onChange, abilities = [], groups = [], hint }) {
  const list = useStore(models);
  const able = (list ?? []).filter(
    (model) =>
      (!abilities.length || can(model, ...abilities)) && (!groups.length || groups.includes(model.group)),
  );
  const isUnlisted = useStore(modelsError) && !list;
  if (isUnlisted) {
    return html`<${Field} label=${label} hint=${hint}>${(id, hintId) =>
      html`<input
        id=${id}
        aria-describedby=${hintId}
        placeholder="Name of a model"
        value=${value}
        onChange=${(event) => onChange(event.target.value.trim())}
      />`}</${Field}>`;
  }
  const isKnown = able.some((model) => model.id === value);
  return html`<${Field} label=${label} hint=${hint}>${(id, hintId) =>
    html` <select
      id=${id}
      aria-describedby=${hintId}
      value=${value}
      onChange=${(event) => onChange(event.target.value)}
    >
      ${!isKnown && html`<option value=${value}>${value || (list ? "Choose a model" : "Loading…")}</option>`}
      ${groupModels(able).map(
        ([name, members]) =>
          html`<optgroup key=${name} label=${name}>
            ${members.map((model) => html`<option key=${model.id} value=${model.id}>${model.id}</option>`)}
          </optgroup>`,
      )}
    </select>`}</${Field}>`;
}
