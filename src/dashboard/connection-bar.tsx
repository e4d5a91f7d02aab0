import type { Table } from '../client/connect.ts';
import { usePage, useTicking } from './page.ts';
import { chooseServer } from './server-form.tsx';
import { span } from './time.ts';
import { causeOf, retryAtOf } from './trust.ts';

/** Why the page is not live and when it tries again; the words age by themselves. */
function useCause(): { readonly cause: string; readonly next: string; readonly canRetry: boolean } {
  const { model, say } = usePage();
  const { state } = model;
  const next = useTicking((now) => {
    const retryAt = retryAtOf(state);
    if (retryAt !== null && retryAt > now) return say('retryIn', span(1000 * Math.ceil((retryAt - now) / 1000)));
    if (state.name === 'stale' || state.name === 'offline') return say('waitingSince', span(now - state.since));
    return state.name === 'connecting' || state.name === 'recovering' ? say('tryingNow') : '';
  });
  return {
    cause: causeOf(state, model.host, say),
    next,
    canRetry: state.name === 'failed' || retryAtOf(state) !== null,
  };
}

export const RetryButton = () => {
  const { model, say } = usePage();
  return (
    <button type="button" onClick={() => model.retry()}>
      {say('retry')}
    </button>
  );
};

/** Whether a croupier made up what a table shows: its numbers carry the mark of the simulator. */
const isSimulated = ({ numeros: [newest] }: Table): boolean =>
  newest !== undefined && Reflect.get(newest, 'simulado') === true;

interface BarsProps {
  /** What the address of the page named as a server and is none; null for nothing. */
  readonly refused: string | null;
}

/** One line over the whole width while what is shown may not be the truth; and that the server is a foreign one. */
export function ConnectionBars({ refused }: BarsProps) {
  const { model, memory, say } = usePage();
  const { cause, next, canRetry } = useCause();
  return (
    <div role="status">
      {refused !== null && <p class="bar failed">{say('badServer', refused)}</p>}
      {model.server !== '' && (
        <p class="bar foreign">
          {say('foreignServer', model.host)}
          <button type="button" onClick={() => chooseServer({ model, memory }, '', '')}>
            {say('ownServer')}
          </button>
        </p>
      )}
      {model.record.clockAheadMs !== 0 && (
        <p class="bar clock">{say('clockWrong', span(Math.abs(model.record.clockAheadMs)))}</p>
      )}
      {[...model.tables.values()].some(isSimulated) && <p class="bar demo">{say('demo')}</p>}
      {!model.isLive && (
        <p class={`bar ${model.state.name}`}>
          <strong>{cause}</strong> <span>{model.tables.size > 0 ? say('asOfBefore') : ''}</span> <span>{next}</span>
          {canRetry && <RetryButton />}
        </p>
      )}
    </div>
  );
}

/** What is shown in place of the tables while there are none: connecting, refused and empty are different things. */
export function NoTables() {
  const { model, say } = usePage();
  const { cause, next, canRetry } = useCause();
  const { state } = model;
  if (model.isLive) {
    return (
      <div class="empty nothing">
        <span class="sign" aria-hidden="true">
          ∅
        </span>
        <p>{say('noTables')}</p>
      </div>
    );
  }
  const isRefused = state.name === 'failed';
  return (
    <div class={`empty ${isRefused ? 'refused' : 'waiting'}`}>
      <span class="sign" aria-hidden="true">
        {isRefused ? '✕' : '…'}
      </span>
      <h2>{say(isRefused ? 'failedTitle' : 'connectingTitle')}</h2>
      <p>
        {cause} {next}
      </p>
      {canRetry && <RetryButton />}
    </div>
  );
}
