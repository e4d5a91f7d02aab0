/** What the part of the address behind `#` asks for. Nothing in it is an error: what is not understood is the grid. */
export interface PageRoute {
  readonly view: 'tables' | 'table' | 'events' | 'operator';
  /** The id, name or UUID of a table as the address has it; '' where none does. */
  readonly reference: string;
  readonly query: URLSearchParams;
}

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text);
  } catch {
    // A lone `%` is part of a name.
    return text;
  }
};

export function routeOf(hash: string): PageRoute {
  const [path = '', search = ''] = hash.replace(/^#/, '').split('?');
  const query = new URLSearchParams(search);
  const reference = /^\/mesa\/(.+)$/.exec(path)?.[1];
  if (reference !== undefined) return { view: 'table', reference: decoded(reference), query };
  if (path === '/eventos') return { view: 'events', reference: '', query };
  if (path === '/operacao') return { view: 'operator', reference: '', query };
  return { view: 'tables', reference: '', query };
}

export const tableLink = (reference: string): string => `#/mesa/${encodeURIComponent(reference)}`;
