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
