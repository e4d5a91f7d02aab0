/** Documents in English and their Portuguese counterparts, which have the same structure, commands and examples. */
export const TRANSLATED = [
  ['README.md', 'README.pt-BR.md'],
  ['src/ops/README.md', 'src/ops/README.pt-BR.md'],
  ['src/protocol/INGEST.md', 'src/protocol/INGEST.pt-BR.md'],
] as const;

/** Every document that users, operators and contributors read. */
export const DOCUMENTS = [
  ...TRANSLATED.flat(),
  'src/protocol/PROTOCOL.md',
  'src/legacy/MIGRATION.md',
  'src/client/README.md',
  '.github/CONTRIBUTING.md',
  'SECURITY.md',
  'CHANGELOG.md',
];

/** A fenced block of a Markdown document. */
export interface Block {
  /** The word after the fence, empty where there is none. */
  readonly language: string;
  readonly text: string;
}

/** Every fenced block, in order. */
export const blocksOf = (markdown: string): Block[] =>
  [...markdown.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].map((match) => ({
    language: match[1] ?? '',
    text: match[2] ?? '',
  }));

/** Every JSON example of PROTOCOL.md, with the message that its heading names. */
export const protocolExamples = (markdown: string): { heading: string; value: Record<string, unknown> }[] =>
  [...markdown.matchAll(/^### (\w+)\n([\s\S]*?)(?=^##)/gm)].flatMap(([, heading = '', body = '']) =>
    blocksOf(body)
      .filter(({ language }) => language === 'json')
      .map(({ text }) => ({ heading, value: Object.fromEntries(Object.entries(JSON.parse(text))) })),
  );

export interface Heading {
  readonly level: number;
  readonly text: string;
}

/** Every heading outside fenced blocks, in order. */
export const headingsOf = (markdown: string): Heading[] =>
  [...markdown.replace(/^```[\s\S]*?^```$/gm, '').matchAll(/^(#+) (.+)$/gm)].map((match) => ({
    level: match[1]?.length ?? 0,
    text: match[2] ?? '',
  }));

/** The name by which a heading is linked to, as GitHub makes it. */
export const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .replace(/\s/g, '-');
