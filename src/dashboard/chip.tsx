import type { NumberItem } from '../protocol/messages.ts';
import { colourOf, labelOf } from '../roulette/wheel.ts';
import { memo, usePage } from './page.ts';

interface ChipProps {
  readonly item: Pick<NumberItem, 'numero' | 'cor' | 'suspeito'> & { readonly timestamp?: string };
  /** The last number of a table. */
  readonly big?: boolean;
  readonly landed?: boolean;
}

/** A number in its colour; its time is told on hover. */
export function Chip({ item, big = false, landed = false }: ChipProps) {
  const { say, language } = usePage();
  const { numero, cor, suspeito, timestamp } = item;
  const kinds = ['chip', cor, big && 'big', suspeito && 'suspect', landed && 'landed'].filter(Boolean).join(' ');
  const time = timestamp === undefined ? null : new Date(timestamp).toLocaleString(language);
  const title = [time, suspeito ? say('suspect') : null].filter((part) => part !== null).join(' · ');
  return (
    <span class={kinds} title={title === '' ? undefined : title}>
      {labelOf(numero).rotulo ?? numero}
      <span class="unseen">{` ${say(cor)}${suspeito ? `, ${say('suspectShort')}` : ''}`}</span>
    </span>
  );
}

/** A number that no table showed: of a strategy, of a ranking. */
export const NumberChip = ({ numero }: { readonly numero: number }) => (
  <Chip item={{ numero, cor: colourOf(numero) }} />
);

const StripItem = memo(({ item }: { readonly item: NumberItem }) => (
  <li>
    <Chip item={item} />
  </li>
));

interface StripProps {
  readonly numeros: readonly NumberItem[];
  readonly label: string;
}

/** A row of numbers, newest first. */
export const Strip = ({ numeros, label }: StripProps) => (
  <ol class="strip" aria-label={label}>
    {numeros.map((item) => (
      <StripItem key={item.id} item={item} />
    ))}
  </ol>
);

/** The last number of a table, large; new each time, so that the animation of a live one starts by itself. */
export function LastNumber({ numeros, landed }: { readonly numeros: readonly NumberItem[]; readonly landed: boolean }) {
  const [newest] = numeros;
  return (
    <div class="last">
      {newest ? <Chip key={newest.id} item={newest} big landed={landed} /> : <span class="chip big empty">–</span>}
    </div>
  );
}
