/** Decides whether pages of an `Origin` header may use this server; an empty header means no browser page asked. */
export type OriginCheck = (origin: string) => boolean;

const EXACT = /^https?:\/\/(?:[a-z0-9._-]+|\[[0-9a-f:]+\])(?::\d{1,5})?$/;
const WILDCARD = /^(https?:\/\/)\*(\.[a-z0-9.-]+(?::\d{1,5})?)$/;
const LABELS = /^[a-z0-9_-]+(?:\.[a-z0-9_-]+)*$/;

/**
 * Rules as `ALLOWED_ORIGINS` lists them: `https://a.example`, `https://*.example` (any depth of subdomains, never the
 * bare domain), or `*`. The origin `null` (sandboxed frames, files) is refused under every rule. Throws RangeError
 * naming the rule that is none of these.
 */
export function originCheck(rules: readonly string[]): OriginCheck {
  const exact = new Set<string>();
  const wildcards: { readonly head: string; readonly tail: string }[] = [];
  let all = false;
  for (const rule of rules) {
    const text = rule.trim().toLowerCase().replace(/\/$/, '');
    const wildcard = WILDCARD.exec(text);
    if (text === '*') all = true;
    else if (wildcard) wildcards.push({ head: wildcard[1] ?? '', tail: wildcard[2] ?? '' });
    else if (EXACT.test(text)) exact.add(text);
    else throw new RangeError(`"${rule}" is neither an origin, nor https://*.domain, nor *`);
  }
  return (header) => {
    if (header === '') return true;
    const origin = header.toLowerCase();
    if (!EXACT.test(origin)) return false;
    if (all || exact.has(origin)) return true;
    return wildcards.some(
      ({ head, tail }) =>
        origin.startsWith(head) &&
        origin.endsWith(tail) &&
        LABELS.test(origin.slice(head.length, Math.max(head.length, origin.length - tail.length))),
    );
  };
}

/** Decides whether a `Host` header names this server. No rules accept every host. */
export type HostCheck = (host: string) => boolean;

/** Rules as `ALLOWED_HOSTS` lists them: names or addresses, with a port only where the port matters. */
export function hostCheck(rules: readonly string[]): HostCheck {
  const allowed = new Set(rules.map((rule) => rule.trim().toLowerCase()).filter((rule) => rule !== ''));
  if (allowed.size === 0) return () => true;
  return (header) => {
    const host = header.trim().toLowerCase();
    return allowed.has(host) || allowed.has(host.replace(/:\d+$/, ''));
  };
}
