/** Builds the page and the client library into a folder: HTML, JavaScript and CSS. */
export function buildPage(folder: string): Promise<void>;
