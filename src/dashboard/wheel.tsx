import { colourOf, labelOf, wheelOf } from '../roulette/wheel.ts';
import { type Pockets, sectorWord } from './analysis.ts';
import { expectedBand } from './coverage.ts';
import { expectationWords } from './figures.tsx';
import { memo, usePage } from './page.ts';

const CENTRE = 160;
const RIM = 104;
const HUB = 74;
const REACH = 46;

const point = (radius: number, angle: number): [x: string, y: string] => [
  (CENTRE + radius * Math.sin(angle)).toFixed(2),
  (CENTRE - radius * Math.cos(angle)).toFixed(2),
];

/** A piece of a ring from angle `a` to `b`, clockwise from the top. */
const piece = (inner: number, outer: number, a: number, b: number): string =>
  `M${point(inner, a)}L${point(outer, a)}A${outer} ${outer} 0 0 1 ${point(outer, b)}L${point(inner, b)}A${inner} ${inner} 0 0 0 ${point(inner, a)}Z`;

export interface PlacesProps {
  /** How often each number came, by number. */
  readonly counts: readonly number[];
  /** Where the ball lies; null before the first number. */
  readonly last: number | null;
  /** What the strategy covers: lit. */
  readonly covered: readonly number[];
  /** 37, or 38 with a double zero. */
  readonly pockets: Pockets;
}

interface WheelProps extends PlacesProps {
  /** The neighbours that the reader asked for. */
  readonly near: readonly number[];
}

/**
 * The wheel with a bar outside of every pocket, as long as its number is frequent, before the band in which nine of ten
 * honest wheels lie. The sectors are the ring inside.
 */
export const Wheel = memo(({ counts, last, covered, pockets, near }: WheelProps) => {
  const { say, language } = usePage();
  const wheel = wheelOf(pockets);
  const angle = (2 * Math.PI) / pockets;
  const total = counts.reduce((sum, count) => sum + count, 0);
  const band = expectedBand(1 / pockets, total);
  const most = Math.max(1, ...counts, band[1] * total);
  const reachOf = (count: number): number => RIM + 4 + (count / most) * REACH;
  const [low, high] = [reachOf(band[0] * total), reachOf(band[1] * total)];
  const hottest = [...counts.keys()].sort((a, b) => (counts[b] ?? 0) - (counts[a] ?? 0)).slice(0, 3);
  const [ballX, ballY] = point(HUB - 18, (last === null ? 0 : wheel.indexOf(last)) * angle);
  const expectation = expectationWords(say, language, 1 / pockets, band);
  return (
    <svg class="wheel" viewBox="0 0 320 320" role="img" aria-label={say('wheelLabel', hottest.join(', '))}>
      {total > 0 && <circle class="band" cx={CENTRE} cy={CENTRE} r={(low + high) / 2} stroke-width={high - low} />}
      {wheel.map((numero, at) => {
        const cor = colourOf(numero);
        const count = counts[numero] ?? 0;
        const from = (at - 0.5) * angle;
        const [x, y] = point((RIM + HUB) / 2, at * angle);
        const label = labelOf(numero).rotulo ?? numero;
        const kinds = ['pocket', cor, covered.includes(numero) && 'covered', near.includes(numero) && 'near'];
        const sector = sectorWord(numero, pockets);
        return (
          <g key={numero} class={kinds.filter(Boolean).join(' ')}>
            <title>{`${label}: ${count}×, ${expectation}${sector === null ? '' : ` · ${say(sector)}`}`}</title>
            <path
              class={`frequency ${cor}`}
              d={piece(RIM + 3, reachOf(count), from + 0.14 * angle, from + 0.86 * angle)}
            />
            <path class="slot" d={piece(HUB, RIM, from, from + angle)} />
            <path class={`sector ${sector}`} d={piece(HUB - 8, HUB - 3, from, from + angle)} />
            <text x={x} y={y} transform={`rotate(${((at * 360) / pockets).toFixed(2)} ${x} ${y})`}>
              {label}
            </text>
          </g>
        );
      })}
      {last !== null && <circle class="ball" r={5} cx={ballX} cy={ballY} />}
      <text class="total" x={CENTRE} y={CENTRE}>
        {total}
      </text>
    </svg>
  );
});

interface LayoutProps extends PlacesProps {
  /** Called with the number that the reader asks about. */
  readonly ask: (numero: number) => void;
}

/** The betting layout; how warm a field is tells how often its number came. */
export const Layout = memo(({ counts, last, covered, pockets, ask }: LayoutProps) => {
  const { say } = usePage();
  const most = Math.max(1, ...counts);
  return (
    <ol class={`felt ${pockets > 37 ? 'double' : ''}`} aria-label={say('layout')}>
      {[...Array(pockets).keys()].map((numero) => {
        const times = counts[numero] ?? 0;
        const isInside = numero > 0 && numero < 37;
        const kinds = ['field', colourOf(numero), numero === last && 'here', covered.includes(numero) && 'covered'];
        const place = isInside ? { '--column': Math.ceil(numero / 3), '--row': 3 - ((numero - 1) % 3) } : {};
        return (
          <li
            key={numero}
            class={kinds.filter(Boolean).join(' ')}
            data-numero={numero}
            style={{ '--heat': times / most, ...place }}
          >
            <button type="button" onClick={() => ask(numero)}>
              <b>{labelOf(numero).rotulo ?? numero}</b>
              <span class="times">{times === 0 ? '' : `${times}×`}</span>
            </button>
          </li>
        );
      })}
    </ol>
  );
});
