// A job and its model through the official Node client, against `tunesmith serve`.
//
//     node lifecycle.mjs FOLDER    with the client installed in FOLDER
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(pathToFileURL(`${process.argv[2]}/`));
const { default: OpenAI, toFile } = await import(pathToFileURL(require.resolve("openai")));
const client = new OpenAI();

const rows = Array.from({ length: 20 }, (_, n) => ({
  messages: [
    { role: "user", content: `${n}` },
    { role: "assistant", content: "yes" },
  ],
}));
const content = Buffer.from(rows.map((row) => JSON.stringify(row) + "\n").join(""));
const file = await client.files.create({
  file: await toFile(content, "rows.jsonl"),
  purpose: "fine-tune",
});
const hyperparameters = { n_epochs: 12, learning_rate_multiplier: 20 };
let job = await client.fineTuning.jobs.create({
  model: "gpt-4o-mini",
  training_file: file.id,
  method: { type: "supervised", supervised: { hyperparameters } },
});
while (!["succeeded", "failed", "cancelled"].includes(job.status)) {
  await new Promise((resolve) => setTimeout(resolve, 100));
  job = await client.fineTuning.jobs.retrieve(job.id);
}
const asked = {
  model: job.fine_tuned_model,
  messages: [{ role: "user", content: "7" }],
  temperature: 0,
  max_tokens: 8,
};
const reply = await client.chat.completions.create(asked);
let streamed = "";
for await (const chunk of await client.chat.completions.create({ ...asked, stream: true })) {
  streamed += chunk.choices[0]?.delta.content ?? "";
}
console.log(JSON.stringify([job.id, reply.choices[0].message.content, streamed]));
