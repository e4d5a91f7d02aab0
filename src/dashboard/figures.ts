import { colourOf } from '../roulette/colour.ts';
import { statsOf } from '../roulette/stats.ts';
import { chip } from './chip.ts';
import { fill, h } from './dom.ts';
import type { Say } from './text.ts';

const SHOWN = 6;

/** Parts of a whole in figures and as a bar. */
function share(label: string, part: number, total: number, kind = ''): HTMLElement {
  const percent = total === 0 ? 0 : Math.round((100 * part) / total);
  const bar = h('span', { class: `share-bar ${kind}` });
  bar.style.setProperty('--share', `${percent}%`);
  return h('div', { class: 'share' }, h('dt', {}, label), h('dd', {}, bar, h('span', {}, `${percent} %`)));
}

/** Colours, halves, dozens, columns, hot and overdue numbers of a list that is newest first. */
export function createFigures(say: Say) {
  const shares = h('dl', { class: 'shares' });
  const hot = h('ul', { class: 'ranked' });
  const cold = h('ul', { class: 'ranked' });
  const element = h(
    'div',
    { class: 'figures' },
    shares,
    h('div', { class: 'ranks' }, h('h3', {}, say('hot')), hot, h('h3', {}, say('cold')), cold),
  );
  const ranked = (numero: number, note: string): HTMLElement =>
    h('li', {}, chip({ numero, cor: colourOf(numero) }, say), h('span', { class: 'note' }, note));
  return {
    element,
    /** Returns the counts by number. */
    update(newestFirst: readonly number[]): readonly number[] {
      const stats = statsOf(newestFirst, null, null);
      const low = newestFirst.filter((numero) => numero >= 1 && numero <= 18).length;
      const high = newestFirst.filter((numero) => numero >= 19).length;
      fill(shares, [
        share(say('vermelho'), stats.cores.vermelho, stats.total, 'vermelho'),
        share(say('preto'), stats.cores.preto, stats.total, 'preto'),
        share(say('verde'), stats.cores.verde, stats.total, 'verde'),
        share(say('even'), stats.paridade.par, stats.total),
        share(say('odd'), stats.paridade.impar, stats.total),
        share(say('low'), low, stats.total),
        share(say('high'), high, stats.total),
        ...stats.duzias.map((count, at) => share(say('dozen', at + 1), count, stats.total)),
        ...stats.colunas.map((count, at) => share(say('column', at + 1), count, stats.total)),
      ]);
      const hottest = [...stats.numeros].filter(({ vezes }) => vezes > 0).sort((a, b) => b.vezes - a.vezes);
      fill(
        hot,
        hottest.slice(0, SHOWN).map(({ numero, vezes }) => ranked(numero, `${vezes}×`)),
      );
      fill(
        cold,
        stats.ausentes.slice(0, SHOWN).map(({ numero, ausencia }) => ranked(numero, String(ausencia))),
      );
      return stats.numeros.map(({ vezes }) => vezes);
    },
  };
}
