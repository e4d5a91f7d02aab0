import { readFileSync, writeFileSync } from 'node:fs';

/** Where the last full proof stands for everybody to see, between these two marks. */
const FILE = 'bench/RESULTS.md';
const BEGIN = '<!-- proof -->';
const END = '<!-- /proof -->';

/** The text with what stands between the marks replaced. Throws when it has no such place. */
export function withProof(text: string, words: string): string {
  const from = text.indexOf(BEGIN);
  const to = text.indexOf(END, from);
  if (from < 0 || to < 0) throw new Error(`${FILE} has no place between ${BEGIN} and ${END}`);
  return `${text.slice(0, from + BEGIN.length)}\n${words}\n${text.slice(to)}`;
}

/** Breaks words into lines as this project's documents have them. */
export function wrapped(words: string, width = 118): string {
  const lines = [''];
  for (const word of words.split(' ')) {
    const line = lines.at(-1) ?? '';
    if (line !== '' && line.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  return lines.join('\n');
}

/** Puts the result of a proof among the results. */
export function recordProof(words: string): void {
  writeFileSync(FILE, withProof(readFileSync(FILE, 'utf8'), wrapped(words)));
}
