/** The fields of one message, as `messages.ts` declares them. */
export interface Declared {
  readonly required: ReadonlySet<string>;
  readonly optional: ReadonlySet<string>;
}

type Fields = Map<string, boolean>;

/**
 * Reads the message types out of the text of `messages.ts`: for every `type` literal the fields that come with it. It
 * knows the few forms that the file uses: interfaces, and type aliases of object literals joined by `&` or `|`.
 */
export function declaredMessages(text: string): Map<string, Declared> {
  const shapes = new Map<string, Fields>();
  for (const [, name = '', body = ''] of text.matchAll(/interface (\w+) \{\n([\s\S]*?)\n\}/g)) {
    shapes.set(name, fieldsOf(body));
  }
  const messages = new Map<string, Declared>();
  const add = (type: string | undefined, fields: Fields): void => {
    if (type === undefined) return;
    const names = (wanted: boolean) =>
      new Set([...fields].flatMap(([name, optional]) => (optional === wanted ? [name] : [])));
    messages.set(type, { required: names(false), optional: names(true) });
  };
  for (const [, name = '', body = ''] of text.matchAll(/interface (\w+) \{\n([\s\S]*?)\n\}/g)) {
    add(literalOf(body), shapes.get(name) ?? new Map());
  }
  for (const [, alias = ''] of text.matchAll(/export type \w+ =([\s\S]*?);\n(?=\n|export|\/\*\*)/g)) {
    for (const branch of alias.split(/\n\s*\|\s/)) {
      const type = literalOf(branch);
      if (type === undefined) continue;
      const fields = fieldsOf([...branch.matchAll(/\{([^}]*)\}/g)].map((match) => match[1] ?? '').join(';'));
      for (const [, other = ''] of branch.matchAll(/&\s*(\w+)/g)) {
        for (const [field, optional] of shapes.get(other) ?? []) fields.set(field, optional);
      }
      add(type, fields);
    }
  }
  return messages;
}

/** The words of a union of texts, such as the reasons of a reset. */
export function unionWords(text: string, name: string): string[] {
  const body = new RegExp(`type ${name} = ([^;]*);`).exec(text)?.[1] ?? '';
  return [...body.matchAll(/'([^']*)'/g)].map((match) => match[1] ?? '');
}

const literalOf = (body: string): string | undefined => /readonly type: '(\w+)'/.exec(body)?.[1];

function fieldsOf(body: string): Fields {
  const outer = body.replace(/\{[^{}]*\}/g, '{}');
  return new Map([...outer.matchAll(/readonly (\w+)(\??):/g)].map((match) => [match[1] ?? '', match[2] === '?']));
}
