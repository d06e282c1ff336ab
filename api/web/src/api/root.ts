/** The prefix the server lives under behind a proxy: empty, or `/some/prefix`. */
export const root = document.querySelector<HTMLMetaElement>('meta[name="mlq-root"]')?.content ?? "";

/** An address of this server as the browser needs it. path: begins with `/`. */
export function address(path: string): string {
  return root + path;
}
