import type { NumberItem } from '../protocol/messages.ts';
import { csvOf } from './analysis.ts';

/** Hands a file to the reader. */
export function download(name: string, content: Blob): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  // The browser has taken it over by the next turn.
  setTimeout(() => URL.revokeObjectURL(link.href));
}

const fileName = (name: string, kind: string): string =>
  `${name.replace(/[^\p{L}\p{N}]+/gu, '-')}-${new Date().toISOString().slice(0, 19).replaceAll(':', '')}.${kind}`;

export const downloadCsv = (name: string, numeros: readonly NumberItem[]): void =>
  download(fileName(name, 'csv'), new Blob([csvOf(numeros)], { type: 'text/csv;charset=utf-8' }));

const CELL = 36;
const PER_ROW = 25;
const HEAD = 56;
const COLOURS = { verde: '#0a7a45', vermelho: '#c11c2b', preto: '#1c2320' } as const;

/** The numbers as a picture under a title, newest first. */
export function downloadPng(title: string, numeros: readonly NumberItem[]): void {
  const canvas = document.createElement('canvas');
  canvas.width = PER_ROW * CELL + CELL;
  canvas.height = HEAD + Math.ceil(numeros.length / PER_ROW) * CELL + CELL / 2;
  const context = canvas.getContext('2d');
  if (!context) return;
  context.fillStyle = '#fffdf8';
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.fillStyle = '#1b221e';
  context.font = '600 18px system-ui, sans-serif';
  context.fillText(`${title} · ${new Date().toLocaleString()}`, CELL / 2, 34);
  context.textAlign = 'center';
  context.font = '600 15px system-ui, sans-serif';
  numeros.forEach(({ numero, rotulo, cor }, at) => {
    const x = CELL / 2 + (at % PER_ROW) * CELL;
    const y = HEAD + Math.floor(at / PER_ROW) * CELL;
    context.fillStyle = COLOURS[cor];
    context.fillRect(x + 1, y + 1, CELL - 2, CELL - 2);
    context.fillStyle = '#ffffff';
    context.fillText(String(rotulo ?? numero), x + CELL / 2, y + CELL / 2 + 5);
  });
  canvas.toBlob((picture) => {
    if (picture) download(fileName(title, 'png'), picture);
  });
}
