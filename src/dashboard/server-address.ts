/**
 * The base address of what a person typed for a server: `127.0.0.1:5402`, `live.example` and `wss://live.example/ws` are
 * understood. '' is the page's own server, null is no address of a server. `page` is the address of the page.
 */
export function serverAddress(typed: string, page: string): string | null {
  const text = typed.trim();
  if (text === '') return '';
  const { protocol: scheme, origin } = new URL(page);
  const address = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `${scheme}//${text}`;
  if (!URL.canParse(address)) return null;
  const { protocol, host, pathname, username } = new URL(address);
  if (!/^(http|ws)s?:$/.test(protocol) || username !== '') return null;
  // A URL may have quotes in its path; in a command that somebody copies they would end a text.
  const path = pathname.replace(/(\/ws)?\/*$/, '').replaceAll("'", '%27');
  const base = `${protocol.replace('ws', 'http')}//${host}${path}`;
  return base === origin ? '' : base;
}
