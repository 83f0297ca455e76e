// Requests for completions and chats, and their responses, streamed or not.
import { api, streamEvents } from "./api.js";

export const DEFAULTS = {
  model: "",
  mode: "chat",
  temperature: 1,
  topP: 1,
  maxTokens: 256,
  stop: "",
  seed: "",
  frequencyPenalty: 0,
  presencePenalty: 0,
  showLogprobs: false,
  useStream: true,
  schema: "",
  tools: "",
  suffix: "",
};

const TOP_CHAT = 5;
const TOP_COMPLETIONS = 5;

/** Write the settings as parameters of the API; those at their default are left out. */
export function buildRequest(settings, input, model) {
  const isChat = settings.mode === "chat";
  const request = { model: settings.model };
  if (isChat) request.messages = input;
  else request.prompt = input;
  // OpenAI's chat models take the new name only; other servers may know the old one only.
  request[isChat && model?.abilities ? "max_completion_tokens" : "max_tokens"] = settings.maxTokens;
  if (settings.temperature !== 1) request.temperature = settings.temperature;
  if (settings.topP !== 1) request.top_p = settings.topP;
  if (!isChat && settings.suffix) request.suffix = settings.suffix;
  const stop = readStops(settings.stop);
  if (stop.length) request.stop = stop;
  if (settings.seed !== "") request.seed = Number(settings.seed);
  if (settings.frequencyPenalty) request.frequency_penalty = settings.frequencyPenalty;
  if (settings.presencePenalty) request.presence_penalty = settings.presencePenalty;
  if (settings.showLogprobs)
    Object.assign(
      request,
      isChat ? { logprobs: true, top_logprobs: TOP_CHAT } : { logprobs: TOP_COMPLETIONS },
    );
  if (isChat && settings.schema.trim()) {
    request.response_format = {
      type: "json_schema",
      json_schema: { name: "answer", schema: parseJson(settings.schema, "JSON schema"), strict: true },
    };
  }
  if (isChat && settings.tools.trim()) {
    const tools = parseJson(settings.tools, "Tools");
    request.tools = (Array.isArray(tools) ? tools : [tools]).map((tool) =>
      tool.type ? tool : { type: "function", function: tool },
    );
  }
  return request;
}

/** Read one stop text per line; `\n` and `\t` stand for a line end and a tab. */
export const readStops = (text) =>
  text
    .split("\n")
    .filter(Boolean)
    .map((line) => line.replace(/\\([nt\\])/g, (_, c) => ({ n: "\n", t: "\t", "\\": "\\" })[c]))
    .slice(0, 4);

function parseJson(text, name) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`${name} is not valid JSON: ${error.message}`);
  }
}

const emptyResult = () => ({
  text: "",
  tokens: [],
  toolCalls: [],
  refusal: "",
  finishReason: null,
  usage: null,
  seconds: 0,
});

/** Send a request; call `onUpdate` with the result so far, and return the whole result. */
export async function generate(request, { isStreamed, signal, onUpdate = () => {} }) {
  const isChat = "messages" in request;
  const path = isChat ? "chat/completions" : "completions";
  const start = performance.now();
  const result = emptyResult();
  const add = (body) => {
    for (const choice of body.choices ?? []) {
      if (choice.index) continue;
      if (isChat) addChat(result, choice.delta ?? choice.message ?? {}, choice);
      else addCompletion(result, choice);
      result.finishReason = choice.finish_reason ?? result.finishReason;
    }
    result.usage = body.usage ?? result.usage;
    result.seconds = (performance.now() - start) / 1000;
  };
  if (!isStreamed) {
    add(await api.post(path, request, signal));
    onUpdate({ ...result });
    return result;
  }
  let isDue = false;
  for await (const event of streamEvents(
    path,
    { ...request, stream_options: { include_usage: true } },
    signal,
  )) {
    add(event);
    // At most one update a frame, however fast the events are.
    if (!isDue) {
      isDue = true;
      requestAnimationFrame(() => {
        isDue = false;
        onUpdate({ ...result });
      });
    }
  }
  return result;
}

function addChat(result, message, choice) {
  result.text += message.content ?? "";
  result.refusal += message.refusal ?? "";
  for (const [position, call] of (message.tool_calls ?? []).entries()) {
    const index = call.index ?? position;
    const known = (result.toolCalls[index] ??= {
      id: "",
      type: "function",
      function: { name: "", arguments: "" },
    });
    known.id = call.id ?? known.id;
    known.function.name += call.function?.name ?? "";
    known.function.arguments += call.function?.arguments ?? "";
  }
  for (const token of choice.logprobs?.content ?? []) {
    result.tokens.push({
      text: token.token,
      logprob: token.logprob,
      top: (token.top_logprobs ?? []).map((each) => [each.token, each.logprob]),
    });
  }
}

function addCompletion(result, choice) {
  result.text += choice.text ?? "";
  const { tokens = [], token_logprobs: logprobs, top_logprobs: top } = choice.logprobs ?? {};
  for (const [i, text] of (tokens ?? []).entries()) {
    const alternatives = Object.entries(top?.[i] ?? {}).sort((a, b) => b[1] - a[1]);
    result.tokens.push({ text, logprob: logprobs?.[i] ?? null, top: alternatives });
  }
}
