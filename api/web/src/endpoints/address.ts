/** The model's name in `models:/name@alias` or `models:/name/3`. */
export function modelOf(address: string): string {
  return /^models:\/([^/@]+)/.exec(address)?.[1] ?? address;
}
