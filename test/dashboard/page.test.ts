import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { sayCode, wordsOf } from '../../src/dashboard/text.ts';
import { EN } from '../../src/dashboard/text-en.ts';
import { PT } from '../../src/dashboard/text-pt.ts';
import { freshnessOf, shortSpan, span } from '../../src/dashboard/time.ts';
import { ALERT_NAMES } from '../../src/metrics/alert-names.ts';
import { SKIP_REASONS } from '../../src/protocol/delivery.ts';
import { RESET_REASONS } from '../../src/protocol/messages.ts';

const room = fileURLToPath(new URL('../../src/dashboard/', import.meta.url));

async function sources(): Promise<ReadonlyMap<string, string>> {
  const names = (await readdir(room, { recursive: true })).filter((name) => /\.(tsx?|css|html)$/.test(name));
  return new Map(await Promise.all(names.map(async (name) => [name, await readFile(room + name, 'utf8')] as const)));
}

describe('the words of the page', () => {
  it('take the same values in both languages', () => {
    const places = (words: Readonly<Record<string, string>>) =>
      new Map(
        Object.entries(words).map(([word, text]) => [
          word,
          text
            .match(/\{\d\}/g)
            ?.sort()
            .join(),
        ]),
      );
    expect(places(EN)).toEqual(places(PT));
    expect(places(EN).size).toBeGreaterThan(80);
  });

  it('stand for every code of the server', () => {
    const codes = [
      ...SKIP_REASONS.map((code) => `skip_${code}`),
      ...ALERT_NAMES.map((code) => `alert_${code}`),
      ...RESET_REASONS.map((code) => `reason_${code}`),
    ];
    expect(codes.filter((code) => !Object.hasOwn(PT, code))).toEqual([]);
    expect(sayCode(wordsOf('pt'), 'skip', 'bad_number')).toBe('número que a roleta não tem');
    expect(sayCode(wordsOf('en'), 'alert', 'table_silent')).toBe('Table silent for unusually long');
    expect(sayCode(wordsOf('pt'), 'skip', 'of_a_later_server')).toBe('of_a_later_server');
  });

  it('are filled in', () => {
    expect(wordsOf('pt')('ago', '42 s')).toBe('há 42 s');
    expect(wordsOf('en')('ago', '42 s')).toBe('42 s ago');
    expect(wordsOf('en')('newNumber', 'Roulette', 0, 'green')).toBe('Roulette: 0 green');
  });
});

describe('times on the page', () => {
  it('are short, and never negative', () => {
    expect([-5, 0, 42_000, 119_999, 120_000, 7_200_000, 200_000_000].map(span)).toEqual([
      '0 s',
      '0 s',
      '42 s',
      '119 s',
      '2 min',
      '2 h',
      '2 d',
    ]);
    expect(shortSpan(8.4, 'pt')).toBe('8 ms');
    expect(shortSpan(1234, 'pt')).toBe('1,2 s');
  });

  it('tell a table that is silent from one that spins', () => {
    expect([40_000, 120_000, 400_000].map(freshnessOf)).toEqual(['fresh', 'slow', 'silent']);
  });
});

describe('the page', () => {
  it('never reads text as HTML, and asks no other host for anything', async () => {
    for (const [name, text] of await sources()) {
      expect(text, name).not.toMatch(/innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function/);
      const hosts = [...text.matchAll(/https?:\/\/[a-z0-9.-]+/g)].map(([host]) => host);
      expect(
        hosts.filter((host) => host !== 'http://www.w3.org'),
        name,
      ).toEqual([]);
    }
  });

  it('has no inline script or style, so that a strict content security policy holds', async () => {
    const html = (await sources()).get('index.html') ?? '';
    expect(html).not.toMatch(/<style|style="|<script(?![^>]*\bsrc=)|\son\w+=/);
  });

  it('animates transform and opacity alone, which cost no layout and no paint', async () => {
    const css = [...(await sources())].filter(([name]) => name.endsWith('.css')).map(([, text]) => text);
    const keyframes = css.flatMap((text) => text.match(/@keyframes [^}]+\{(?:[^{}]*\{[^}]*\})+\s*\}/g) ?? []);
    const animated = keyframes.flatMap((text) => [...text.matchAll(/^\s+([a-z-]+):/gm)].map(([, name]) => name));
    expect(new Set(animated)).toEqual(new Set(['transform', 'opacity']));
    expect(css.join()).not.toMatch(/\btransition|box-shadow/);
  });

  it('knows the client, the protocol and the domain, and no other room', async () => {
    for (const [name, text] of await sources()) {
      const rooms = [...text.matchAll(/from '\.\.\/(\w+)\//g)].map((match) => match[1]);
      expect(
        rooms.filter((each) => !['client', 'protocol', 'roulette'].includes(each ?? '')),
        name,
      ).toEqual([]);
    }
  });
});
