import type { Language } from './text.ts';

/** Portuguese for browsers that ask for it first, English for all others. */
export const browserLanguage = (): Language =>
  (navigator.languages[0] ?? navigator.language).toLowerCase().startsWith('pt') ? 'pt' : 'en';
