import { useMemo } from 'preact/hooks';
import { statsOf } from '../roulette/stats.ts';
import { type Bet, betsOf, figuresOf, neighboursOf, type Pockets } from './analysis.ts';
import { NumberChip } from './chip.tsx';
import { houseEdge } from './coverage.ts';
import { memo, usePage } from './page.ts';
import { tenths } from './time.ts';

const SHOWN = 6;
const NEIGHBOURS = 2;

interface ShareProps {
  readonly label: string;
  readonly kind?: string;
  readonly part: number;
  readonly total: number;
  readonly expected: number;
  readonly band: readonly [number, number];
}

/** A part of a whole as a bar, before the band in which nine of ten honest wheels lie. */
export function Share({ label, kind = '', part, total, expected, band: [low, high] }: ShareProps) {
  const { say, language } = usePage();
  const share = total === 0 ? 0 : part / total;
  const percent = (value: number): string => `${tenths(100 * value, language)}%`;
  const expectation = say('expected', percent(expected), percent(low), percent(high));
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

export interface FiguresProps {
  /** Newest first. */
  readonly numbers: readonly number[];
  readonly pockets: Pockets;
  /** The number whose neighbours on the wheel are counted. */
  readonly around: number | null;
}

/** Shares of every bet with what is to be expected, neighbours, and how long each came or stayed away. */
export const Figures = memo(({ numbers, pockets, around }: FiguresProps) => {
  const { say, language } = usePage();
  const rows = betsOf(pockets).map((bet) => ({ bet, figures: figuresOf(bet.covers, numbers, pockets) }));
  const nameOf = ({ word, value }: Bet): string => (value === undefined ? say(word) : say(word, value));
  const near = around === null ? [] : neighboursOf(around, NEIGHBOURS, pockets);
  const ofNear = figuresOf((numero) => near.includes(numero), numbers, pockets);
  return (
    <div class="figures">
      <dl class="shares">
        {rows.map(({ bet, figures: { count, expected, band } }) => (
          <Share
            key={`${bet.word} ${bet.value}`}
            label={nameOf(bet)}
            kind={bet.kind === 'colour' ? bet.word : ''}
            part={count}
            total={numbers.length}
            expected={expected}
            band={band}
          />
        ))}
      </dl>
      {around !== null && (
        <div class="neighbours">
          <h3>{say('neighbours', around === 37 ? '00' : around)}</h3>
          <p>
            {near.map((numero) => (
              <NumberChip key={numero} numero={numero} />
            ))}
          </p>
          <dl class="shares">
            <Share
              label={say('neighboursShare')}
              part={ofNear.count}
              total={numbers.length}
              expected={ofNear.expected}
              band={ofNear.band}
            />
          </dl>
        </div>
      )}
      <HotAndCold numbers={numbers} />
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
          {rows.map(({ bet, figures: { streak, longestStreak, gap, longestGap } }) => (
            <tr key={`${bet.word} ${bet.value}`}>
              <th scope="row">{nameOf(bet)}</th>
              <td>{say('runOf', streak, longestStreak)}</td>
              <td>{say('runOf', gap, longestGap)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <p class="note">{say('houseEdge', tenths(100 * houseEdge(pockets), language))}</p>
    </div>
  );
});
