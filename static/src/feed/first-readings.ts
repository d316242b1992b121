/** What the page reads while the feed is being opened may lack what happened before it was open: this knows whether it does. */
export class FirstReadings {
  /** The oldest that was read, or null if something was read of which that is not known. */
  #oldest: { epoch: string; seq: number } | null | undefined;
  #opened: { epoch: string; seq: number } | undefined;

  /** Something was read. Is it older than the feed? */
  read(position: string | null): boolean {
    const at = parse(position);
    if (this.#opened !== undefined) return !isAsNew(at, this.#opened);
    if (at === null || this.#oldest === null || (this.#oldest && this.#oldest.epoch !== at.epoch)) this.#oldest = null;
    else if (this.#oldest === undefined || at.seq < this.#oldest.seq) this.#oldest = at;
    return false;
  }

  /** The feed was opened. Is something that was read before older than it? */
  opened(epoch: string, seq: number): boolean {
    this.#opened = { epoch, seq };
    return this.#oldest !== undefined && !isAsNew(this.#oldest, this.#opened);
  }
}

function parse(position: string | null): { epoch: string; seq: number } | null {
  const [epoch, seq] = position?.split(":") ?? [];
  return epoch && seq && /^\d+$/.test(seq) ? { epoch, seq: Number(seq) } : null;
}

function isAsNew(at: { epoch: string; seq: number } | null, as: { epoch: string; seq: number }): boolean {
  return at !== null && at.epoch === as.epoch && at.seq >= as.seq;
}
