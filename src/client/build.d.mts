export const TARGET: string[];
export function buildForPages(folder: string): Promise<void>;
export function buildPackage(folder: string, declarations: string): Promise<void>;

/** Names that are shortened in what pages load. */
export const INTERNAL: RegExp;
