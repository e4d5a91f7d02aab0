import { useMemo } from 'preact/hooks';
import { statsOf } from '../roulette/stats.ts';
import { labelOf } from '../roulette/wheel.ts';
import { type Bet, type BetFigures, betsOf, figuresOf, type Pockets } from './analysis.ts';
import { NumberChip } from './chip.tsx';
import { houseEdge } from './coverage.ts';
import { memo, usePage } from './page.ts';
import type { Say } from './text.ts';
import { tenths } from './time.ts';

const SHOWN = 6;

interface ShareProps {
  readonly label: string;
  readonly kind?: string;
  readonly part: number;
  readonly total: number;
  readonly expected: number;
  readonly band: readonly [number, number];
}

/** What an honest wheel gives, as a share of all spins, and where nine of ten such wheels lie; all 0 to 1. */
export function expectationWords(
  say: Say,
  language: string,
  expected: number,
  [low, high]: readonly [number, number],
): string {
  const percent = (value: number): string => `${tenths(100 * value, language)}%`;
  return say('expected', percent(expected), percent(low), percent(high));
}

/** A part of a whole as a bar, before the band in which nine of ten honest wheels lie. */
export function Share({ label, kind = '', part, total, expected, band: [low, high] }: ShareProps) {
  const { say, language } = usePage();
  const share = total === 0 ? 0 : part / total;
  const expectation = expectationWords(say, language, expected, [low, high]);
  const isOdd = total > 0 && (share < low || share > high);
  return (
    <div class={`share ${isOdd ? 'odd' : ''}`} title={expectation}>
      <dt>{label}</dt>
      <dd>
        <span class={`share-bar ${kind}`} style={{ '--share': share, '--low': low, '--width': high - low }}>
          <i class="band" />
          <i class="part" />
        </span>
        <span>{`${Math.round(100 * share)}%`}</span>
        <span class="unseen">{`${part}/${total}, ${expectation}`}</span>
      </dd>
    </div>
  );
}

/** A number with what it is ranked by. */
export const Ranked = ({ numero, note }: { readonly numero: number; readonly note: string }) => (
  <li>
    <NumberChip numero={numero} />
    <span class="note">{note}</span>
  </li>
);

/** Numbers that came most often, and those that stayed away longest. */
export function HotAndCold({ numbers }: { readonly numbers: readonly number[] }) {
  const { say } = usePage();
  const stats = useMemo(() => statsOf(numbers, null, null), [numbers]);
  const hottest = stats.numeros.filter(({ vezes }) => vezes > 0).sort((a, b) => b.vezes - a.vezes);
  return (
    <div class="ranks">
      <h3>{say('hot')}</h3>
      <ul class="ranked">
        {hottest.slice(0, SHOWN).map(({ numero, vezes }) => (
          <Ranked key={numero} numero={numero} note={`${vezes}×`} />
        ))}
      </ul>
      <h3>{say('cold')}</h3>
      <ul class="ranked">
        {stats.ausentes.slice(0, SHOWN).map(({ numero, ausencia }) => (
          <Ranked key={numero} numero={numero} note={say('spins', ausencia)} />
        ))}
      </ul>
    </div>
  );
}

interface NeighboursProps {
  readonly numbers: readonly number[];
  readonly pockets: Pockets;
  /** The number in the middle. */
  readonly around: number;
  /** That number and its neighbours, clockwise. */
  readonly near: readonly number[];
}

/** A number with its neighbours on the wheel, and how often one of them came. */
function Neighbours({ numbers, pockets, around, near }: NeighboursProps) {
  const { say } = usePage();
  const { count, expected, band } = figuresOf((numero) => near.includes(numero), numbers, pockets);
  return (
    <div class="neighbours">
      <h3>{say('neighbours', labelOf(around).rotulo ?? around)}</h3>
      <p>
        {near.map((numero) => (
          <NumberChip key={numero} numero={numero} />
        ))}
      </p>
      <dl class="shares">
        <Share label={say('neighboursShare')} part={count} total={numbers.length} expected={expected} band={band} />
      </dl>
    </div>
  );
}

interface NamedFigures {
  readonly name: string;
  readonly bet: Bet;
  readonly figures: BetFigures;
}

/** How often in a row each bet hit and missed, now and at most. */
function Runs({ rows }: { readonly rows: readonly NamedFigures[] }) {
  const { say } = usePage();
  return (
    <table class="runs">
      <caption>{say('runs')}</caption>
      <thead>
        <tr>
          <th scope="col">{say('bet')}</th>
          <th scope="col">{say('streak')}</th>
          <th scope="col">{say('gap')}</th>
        </tr>
      </thead>
      <tbody>
        {rows.map(({ name, figures: { streak, longestStreak, gap, longestGap } }) => (
          <tr key={name}>
            <th scope="row">{name}</th>
            <td>{say('runOf', streak, longestStreak)}</td>
            <td>{say('runOf', gap, longestGap)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

export interface FiguresProps extends Omit<NeighboursProps, 'around'> {
  /** The number whose neighbours are counted; null before the first one. */
  readonly around: number | null;
}

/** Shares of every bet with what is to be expected, neighbours, and how long each came or stayed away. */
export const Figures = memo(({ numbers, pockets, around, near }: FiguresProps) => {
  const { say, language } = usePage();
  const rows = betsOf(pockets).map((bet) => ({
    bet,
    name: bet.value === undefined ? say(bet.word) : say(bet.word, bet.value),
    figures: figuresOf(bet.covers, numbers, pockets),
  }));
  return (
    <div class="figures">
      <dl class="shares">
        {rows.map(({ bet, name, figures: { count, expected, band } }) => (
          <Share
            key={name}
            label={name}
            kind={bet.kind === 'colour' || bet.kind === 'sector' ? bet.word : ''}
            part={count}
            total={numbers.length}
            expected={expected}
            band={band}
          />
        ))}
      </dl>
      {around !== null && <Neighbours {...{ numbers, pockets, around, near }} />}
      <HotAndCold numbers={numbers} />
      <Runs rows={rows} />
      <p class="note">{say('houseEdge', tenths(100 * houseEdge(pockets), language))}</p>
    </div>
  );
});
