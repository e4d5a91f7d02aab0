import { describe, expect, it } from 'vitest';
import { arrowProblems, ROOMS } from './arrows.ts';
import { filesBelow, importsOf } from './source-files.ts';

const check = (path: string, text: string): string[] => arrowProblems([{ path, text }]);

describe('imports', () => {
  it('flow one way between the rooms', () => {
    const files = filesBelow('src');
    expect(files.length).toBeGreaterThan(20);
    expect(arrowProblems(files)).toEqual([]);
  });

  it('have no circle between rooms', () => {
    const visit = (room: string, path: readonly string[]): void => {
      expect(path).not.toContain(room);
      for (const next of ROOMS[room]?.rooms ?? []) visit(next, [...path, room]);
    };
    for (const room of Object.keys(ROOMS)) visit(room, []);
  });
});

describe('the check of imports', () => {
  it.each([
    ['src/gateway/x.ts', "import { a } from '../feed/ring.ts';", 'gateway may not know feed'],
    ['src/gateway/x.ts', "import type { a } from '../store/base.ts';", 'gateway may not know store'],
    ['src/gateway/http/x.ts', "import {\n  a,\n  b,\n} from '../../store/base.ts';", 'gateway may not know store'],
    ['src/gateway/x.ts', "import { MongoClient } from 'mongodb';", 'gateway may not use mongodb'],
    ['src/feed/x.ts', "import uWS from 'uWebSockets.js';", 'feed may not use uWebSockets.js'],
    ['src/protocol/x.ts', "import { a } from '../roulette/table.ts';", 'protocol may not know roulette'],
    ['src/protocol/x.ts', "import { a } from 'node:crypto';", 'protocol may not use node:crypto'],
    ['src/client/x.ts', "export { z } from 'zod';", 'client may not use zod'],
    ['src/gateway/x.ts', "import { a } from '../legacy/rooms.ts';", 'gateway may not know legacy'],
    ['src/legacy/x.ts', "import { a } from '../feed/ring.ts';", 'legacy may not know feed'],
    ['src/embedded/x.ts', "import { a } from '../protocol/position.ts';", 'embedded may not know protocol'],
    ['src/cli/x.ts', "import { a } from '../dashboard/page.ts';", 'cli may not know dashboard'],
    ['src/cli/x.ts', "import { a } from '../main.ts';", 'nobody imports main'],
    ['src/feed/x.ts', "import { a } from '../config.ts';", 'rooms are handed what they need'],
    ['src/simulator/run.ts', "import { a } from '../config.ts';", 'rooms are handed what they need'],
    ['src/config/load.ts', "import { a } from './gateway/options.ts';", 'the ground knows no room'],
    ['src/feed/x.ts', "const a = await import('../gateway/server.ts');", 'feed may not know gateway'],
    ['src/feed/x.ts', "import { a } from '../support/mongo.ts';", 'src imports nothing outside src'],
    ['src/feed/x.ts', "import '../gateway/server.ts';", 'feed may not know gateway'],
    ['src/feed/x.ts', "import { a } from './ring.js';", 'relative imports name the .ts file'],
    ['src/stuff/x.ts', "import { a } from '../feed/ring.ts';", 'there is no room stuff'],
    ['src/feed/index.ts', 'export const a = 1;', 'no index.ts'],
    ['src/feed/all.ts', "export * from './ring.ts';", 'no barrels'],
    ['src/feed/all.ts', "export type { Ring } from './ring.ts';", 'no barrels'],
  ])('finds what is wrong in %s: %s', (path, text, words) => {
    expect(check(path, text).join('\n')).toContain(words);
  });

  it.each([
    ['src/gateway/x.ts', "import type { Table } from '../roulette/table.ts';\nimport uWS from 'uWebSockets.js';"],
    ['src/simulator/main.ts', "import { loadOwnConfig } from '../config.ts';"],
    ['src/main.ts', "import { a } from './gateway/server.ts';\nimport { b } from 'mongodb';"],
    ['src/protocol/x.ts', "// import { a } from '../feed/ring.ts';\n/* import 'mongodb'; */"],
    ['src/roulette/uuid.ts', "import { createHash } from 'node:crypto';"],
    ['src/roulette/x.ts', "import type { ObjectId } from 'bson';"],
  ])('allows what is right in %s', (path, text) => expect(check(path, text)).toEqual([]));

  it('sees every way to import', () => {
    const text = `import a from 'a';import type { b } from "b";
      import c, { type d } from 'c';
      import * as e from 'e';
      import 'f';
      export { g } from 'g';
      const h = await import('h');`;
    expect(importsOf(text).map(({ specifier }) => specifier)).toEqual(['a', 'b', 'c', 'e', 'f', 'g', 'h']);
  });
});
