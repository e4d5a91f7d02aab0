import { colourOf } from '../roulette/colour.ts';
import { EUROPEAN_WHEEL as WHEEL } from '../roulette/sectors.ts';
import { h, s, setText } from './dom.ts';
import type { Say } from './text.ts';

const POCKET = (2 * Math.PI) / WHEEL.length;
const CENTRE = 160;
const RIM = 104;
const HUB = 74;
const REACH = 46;

const point = (radius: number, angle: number): string =>
  `${(CENTRE + radius * Math.sin(angle)).toFixed(2)} ${(CENTRE - radius * Math.cos(angle)).toFixed(2)}`;

/** A piece of a ring from angle `a` to `b`, clockwise from the top. */
const piece = (inner: number, outer: number, a: number, b: number): string =>
  `M${point(inner, a)}L${point(outer, a)}A${outer} ${outer} 0 0 1 ${point(outer, b)}L${point(inner, b)}A${inner} ${inner} 0 0 0 ${point(inner, a)}Z`;

/** The wheel with a bar outside of every pocket, as long as its number is frequent. */
export function createWheel(say: Say) {
  const bars = WHEEL.map((numero) => s('path', { class: `bar ${colourOf(numero)}` }));
  const pockets = WHEEL.map((numero, at) => {
    const from = (at - 0.5) * POCKET;
    const [x, y] = point((RIM + HUB) / 2, at * POCKET).split(' ');
    return s(
      'g',
      { class: `pocket ${colourOf(numero)}` },
      s('path', { d: piece(HUB, RIM, from, from + POCKET) }),
      s(
        'text',
        { x: x ?? 0, y: y ?? 0, transform: `rotate(${((at * 360) / WHEEL.length).toFixed(2)} ${x} ${y})` },
        numero,
      ),
    );
  });
  const ball = s('circle', { class: 'ball', r: 5, cx: CENTRE, cy: CENTRE });
  const total = s('text', { class: 'total', x: CENTRE, y: CENTRE });
  const svg = s('svg', { class: 'wheel', viewBox: '0 0 320 320', role: 'img' }, ...bars, ...pockets, ball, total);
  return {
    element: svg,
    /** `counts` by number; `last` the number where the ball lies. */
    update(counts: readonly number[], last: number | null): void {
      const most = Math.max(1, ...counts);
      WHEEL.forEach((numero, at) => {
        const length = ((counts[numero] ?? 0) / most) * REACH;
        const from = (at - 0.36) * POCKET;
        bars[at]?.setAttribute('d', piece(RIM + 3, RIM + 4 + length, from, from + 0.72 * POCKET));
      });
      const where = last === null ? -1 : WHEEL.indexOf(last);
      const [x, y] = point(HUB - 12, where * POCKET).split(' ');
      ball.setAttribute('cx', x ?? '0');
      ball.setAttribute('cy', y ?? '0');
      ball.toggleAttribute('hidden', where < 0);
      setText(total, String(counts.reduce((sum, count) => sum + count, 0)));
      const hottest = [...counts.keys()].sort((a, b) => (counts[b] ?? 0) - (counts[a] ?? 0)).slice(0, 3);
      svg.setAttribute('aria-label', say('wheelLabel', hottest.join(', ')));
    },
  };
}

/** The betting layout; how warm a field is tells how often its number came. */
export function createLayout(say: Say) {
  const fields = Array.from({ length: 37 }, (_, numero) => {
    const count = h('span', { class: 'times' });
    const cell = h('li', { class: `field ${colourOf(numero)}` }, h('b', {}, numero), count);
    if (numero > 0) {
      cell.style.setProperty('--column', String(Math.ceil(numero / 3)));
      cell.style.setProperty('--row', String(3 - ((numero - 1) % 3)));
    }
    return { cell, count };
  });
  const element = h('ol', { class: 'felt', 'aria-label': say('layout') }, ...fields.map(({ cell }) => cell));
  return {
    element,
    update(counts: readonly number[], last: number | null): void {
      const most = Math.max(1, ...counts);
      fields.forEach(({ cell, count }, numero) => {
        const times = counts[numero] ?? 0;
        setText(count, times === 0 ? '' : `${times}×`);
        cell.style.setProperty('--heat', String(times / most));
        cell.classList.toggle('here', numero === last);
      });
    },
  };
}
