// Events of the feed, for the components that show them.

export interface PhotoEvent {
  id: string;
  /** Done on this page: to be seen at once, not with the next burst of news. */
  byHand: boolean;
}

function channel<T>() {
  const listeners = new Set<(value: T) => void>();
  return {
    emit: (value: T) => {
      for (const listener of [...listeners]) listener(value);
    },
    /** Returns the function that ends the subscription. */
    listen: (listener: (value: T) => void) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}

/** A photo was recorded, changed or taken away; its newest version already stands in `photos`, or none does. */
export const photoEvents = channel<PhotoEvent>();

/** An album was changed, by its id: its name, which photos are in it, or their order. */
export const albumEvents = channel<string>();

/** What is shown may be stale: fetch it again. */
export const resyncEvents = channel<void>();
