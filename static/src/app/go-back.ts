let arriving: Promise<void> | null = null;

/** Goes back one place; resolves there. Asked for again on the way, it goes no further. */
export function goBack(): Promise<void> {
  arriving ??= new Promise((arrive) => {
    const settle = () => {
      arriving = null;
      arrive();
    };
    addEventListener("popstate", settle, { once: true });
    history.back();
  });
  return arriving;
}

/** Another place is opened, which ends a going back that is not over. */
export function goOn(): void {
  arriving = null;
}
