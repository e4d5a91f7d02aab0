/**
 * Variables that look like ours and are not: a misspelt name would otherwise be ignored in silence. In a `.env` file
 * every unknown name is reported; in the environment, which is shared, only names with one of our prefixes, or one
 * mistake away from a name of ours.
 */
export function unknownVariablesIn(
  environment: Readonly<Record<string, string | undefined>>,
  file: Readonly<Record<string, string | undefined>>,
  known: readonly string[],
): string[] {
  const prefixes = new Set(known.filter((name) => name.includes('_')).map((name) => name.split('_', 1).join('')));
  for (const shared of SHARED_PREFIXES) prefixes.delete(shared);
  const found: string[] = [];
  for (const name of new Set([...Object.keys(file), ...Object.keys(environment)])) {
    if (known.includes(name) || FOREIGN.test(name)) continue;
    const value = environment[name] ?? '';
    // Container platforms describe neighbours so: MONGO_PORT=tcp://10.0.0.7:27017
    if (value.startsWith('tcp://')) continue;
    const near = nearest(name, known);
    const ours = name.includes('_') && prefixes.has(name.split('_', 1).join(''));
    const close = near !== null && near.length >= 8 && editDistance(name, near) === 1;
    if (!Object.hasOwn(file, name) && !ours && !close) continue;
    found.push(`${name} is not a variable of this service${near === null ? '' : `; did you mean ${near}?`}`);
  }
  return found;
}

/** First words that other programs use just as well. */
const SHARED_PREFIXES = ['NODE', 'MAX', 'TLS'];

/** Names of mongodb-memory-server, of the frontends' build, of the tests and of docker-compose.yml, and what container platforms set. */
const FOREIGN = /^(MONGOMS_|VITE_|TEST_|COMPOSE_)|_SERVICE_(HOST|PORT)|_PORT_\d+_/;

function nearest(name: string, known: readonly string[]): string | null {
  let best: string | null = null;
  let bestDistance = 4;
  for (const candidate of known) {
    const distance = editDistance(name.toUpperCase(), candidate);
    const allowed = Math.max(1, Math.min(3, Math.floor(candidate.length / 4)));
    if (distance <= allowed && distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

/** Insertions, deletions, replacements and swaps of neighbours that lead from `a` to `b`. */
export function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      let cost = Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + same);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        cost = Math.min(cost, (before[j - 2] ?? 0) + 1);
      }
      next.push(cost);
    }
    [before, row] = [row, next];
  }
  return row[b.length] ?? 0;
}
