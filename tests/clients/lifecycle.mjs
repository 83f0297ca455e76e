// The whole lifecycle by the official Node client; run with it installed, against a service.
// Only the environment says where that is. What was seen is printed as JSON; the test judges it.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(pathToFileURL(`${process.argv[2]}/`));
const { default: OpenAI, toFile } = await import(pathToFileURL(require.resolve("openai")));
const client = new OpenAI();
const seen = { version: require("openai/version").VERSION };

const lines = [];
for (let i = 0; i < 12; i++) {
  lines.push(
    JSON.stringify({
      messages: [
        { role: "user", content: `What is ${i} plus ${i}?` },
        { role: "assistant", content: `${2 * i}, as always.` },
      ],
    }),
  );
}
const training = Buffer.from(lines.join("\n") + "\n");
const until = async (look, over) => {
  for (const deadline = Date.now() + 60_000; Date.now() < deadline; ) {
    const found = await look();
    if (over.includes(found.status)) return found;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
};
const all = async (pages) => {
  const found = [];
  for await (const each of pages) found.push(each);
  return found;
};
const refused = async (call) => {
  try {
    await call();
  } catch (error) {
    return [error.constructor.name, error.status, error.code, Boolean(error.requestID)];
  }
};

// Files
const file = await client.files.create({
  file: await toFile(training, "train.jsonl"),
  purpose: "fine-tune",
});
const kept = await client.files.retrieve(file.id);
seen.file = [file.object, file.bytes, file.purpose, kept.filename];
seen.files = (await all(client.files.list())).map((each) => each.id).join() === file.id;
const content = Buffer.from(await (await client.files.content(file.id)).arrayBuffer());
seen.content = content.equals(training);

// A job, its events and checkpoints, its results
let job = await client.fineTuning.jobs.create({
  model: "gpt-4o-mini-2024-07-18",
  training_file: file.id,
  suffix: "sums",
  method: { type: "supervised", supervised: { hyperparameters: { n_epochs: 2 } } },
});
seen.first_status = job.status;
job = await until(
  () => client.fineTuning.jobs.retrieve(job.id),
  ["succeeded", "failed", "cancelled"],
);
seen.status = job.status;
await new Promise((resolve) => setTimeout(resolve, 200)); // the last events come after the end
const events = await all(client.fineTuning.jobs.listEvents(job.id, { limit: 5 }));
seen.events = events.map((event) => event.message).reverse();
seen.event_ids = new Set(events.map((event) => event.id)).size === events.length;
const checkpoints = await all(client.fineTuning.jobs.checkpoints.list(job.id));
seen.checkpoints = checkpoints.map((each) => each.step_number);
seen.results = (await (await client.files.content(job.result_files[0])).text()).length > 0;
seen.jobs = (await client.fineTuning.jobs.list({ limit: 1 })).data[0].id === job.id;
const tuned = job.fine_tuned_model;
seen.tuned = tuned.startsWith("ft:gpt-4o-mini-2024-07-18:personal:sums:");
seen.model = (await client.models.retrieve(tuned)).id === tuned;
seen.among_models = (await all(client.models.list())).some((model) => model.id === tuned);

// Completions and chats, whole and bit by bit
const asked = {
  model: tuned,
  messages: [{ role: "user", content: "What is 3 plus 3?" }],
  temperature: 0,
};
seen.chat = (await client.chat.completions.create(asked)).choices[0].message.content;
seen.chat_bits = "";
for await (const bit of await client.chat.completions.create({ ...asked, stream: true })) {
  seen.chat_bits += bit.choices[0]?.delta.content ?? "";
}
const prompt = { model: "davinci-002", prompt: "Kant was", max_tokens: 5, seed: 1 };
seen.completion = (await client.completions.create(prompt)).choices[0].text;
seen.completion_bits = "";
for await (const bit of await client.completions.create({ ...prompt, stream: true })) {
  seen.completion_bits += bit.choices[0]?.text ?? "";
}
for await (const bit of await client.completions.create({ ...prompt, stream: true })) {
  if (bit) break; // left early
}
const embedding = await client.embeddings.create({
  model: "text-embedding-3-small",
  input: "Kant",
  dimensions: 8,
});
seen.embedding = embedding.data[0].embedding.length;
seen.moderation = (await client.moderations.create({ input: "Kant" })).results[0].flagged;

// Batches and uploads
const line = { custom_id: "a", method: "POST", url: "/v1/completions", body: prompt };
const questions = await client.files.create({
  file: await toFile(Buffer.from(JSON.stringify(line)), "batch.jsonl"),
  purpose: "batch",
});
let batch = await client.batches.create({
  input_file_id: questions.id,
  endpoint: "/v1/completions",
  completion_window: "24h",
});
batch = await until(
  () => client.batches.retrieve(batch.id),
  ["completed", "failed", "expired"],
);
const answer = JSON.parse(await (await client.files.content(batch.output_file_id)).text());
seen.batch = [batch.status, batch.request_counts.completed, answer.response.status_code];
const upload = await client.uploads.create({
  filename: "big.jsonl",
  purpose: "fine-tune",
  bytes: training.length,
  mime_type: "application/jsonl",
});
const part = await client.uploads.parts.create(upload.id, {
  data: await toFile(training, "part"),
});
const completed = await client.uploads.complete(upload.id, { part_ids: [part.id] });
seen.upload = completed.file.bytes === training.length;

// What goes wrong
const slow = await client.fineTuning.jobs.create({
  model: "gpt-4o-mini-2024-07-18",
  training_file: file.id,
  method: { type: "supervised", supervised: { hyperparameters: { n_epochs: 50 } } },
});
seen.cancelled = (await client.fineTuning.jobs.cancel(slow.id)).status;
seen.no_such_job = await refused(() => client.fineTuning.jobs.retrieve("ftjob-none"));
seen.no_such_model = await refused(() => client.models.retrieve("none"));
seen.bad_parameter = await refused(() =>
  client.completions.create({ ...prompt, temperature: 3 }),
);
seen.base_model = await refused(() => client.models.delete("davinci-002"));
const stranger = new OpenAI({ apiKey: "sk-wrong-key-of-mine" });
seen.no_key = await refused(() => stranger.models.list());
seen.deleted = [
  (await client.models.delete(tuned)).deleted,
  (await client.files.delete(file.id)).deleted,
];
console.log(JSON.stringify(seen));
