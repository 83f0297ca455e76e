// The Responses API by the official Node client; run with it installed, against a service.
// The environment has the base URL and the key. Results are printed as JSON for the test.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(pathToFileURL(`${process.argv[2]}/`));
const { default: OpenAI, NotFoundError } = await import(pathToFileURL(require.resolve("openai")));
const client = new OpenAI();
const model = "gpt-4o-mini";
const results = {};

const weather = {
  type: "function",
  name: "weather",
  strict: true,
  parameters: {
    type: "object",
    properties: { city: { type: "string" } },
    required: ["city"],
    additionalProperties: false,
  },
};
const schema = {
  type: "object",
  properties: { name: { type: "string" } },
  required: ["name"],
  additionalProperties: false,
};
const question = { role: "user", content: "Weather?" };

const response = await client.responses.create({ model, input: "Who was Kant?" });
results.create = [response.status, response.output_text !== "", response.usage.total_tokens > 0];
const stored = await client.responses.retrieve(response.id);
results.retrieve = [stored.id === response.id, stored.output_text === response.output_text];

let text = "";
const kinds = [];
let last;
const events = await client.responses.create({
  model,
  input: "Who was Kant?",
  previous_response_id: response.id,
  stream: true,
});
for await (const event of events) {
  kinds.push(event.type);
  last = event;
  if (event.type === "response.output_text.delta") text += event.delta;
}
results.events = [kinds[0], kinds.at(-1)];
results.continued = last.response.previous_response_id === response.id;
results.text = text === last.response.output[0].content[0].text;
let deltas = 0;
const stream = client.responses
  .stream({ model, input: "Who was Kant?" })
  .on("response.output_text.delta", () => deltas++);
const final = await stream.finalResponse();
results.stream = [final.status, deltas > 0, final.output_text !== ""];

const parsed = await client.responses.parse({
  model,
  input: "A city",
  text: { format: { type: "json_schema", name: "city", strict: true, schema } },
});
results.parse = typeof parsed.output_parsed.name;

const called = await client.responses.create({
  model,
  input: "Weather?",
  tools: [weather],
  tool_choice: "required",
});
const [call] = called.output;
results.call = [call.type, call.name, Object.keys(JSON.parse(call.arguments))];
const output = { type: "function_call_output", call_id: call.call_id, output: "sunny" };
const answered = await client.responses.create({
  model,
  input: [question, ...called.output, output],
});
results.answer = answered.output[0].type;
results.input_items = [];
for await (const item of client.responses.inputItems.list(answered.id, { order: "asc", limit: 2 })) {
  results.input_items.push(item.type);
}

const count = await client.responses.inputTokens.count({ model, input: "Hi" });
results.input_tokens = count.object;
const queued = await client.responses.create({ model, input: "Later", background: true });
const cancelled = await client.responses.cancel(queued.id);
results.background = [queued.status, cancelled.status];
await client.responses.delete(response.id);
try {
  await client.responses.retrieve(response.id);
} catch (error) {
  results.deleted = [error instanceof NotFoundError, error.status];
}
console.log(JSON.stringify(results));
