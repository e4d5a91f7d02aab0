import { EN } from './text-en.ts';
import { PT } from './text-pt.ts';

export type Word = keyof typeof PT;

export type Language = 'pt' | 'en';

/** A word of the page, with `{0}`, `{1}` filled in. */
export type Say = (word: Word, ...values: (string | number)[]) => string;

export function wordsOf(language: Language): Say {
  const words = language === 'pt' ? PT : EN;
  return (word, ...values) => words[word].replace(/\{(\d)\}/g, (_, at: string) => String(values[Number(at)] ?? ''));
}

const isWord = (name: string): name is Word => Object.hasOwn(PT, name);

/** What the server names by a code, in words; the code itself where this page knows none for it. */
export function sayCode(
  say: Say,
  kind: 'skip' | 'alert' | 'reason' | 'feed' | 'service' | 'transport',
  code: string,
): string {
  const word = `${kind}_${code}`;
  return isWord(word) ? say(word) : code;
}
