import { tableName } from './card.tsx';
import { usePage } from './page.ts';
import { tableLink } from './route.ts';
import { Spark } from './spark.tsx';
import type { AlertEntry, Sample } from './status-log.ts';
import { sayCode, type Word } from './text.ts';
import { shortSpan, span, tenths } from './time.ts';
import { problemWords } from './trust.ts';

/** Why there is nothing to show of the past; empty while there is. */
function NoHistory() {
  const { say, statusLog } = usePage();
  const { historyProblem } = statusLog;
  return historyProblem === null ? null : <p class="note">{problemWords(historyProblem, say)}</p>;
}

/** Plots of what the server remembers of its last hour. */
export function LastHour() {
  const { say, language, statusLog } = usePage();
  const { samples } = statusLog;
  const [oldest, newest] = [samples[0]?.at ?? 0, samples.at(-1)?.at ?? 0];
  // As wide as what is known: a server that has just started fills it, too.
  const spanMs = Math.max(1, newest - oldest);
  const places = samples.map(({ at }) => (at - oldest) / spanMs);
  const plots: readonly (readonly [Word, (sample: Sample) => number, (value: number) => string])[] = [
    ['lag', ({ lagMs }) => lagMs, (value) => shortSpan(value, language)],
    ['eventsPerSecond', ({ rate }) => rate, (value) => tenths(value, language)],
    ['connections', ({ connections }) => connections, (value) => value.toLocaleString(language)],
    ['recoveryWindow', ({ recoverySeconds }) => recoverySeconds, (value) => span(value * 1000)],
    ['memory', ({ memoryMb }) => memoryMb, (value) => `${Math.round(value)} MB`],
  ];
  return (
    <section class="panel plots">
      <h2>{say('lastHour')}</h2>
      <NoHistory />
      <div>
        {plots.map(([word, figure, words]) => {
          const values = samples.map(figure);
          return (
            <figure key={word}>
              <figcaption>
                {say(word)} <output>{values.length === 0 ? '–' : words(values.at(-1) ?? 0)}</output>{' '}
                {values.length > 0 && <small>{say('atMost', words(Math.max(...values)))}</small>}
              </figcaption>
              <Spark label={say(word)} values={values} places={places} />
              {values.length > 1 && (
                <small class="ends">
                  <span>{say('ago', span(spanMs))}</span>
                  <span>{say('now')}</span>
                </small>
              )}
            </figure>
          );
        })}
      </div>
    </section>
  );
}

function Alert({ alert: { key, alert, since, until, summary } }: { readonly alert: AlertEntry }) {
  const { model, say, language } = usePage();
  const [, id] = key.split(' ');
  const table = id === undefined ? undefined : model.tables.get(id);
  const end = until === null ? say('now') : new Date(until).toLocaleString(language);
  return (
    <li class={until === null ? 'firing' : ''}>
      <strong>{sayCode(say, 'alert', alert)}</strong>{' '}
      {id !== undefined && <a href={tableLink(id)}>{table === undefined ? id : tableName(table)}</a>}{' '}
      <small>{`${new Date(since).toLocaleString(language)} – ${end}`}</small>
      <p class="note" lang="en">
        {summary}
      </p>
    </li>
  );
}

/** What holds and what held, newest first, in the reader's words with the server's own below. */
export function Alerts() {
  const { say, statusLog } = usePage();
  const { alerts, historyProblem } = statusLog;
  return (
    <section class="panel">
      <h2>{say('alerts')}</h2>
      <NoHistory />
      {alerts.length === 0 && historyProblem === null && <p class="note">{say('noAlerts')}</p>}
      <ul class="alerts">
        {alerts.map((alert) => (
          <Alert key={`${alert.key} ${alert.since}`} alert={alert} />
        ))}
      </ul>
    </section>
  );
}
