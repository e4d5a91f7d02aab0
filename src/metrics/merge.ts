/** The exposition of one process of several. */
export interface WorkerText {
  readonly worker: string;
  readonly text: string;
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*/;

/** Adds the label `worker` to a sample line, before those that it has. */
function labelled(line: string, worker: string): string {
  const name = NAME.exec(line)?.[0] ?? '';
  const rest = line.slice(name.length);
  const label = `worker="${worker}"`;
  return rest.startsWith('{')
    ? `${name}{${label}${rest.startsWith('{}') ? '' : ','}${rest.slice(1)}`
    : `${name}{${label}}${rest}`;
}

/**
 * One Prometheus exposition out of those of several processes: every sample keeps its value and gets the label
 * `worker`, so that sums are made where they are asked for and nothing that cannot be summed is.
 */
export function mergeExpositions(parts: readonly WorkerText[]): string {
  const families = new Map<string, { heads: string[]; samples: string[] }>();
  for (const { worker, text } of parts) {
    let family = { heads: [] as string[], samples: [] as string[] };
    for (const line of text.split('\n')) {
      if (line === '') continue;
      const head = /^# (HELP|TYPE) (\S+)/.exec(line);
      if (head === null) {
        if (!line.startsWith('#')) family.samples.push(labelled(line, worker));
        continue;
      }
      const name = head[2] ?? '';
      family = families.get(name) ?? { heads: [], samples: [] };
      families.set(name, family);
      if (!family.heads.some((known) => known.startsWith(`# ${head[1]} `))) family.heads.push(line);
    }
  }
  const lines = [...families.values()].flatMap(({ heads, samples }) => [...heads, ...samples]);
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`;
}
