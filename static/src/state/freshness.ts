// An answer of REST may be older than what the feed told while it was on its way: this tells which.

const told = new Map<string, number>();
let turn = 0;

/** The feed told of this photo or step. */
export function tell(id: string): void {
  turn += 1;
  told.set(id, turn);
}

/** For what is read whole, again and again. Call the result before each request; what that returns tells, at the answer,
 * whether no later request has been sent. */
export function latestOnly(): () => () => boolean {
  let latest = 0;
  return () => {
    latest += 1;
    const request = latest;
    return () => request === latest;
  };
}

/** To be taken before asking, and handed on with the answer. */
export function moment(): number {
  return turn;
}

/** Has the feed told of it since? Then what was asked for at that moment may be older. */
export function toldSince(id: string, asked: number): boolean {
  return (told.get(id) ?? 0) > asked;
}
