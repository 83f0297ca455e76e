// The current call as code: Python, curl, command line. The key is a variable, never the key itself.
import { baseUrl } from "./api.js";
import { Choice, CopyButton, html, useState } from "./ui.js";

/** Write a value as a Python literal. */
export function toPython(value, indent = "") {
  if (value === null || value === undefined) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (typeof value !== "object") return JSON.stringify(value);
  const inner = `${indent}    `;
  const parts = Array.isArray(value)
    ? value.map((item) => toPython(item, inner))
    : Object.entries(value).map(([name, item]) => `${JSON.stringify(name)}: ${toPython(item, inner)}`);
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  const line = `${open}${parts.join(", ")}${close}`;
  if (line.length + indent.length <= 76 && !line.includes("\n")) return line;
  return `${open}\n${parts.map((part) => `${inner}${part},\n`).join("")}${indent}${close}`;
}

const quote = (text) => `'${String(text).replaceAll("'", `'\\''`)}'`;
const isChat = (request) => "messages" in request;

export function pythonSnippet(request, isStreamed) {
  const resource = isChat(request) ? "client.chat.completions" : "client.completions";
  const lines = Object.entries(request)
    .map(([name, value]) => `            ${name}=${toPython(value, "            ")},\n`)
    .join("");
  const text = isChat(request) ? "choices[0].message.content" : "choices[0].text";
  const body = isStreamed
    ? `        async with ${resource}.stream(\n${lines}        ) as stream:
            async for event in stream:
                for choice in event.choices:
                    print(${isChat(request) ? 'choice.delta.content or ""' : "choice.text"}, end="", flush=True)`
    : `        response = await ${resource}.create(\n${lines}        )\n        print(response.${text})`;
  return `import asyncio

from tunesmith import AsyncClient


async def main():
    # The key is read from OPENAI_API_KEY.
    async with AsyncClient(base_url=${JSON.stringify(baseUrl())}) as client:
${body}


asyncio.run(main())
`;
}

export function curlSnippet(request, isStreamed) {
  const path = isChat(request) ? "chat/completions" : "completions";
  const body = JSON.stringify(isStreamed ? { ...request, stream: true } : request, null, 2);
  return `curl ${baseUrl()}/${path} \\
  -H "Authorization: Bearer $OPENAI_API_KEY" \\
  -H "Content-Type: application/json" \\
  -d ${quote(body)}
`;
}

/** Write the command, or the reason why there is none. */
export function commandSnippet(request, isStreamed) {
  const words = [
    "tunesmith",
    "--base-url",
    baseUrl(),
    isChat(request) ? "chat" : "complete",
    "-m",
    request.model,
  ];
  const maxTokens = request.max_completion_tokens ?? request.max_tokens;
  if (maxTokens != null) words.push("-M", maxTokens);
  if (request.temperature != null) words.push("-t", request.temperature);
  if (request.top_p != null) words.push("-P", request.top_p);
  for (const stop of request.stop ?? []) {
    words.push("--stop", stop.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll("\t", "\\t"));
  }
  if (request.seed != null) words.push("--seed", request.seed);
  if (isStreamed) words.push("--stream");
  const has = (...names) => names.find((name) => request[name] !== undefined);
  let text = request.prompt;
  const unsupported =
    has("response_format", "tools", "suffix", "frequency_penalty", "presence_penalty") ??
    (isChat(request) && has("logprobs"));
  const notes = unsupported ? [`# The command line has no option for ${unsupported}.\n`] : [];
  if (isChat(request)) {
    const [system, rest] =
      request.messages[0]?.role === "system"
        ? [request.messages[0].content, request.messages.slice(1)]
        : [null, request.messages];
    if (system) words.push("--system", system);
    text = rest.at(-1)?.content ?? "";
    if (rest.length > 1)
      notes.push("# Only the last message: `tunesmith chat` without a message holds a conversation.\n");
  } else if (request.logprobs != null) {
    words.push("--logprobs", request.logprobs, "--json");
  }
  words.push("--", text ?? "");
  const plain = /^[\w./:=@-]+$/;
  return `${notes.join("")}${words.map((word) => (plain.test(String(word)) ? word : quote(word))).join(" ")}\n`;
}

const WRITERS = {
  python: ["Python", pythonSnippet],
  curl: ["curl", curlSnippet],
  command: ["Command line", commandSnippet],
};

export function Snippets({ request, isStreamed }) {
  const [language, setLanguage] = useState("python");
  const text = WRITERS[language][1](request, isStreamed);
  return html`<div class="snippets">
    <div class="bar">
      <${Choice}
        label="Language"
        value=${language}
        onChange=${setLanguage}
        options=${Object.entries(WRITERS).map(([name, [label]]) => [name, label])}
      />
      <span><${CopyButton} text=${text} /></span>
    </div>
    <pre tabindex="0" aria-label="Code">${text}</pre>
  </div>`;
}
