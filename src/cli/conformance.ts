import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { SCENARIOS, type Scenario } from './conformance-scenarios.ts';
import { type ScriptedServer, startScriptedServer, TOPIC } from './conformance-server.ts';

export const CONFORMANCE_USAGE = `runcash-live conformance --client 'command' [options]

Plays a scripted server of protocol 1 against any client, and judges what it applied: cuts at every frame, gaps,
repetitions, resets, new epochs, announced ends. The command gets RUNCASH_URL and RUNCASH_TOPIC, follows that topic,
and prints one JSON object per line: every event that it applies, as it came, and every snapshot, at least its
"type", "topic" and "position".

  --client CMD    how to start the client, as a shell takes it
  --only NAME     one scenario alone
  --timeout S     how long a scenario may take (default 30)
  --list          the scenarios`;

export interface ConformanceDeps {
  readonly print: (line: string) => void;
  readonly note: (line: string) => void;
}

/** What the client printed, as far as it is judged. */
interface Applied {
  readonly type: string;
  readonly position: string;
}

/** The `conformance` command. Returns the exit code: 1 when the client broke a rule, 2 for a wrong command line. */
export async function runConformance(args: readonly string[], { print, note }: ConformanceDeps): Promise<number> {
  const options = conformanceOptions(args);
  if (typeof options === 'string') {
    note(`${options}\n${CONFORMANCE_USAGE}`);
    return 2;
  }
  if (options.list) {
    for (const { name, rule } of SCENARIOS) print(`${name}: ${rule}`);
    return 0;
  }
  let failed = 0;
  for (const scenario of SCENARIOS.filter(({ name }) => options.only === undefined || name === options.only)) {
    const problem = await play(scenario, options.client, options.timeoutMs);
    print(problem === null ? `ok    ${scenario.name}` : `FAIL  ${scenario.name}: ${scenario.rule}\n      ${problem}`);
    if (problem !== null) failed += 1;
  }
  return failed === 0 ? 0 : 1;
}

function conformanceOptions(args: readonly string[]) {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        client: { type: 'string', default: '' },
        only: { type: 'string' },
        timeout: { type: 'string', default: '30' },
        list: { type: 'boolean', default: false },
      },
    });
    const { client, only, list } = values;
    const timeoutMs = Number(values.timeout) * 1000;
    if (!(timeoutMs > 0)) return '--timeout must be a number of seconds.';
    if (client === '' && !list) return 'Name the client with --client.';
    if (only !== undefined && !SCENARIOS.some(({ name }) => name === only)) return `There is no scenario ${only}.`;
    return { client, only, timeoutMs, list };
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Plays one scenario against a fresh client; what the client did wrong, or null. */
async function play(scenario: Scenario, command: string, timeoutMs: number): Promise<string | null> {
  const server = await startScriptedServer();
  const applied: Applied[] = [];
  // Set by the shell itself: a command inherits the rest of the environment.
  const client = spawn(
    `RUNCASH_URL='${server.url}' RUNCASH_TOPIC='${TOPIC}'; export RUNCASH_URL RUNCASH_TOPIC; ${command}`,
    {
      shell: true,
      // A group of its own, so that what the shell started ends with it.
      detached: true,
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  const ended = once(client, 'close');
  createInterface({ input: client.stdout }).on('line', (line) => {
    const message = appliedOf(line);
    if (message !== null) applied.push(message);
    server.look();
  });
  const timeout = AbortSignal.timeout(timeoutMs);
  try {
    const finished = scenario.play({
      server,
      reached(position) {
        const from = applied.length;
        // As itself, or inside a snapshot that came later.
        const isIn = (each: Applied, at: number): boolean =>
          each.position === position || (each.type === 'snapshot' && at >= from && each.position > position);
        return server.until(() => applied.some(isIn), timeout);
      },
      subscribed: (before) => server.until(() => server.subscribes > before, timeout),
    });
    const result = await Promise.race([finished.then(() => null), ended.then(() => 'the client ended')]);
    return result ?? judge(server, applied, scenario);
  } catch (error) {
    if (!timeout.aborted) throw error;
    return `${error instanceof Error ? error.message : String(error)}; it applied ${JSON.stringify(applied.slice(-5))}`;
  } finally {
    if (client.pid !== undefined && client.exitCode === null) process.kill(-client.pid, 'SIGKILL');
    await server.stop();
    await ended;
  }
}

function appliedOf(line: string): Applied | null {
  try {
    const value: unknown = JSON.parse(line);
    if (!(value instanceof Object && 'type' in value && 'position' in value)) return null;
    return { type: String(value.type), position: String(value.position) };
  } catch {
    // Clients print other things too.
    return null;
  }
}

/** Every event once, in order, or inside a snapshot; and replayed wherever the scenario says that it can be. */
function judge(server: ScriptedServer, applied: readonly Applied[], { snapshots }: Scenario): string | null {
  let at = '';
  let epoch = 0;
  for (const { type, position } of applied) {
    if (type === 'snapshot') {
      // Another database may be at a lower position; within one a snapshot never shows the past.
      if (position < at && epoch < server.epochs) epoch += 1;
      else if (position < at) return `a snapshot at ${position} was applied over ${at}`;
      at = position;
    } else if (server.isEvent(position)) {
      if (position <= at) return `the event at ${position} was applied after ${at}: twice, or out of order`;
      const skipped = server.events.find((event) => event > at && event < position && server.isAlive(event));
      if (skipped !== undefined) return `the event at ${skipped} was never applied`;
      at = position;
    }
  }
  const got = applied.filter(({ type }) => type === 'snapshot').length;
  if (got > snapshots) return `${got} snapshots were needed where ${snapshots} are enough: something was not resumed`;
  return null;
}
