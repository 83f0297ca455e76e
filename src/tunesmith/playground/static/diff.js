// Differences between two texts, by words.
const MAX_WORDS = 1500; // the work grows with the product of both lengths

const words = (text) => text.match(/\s+|\w+|[^\s\w]/gu) ?? [];

/** Split a text into parts [text, isDifferent], by the longest common sequence with a reference. */
export function markDifferences(reference, text) {
  const [a, b] = [words(reference), words(text)];
  if (a.length > MAX_WORDS || b.length > MAX_WORDS) return [[text, reference !== text]];
  const width = b.length + 1;
  const lengths = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      lengths[i * width + j] =
        a[i] === b[j]
          ? lengths[(i + 1) * width + j + 1] + 1
          : Math.max(lengths[(i + 1) * width + j], lengths[i * width + j + 1]);
    }
  }
  const parts = [];
  const add = (word, isDifferent) => {
    if (parts.length && parts.at(-1)[1] === isDifferent) parts.at(-1)[0] += word;
    else parts.push([word, isDifferent]);
  };
  let i = 0;
  for (let j = 0; j < b.length;) {
    if (i < a.length && a[i] === b[j]) {
      add(b[j++], false);
      i++;
    } else if (i < a.length && lengths[(i + 1) * width + j] >= lengths[i * width + j + 1]) {
      i++;
    } else {
      add(b[j++], true);
    }
  }
  return parts;
}
