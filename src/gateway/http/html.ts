import { createHash } from 'node:crypto';
import type { Answer } from '../door/answer.ts';

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Text for a place between tags or inside a quoted attribute. Table names come from outside and may hold anything. */
export const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (character) => ESCAPES[character] ?? '');

const STYLE = `
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1d2733;background:#fbfaf7}
h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem}code,pre{font-family:ui-monospace,monospace;font-size:.9em}
pre{background:#f0ede5;padding:.7rem;overflow:auto;border-radius:4px}table{border-collapse:collapse;width:100%}
td,th{text-align:left;padding:.25rem .6rem;border-bottom:1px solid #ddd6c8;vertical-align:top}th{font-weight:600}
a{color:#0b5cad}.good{color:#116b3a}.bad{color:#a3231f}summary{cursor:pointer}
@media (prefers-color-scheme:dark){body{color:#e3e0d8;background:#14181d}pre{background:#20262d}td,th{border-color:#39424c}
a{color:#8cc4ff}.good{color:#5fce92}.bad{color:#ff8b84}}`;

const STYLE_HASH = createHash('sha256').update(STYLE).digest('base64');

/** No scripts, nothing from elsewhere: only the style above, named by its hash. */
const POLICY = `default-src 'none'; style-src 'sha256-${STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;

/** A page that is made here, without scripts. `body` is HTML. `refreshSeconds` reloads it. */
export function htmlPage(status: number, title: string, body: string, refreshSeconds?: number): Answer {
  const refresh = refreshSeconds === undefined ? '' : `<meta http-equiv="refresh" content="${refreshSeconds}">`;
  return {
    status,
    headers: { 'Content-Type': 'text/html; charset=utf-8', 'Content-Security-Policy': POLICY, Vary: 'Accept, Origin' },
    body: `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">${refresh}<title>${escapeHtml(title)}</title><style>${STYLE}</style><h1>${escapeHtml(title)}</h1>${body}</html>`,
  };
}

/** Nested values as nested tables, keys as they are. */
export function valueHtml(value: unknown): string {
  if (value === null || value === undefined) return '–';
  if (Array.isArray(value)) {
    return value.length === 0 ? '–' : `<ul>${value.map((entry) => `<li>${valueHtml(entry)}</li>`).join('')}</ul>`;
  }
  if (typeof value !== 'object') return escapeHtml(String(value));
  const rows = Object.entries(value).map(
    ([key, inner]) => `<tr><th>${escapeHtml(key)}</th><td>${valueHtml(inner)}</td></tr>`,
  );
  return rows.length === 0 ? '–' : `<table>${rows.join('')}</table>`;
}
