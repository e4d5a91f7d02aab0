import { isFields } from '../client/read.ts';

/** An object of an answer whose fields may be anything: a server may add to them without this page knowing. */
export type AnswerFields = Readonly<Record<string, unknown>>;

/** The list under a name; empty where there is none. */
export function listIn(answer: unknown, name: string): readonly AnswerFields[] {
  const list = isFields(answer) ? answer[name] : null;
  return Array.isArray(list) ? list.filter(isFields) : [];
}

/** A value to be shown; a dash for nothing. */
export function textOf(value: unknown): string {
  if (value === null || value === undefined || value === '') return '–';
  if (Array.isArray(value)) return value.map(textOf).join(' ') || '–';
  return isFields(value) ? JSON.stringify(value) : String(value);
}
